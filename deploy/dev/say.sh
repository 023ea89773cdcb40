# shellcheck shell=bash
# How ./dev talks: one line per step with the seconds since it began, and a reason when it gives up. Sourced.

STARTED_AT=$EPOCHREALTIME
# Each entry is "<seconds> <what>", for the closing summary.
STEP_TIMES=()

say() { printf '%8.1fs  %s\n' "$(seconds_since "$STARTED_AT")" "$*"; }

die() {
  printf '\n./dev: %s\n' "$*" >&2
  exit 1
}

# Runs a step and says what it took: `step "what it is" command…`. The step's own output is shown.
step() {
  local what=$1 began=$EPOCHREALTIME status=0
  shift
  say "$what"
  "$@" || status=$?
  STEP_TIMES+=("$(printf '%.1f' "$(seconds_since "$began")") $what")
  return "$status"
}

# The same for a chatty command: its output goes to a log, whose end is shown if it fails.
quiet_step() {
  local what=$1 log
  shift
  log="$LOGS/$(tr -cs 'a-zA-Z0-9' '-' <<<"$what" | sed 's/-*$//').log"
  step "$what" logged "$log" "$@" && return 0
  tail -n 30 "$log" >&2
  die "$what: failed, the whole output is in $log"
}

logged() {
  local log=$1
  shift
  "$@" >>"$log" 2>&1
}

say_step_times() {
  printf '\nlongest steps\n'
  printf '%s\n' "${STEP_TIMES[@]}" | sort -rn | head -n 12 | sed -E 's/^([0-9.]+) /\1s /; s/^/  /'
}

seconds_since() { awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { printf "%.3f", now - then }'; }
