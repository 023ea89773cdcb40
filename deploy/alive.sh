#!/bin/sh
# Runs a command that tells whether the container's process is alive: alive <failures>[:<status>] <command…>
#
# An engine restarts a container that ends, but not one that hangs. So after this many failures without a success between
# them, all processes of the container are killed, and the engine starts it again. With <status>, only this exit status
# counts: curl's 28 is a time-out, so the process hangs, whereas one that refuses connections is starting or stopping.
# Before the first success, while the process may initialise or recover its data, thirty times as many are allowed.
limit=${1%%:*}
failure=${1#"$limit"}
failure=${failure#:}
shift
count=/dev/shm/alive-failures started=/dev/shm/alive-started

"$@"
status=$?
if [ "$status" -eq 0 ]; then
  rm -f "$count"
  : >"$started"
  exit 0
fi
if [ -n "$failure" ] && [ "$status" -ne "$failure" ]; then exit 1; fi
echo failed >>"$count"
if [ ! -e "$started" ]; then limit=$((30 * limit)); fi
if [ "$(wc -l <"$count")" -ge "$limit" ]; then
  echo "no sign of life after $limit checks: ending the container" >&2
  # This kills neither this shell nor process 1, the init program, which exits when its child has died.
  kill -KILL -1
fi
exit 1
