# shellcheck shell=bash
# Starting, watching and stopping processes by pidfile. Sourced by ./dev.
#
#   process_start <name> "<VARIABLES>" <command…>   starts it in the background, output to .run/log/<name>.log
#   process_ready <name> <url> <seconds>            waits until the URL answers 2xx
#   process_listens <name> <host:port> <seconds>    waits until the port accepts connections
#   process_stop <name…>                            sends SIGTERM to all, waits, then sends SIGKILL
#
# A pidfile holds "<pid> <comm> <fingerprint>". The pid counts only while /proc shows the same comm for it, so that
# a process which reuses the number is never signalled.

# Longer than the services' own grace period of 20 seconds.
PROCESS_STOP_TENTHS=250

# Starts a process and exports only the named variables of ours to it. A process that already runs with the same
# command, variables and files is left alone; otherwise it is restarted.
process_start() {
  local name=$1 variables=$2 print
  shift 2
  print=$(process_fingerprint "$variables" "$@")
  if process_alive "$name"; then
    if [ "$(process_field "$name" 3)" = "$print" ]; then return 0; fi
    say "$name: restarting, its program or settings changed"
    process_stop "$name"
  fi
  process_launch "$name" "$variables" "$@"
  printf '%s %s %s\n' "$!" "$(process_comm "$1")" "$print" >"$PIDS/$name"
}

# Registers a process that another program started: `process_adopt <name> <pid> <comm> <host:port>`.
process_adopt() {
  printf '%s %s -\n' "$2" "$3" >"$PIDS/$1"
  printf '%s' "$4" >"$PIDS/$1.at"
}

process_launch() {
  local name=$1 variables=$2
  shift 2
  printf -- '--- %s: started %s\n' "$name" "$(date -u +%FT%TZ)" >>"$LOGS/$name.log"
  process_run "$variables" "$@" >>"$LOGS/$name.log" 2>&1 </dev/null &
}

# Replaces this shell with the command, in a session of its own, with at most MEMORY_LIMIT_KIB of private memory if that is
# set.
process_run() {
  if [ -n "${MEMORY_LIMIT_KIB:-}" ]; then ulimit -d "$MEMORY_LIMIT_KIB"; fi
  become_with "$1" setsid "${@:2}"
}

# Runs a command with the non-empty ones of these variables exported to it. Secrets are never command line arguments.
with_variables() { (become_with "$@"); }

# The same, but replaces this shell, so that its pid is the command's.
become_with() {
  local variable
  for variable in $1; do
    if [ -n "${!variable:-}" ]; then export "${variable?}"; fi
  done
  shift
  exec "$@"
}

process_alive() {
  local pid comm
  read -r pid comm _ 2>/dev/null <"$PIDS/$1" || return 1
  [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$comm" ] && process_exists "$pid"
}

process_ready() {
  printf '%s' "$2" >"$PIDS/$1.at"
  process_wait "$1" "$3" "did not answer at $2" curl -fsS -o /dev/null --max-time 2 "$2"
}

process_listens() {
  printf '%s' "$2" >"$PIDS/$1.at"
  process_wait "$1" "$3" "does not listen on $2" port_open "$2"
}

# `process_wait <name> <seconds> <complaint> <condition…>`
process_wait() {
  local name=$1 deadline=$((SECONDS + $2)) complaint=$3
  shift 3
  until "$@" 2>/dev/null; do
    # Between fork and exec the comm is still the shell's, so only the pid's existence is checked.
    if ! process_exists "$(process_field "$name" 1)"; then process_failed "$name" "$name stopped while starting"; fi
    if [ "$SECONDS" -ge "$deadline" ]; then process_failed "$name" "$name $complaint in time"; fi
    sleep 0.1
  done
}

process_failed() {
  printf '\nthe last lines of %s\n' "$LOGS/$1.log" >&2
  tail -n 25 "$LOGS/$1.log" >&2
  die "$2. The other processes keep running: fix the cause and repeat ./dev up (see ./dev status and ./dev logs $1), or run ./dev down"
}

process_stop() {
  local name signal
  for name in "$@"; do
    # On SIGTERM Postgres waits until every client has disconnected.
    signal=TERM
    if [ "$name" = postgres ]; then signal=INT; fi
    process_signal "$name" "$signal"
  done
  for name in "$@"; do process_gone "$name"; done
}

process_signal() {
  if process_alive "$1"; then kill -s "$2" "$(process_field "$1" 1)" 2>/dev/null || true; fi
}

process_gone() {
  for _ in $(seq "$PROCESS_STOP_TENTHS"); do
    process_alive "$1" || break
    sleep 0.1
  done
  if process_alive "$1"; then
    say "$1: still running after $((PROCESS_STOP_TENTHS / 10)) seconds, killing it"
    process_signal "$1" KILL
  fi
  rm -f "$PIDS/$1" "$PIDS/$1.at"
}

# Prints the state of a process: ready, up (alive, not ready), died, or down.
process_state() {
  local at
  at=$(cat "$PIDS/$1.at" 2>/dev/null || true)
  if [ ! -e "$PIDS/$1" ]; then
    echo down
  elif ! process_alive "$1"; then
    echo died
  elif process_answers "$at"; then
    echo ready
  else
    echo up
  fi
}

process_answers() {
  case "$1" in
    http*) curl -fsS -o /dev/null --max-time 2 "$1" 2>/dev/null ;;
    *) port_open "$1" ;;
  esac
}

# A hash of what requires a restart when it changes: the command, its variables and its files.
process_fingerprint() {
  local variable argument
  {
    for variable in $1; do printf '%s=%s\n' "$variable" "${!variable:-}"; done
    shift
    for argument in "$@"; do
      printf '%s\n' "$argument"
      if [ -f "$argument" ]; then stat -c '%i %Y %s' "$argument"; fi
    done
  } | sha256sum | cut -c1-16
}

process_field() { cut -d' ' -f"$2" "$PIDS/$1" 2>/dev/null || true; }

# The kernel truncates a program's name to fifteen characters.
process_comm() {
  local base=${1##*/}
  printf '%s' "${base:0:15}"
}

# A zombie counts as gone: it holds no port and ignores signals.
process_exists() {
  case "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" in "" | Z) return 1 ;; esac
}

port_open() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

# Fails with an explanation if another process listens on the address.
port_must_be_free() {
  local name=$1 address=$2
  if process_alive "$name" || ! port_open "$address"; then return 0; fi
  die "$name cannot listen on $address: another process does (ss -ltnp | grep :${address##*:}). Stop it, or choose another port, see ./dev help"
}
