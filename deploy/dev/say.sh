# shellcheck shell=bash
# The output of ./dev: one line per step with the seconds since the start, and the reason of a failure. Sourced.

STARTED_AT=$EPOCHREALTIME
# Entries "<seconds> <step>" for the closing summary.
STEP_TIMES=()

say() { printf '%8.1fs  %s\n' "$(seconds_since "$STARTED_AT")" "$*"; }

die() {
  printf '\n./dev: %s\n' "$*" >&2
  exit 1
}

# Runs a step, shows its output and records how long it took: `step "what it is" command…`.
step() {
  local what=$1 began=$EPOCHREALTIME status=0
  shift
  say "$what"
  "$@" || status=$?
  STEP_TIMES+=("$(printf '%.1f' "$(seconds_since "$began")") $what")
  return "$status"
}

# The same, but the output goes to a log; the end of the log is shown if the command fails.
quiet_step() {
  local what=$1 log
  shift
  log="$LOGS/$(tr -cs 'a-zA-Z0-9' '-' <<<"$what" | sed 's/-*$//').log"
  step "$what" logged "$log" "$@" && return 0
  tail -n 30 "$log" >&2
  die "$what failed, the whole output is in $log"
}

logged() {
  local log=$1
  shift
  "$@" >>"$log" 2>&1
}

say_step_times() {
  printf '\nlongest steps\n'
  printf '%s\n' "${STEP_TIMES[@]}" | sort -rn | sed -nE '1,12s/^([0-9.]+) /  \1s /p'
}

seconds_since() { awk -v now="$EPOCHREALTIME" -v then="$1" 'BEGIN { printf "%.3f", now - then }'; }
