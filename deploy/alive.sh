#!/bin/sh
# Runs a command that tells whether the container's process is alive: alive <failures> <command…>
#
# An engine restarts a container that ends, but not one that hangs. So after this many failures in a row, all processes
# of the container are killed, and the engine starts it again. Exit status: that of the command.
limit=$1
shift
count=/dev/shm/alive-failures

if "$@"; then
  rm -f "$count"
  exit 0
fi
echo failed >>"$count"
if [ "$(wc -l <"$count")" -ge "$limit" ]; then
  echo "no sign of life after $limit checks: ending the container" >&2
  # Spares this shell and process 1, which ends with its child.
  kill -KILL -1
fi
exit 1
