#!/bin/sh
# Runs a command that tells whether the container's process is alive: alive <failures>[:<status>] <command…>
#
# An engine restarts a container that ends, but not one that hangs. So after this many failures in a row, all processes
# of the container are killed, and the engine starts it again. With <status>, only a command that exits with it has
# failed: a service that refuses connections is stopping, and one that does not answer hangs. Until the first success,
# while the process may initialise or recover its data, the number is thirty times as large.
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
  # Spares this shell and process 1, which ends with its child.
  kill -KILL -1
fi
exit 1
