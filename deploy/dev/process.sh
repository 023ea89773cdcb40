# shellcheck shell=bash
# Starting, watching and stopping processes by pidfile. Sourced by ./dev.
#
#   process_start <name> "<VARIABLES>" <command…>   in the background, output to .run/log/<name>.log
#   process_ready <name> <url> <seconds>            waits until the url answers 2xx
#   process_listens <name> <host:port> <seconds>    waits until the port takes connections
#   process_stop <name…>                            asks all to stop, waits, then insists
#
# A pidfile holds "<pid> <comm> <fingerprint>". The pid counts only while /proc agrees about the name, so a
# number taken by a stranger is never signalled.

# Longer than the services' own grace of 20 seconds.
PROCESS_STOP_TENTHS=250

# Starts a process with the named variables exported to it and no others of ours. One that already runs with the
# same command, variables and files is left alone; one that differs is restarted.
process_start() {
  local name=$1 variables=$2 print
  shift 2
  print=$(process_fingerprint "$variables" "$@")
  if process_alive "$name"; then
    if [ "$(process_field "$name" 3)" = "$print" ]; then return 0; fi
    say "$name: restarting, it or its settings changed"
    process_stop "$name"
  fi
  process_launch "$name" "$variables" "$@"
  printf '%s %s %s\n' "$!" "$(process_comm "$1")" "$print" >"$PIDS/$name"
}

# Takes charge of a process that something else started: `process_adopt <name> <pid> <comm> <host:port>`.
process_adopt() {
  printf '%s %s -\n' "$2" "$3" >"$PIDS/$1"
  printf '%s' "$4" >"$PIDS/$1.at"
}

process_launch() {
  local name=$1 variables=$2
  shift 2
  printf -- '--- %s: started %s\n' "$name" "$(date -u +%FT%TZ)" >>"$LOGS/$name.log"
  become_with "$variables" setsid "$@" >>"$LOGS/$name.log" 2>&1 </dev/null &
}

# Runs a command with these variables exported to it, empty ones left out. A secret never stands on a command line.
with_variables() { (become_with "$@"); }

# The same in place of this shell, so that the pid is the command's own.
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
    # Between fork and exec the name is still the shell's, so only a process that is gone counts as dead.
    if ! process_exists "$(process_field "$name" 1)"; then process_failed "$name" "$name stopped while starting"; fi
    if [ "$SECONDS" -ge "$deadline" ]; then process_failed "$name" "$name $complaint in time"; fi
    sleep 0.1
  done
}

process_failed() {
  printf '\nlast lines of %s\n' "$LOGS/$1.log" >&2
  tail -n 25 "$LOGS/$1.log" >&2
  die "$2. Everything else is left as it is: mend and run ./dev up again, see ./dev status and ./dev logs $1, or ./dev down"
}

process_stop() {
  local name signal
  for name in "$@"; do
    # To Postgres TERM means to wait until every client has left.
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
    say "$1: does not stop, killing it"
    process_signal "$1" KILL
  fi
  rm -f "$PIDS/$1" "$PIDS/$1.at"
}

# One word about a process: ready, up (alive, not ready), died, or down.
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

# What a running process would have to be restarted for: command, settings, and the files it was started from.
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

# The kernel keeps fifteen characters of a program's name.
process_comm() {
  local base=${1##*/}
  printf '%s' "${base:0:15}"
}

# A zombie does not exist: it holds no port and takes no signal.
process_exists() {
  case "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" in "" | Z) return 1 ;; esac
}

port_open() { (exec 3<>"/dev/tcp/${1%:*}/${1##*:}") 2>/dev/null; }

# Says who is in the way, before a server of ours dies of it.
port_must_be_free() {
  local name=$1 address=$2
  if process_alive "$name" || ! port_open "$address"; then return 0; fi
  die "$name cannot listen on $address: something else does (ss -ltnp | grep :${address##*:}). Stop it, or choose another port, see ./dev help"
}
