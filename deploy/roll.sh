#!/usr/bin/env bash
# Replaces the containers of a service without an interruption: deploy/roll.sh <service>
#
# As many new containers as old ones run are started with the current image and settings. When all of them are healthy,
# the old ones are stopped, one after the other, each with its grace period. If one of the new ones does not become
# healthy, they are removed and the old ones go on. For ingress, provisioner, gateway and outbound.
set -euo pipefail

HEALTHY_SECONDS=300

case "${1:-}" in
  ingress | provisioner | gateway | outbound) service=$1 ;;
  *) echo "usage: deploy/roll.sh ingress | provisioner | gateway | outbound" >&2 && exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

containers() { docker compose ps --quiet "$service"; }
without_old() { grep -vxFf <(printf '%s\n' "${old[@]}") || true; }

remove_new() {
  echo "$service: the new containers are removed, the old ones go on" >&2
  docker compose ps --all --quiet "$service" | without_old | xargs --no-run-if-empty docker rm --force >/dev/null
}

wait_until_healthy() {
  local deadline=$((SECONDS + HEALTHY_SECONDS)) states
  while states=$(docker inspect --format '{{.State.Health.Status}}' "$@") && grep -vqx healthy <<<"$states"; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      echo "$service: a new container is not healthy after $HEALTHY_SECONDS seconds" >&2
      return 1
    fi
    sleep 1
  done
}

mapfile -t old < <(containers)
if [ "${#old[@]}" -eq 0 ]; then
  echo "no container of $service runs: docker compose up -d $service" >&2
  exit 1
fi
trap remove_new EXIT
docker compose up --detach --no-deps --no-recreate --no-build --scale "$service=$((2 * ${#old[@]}))" "$service"
mapfile -t new < <(containers | without_old)
if [ "${#new[@]}" -ne "${#old[@]}" ]; then
  echo "$service: ${#new[@]} of ${#old[@]} new containers run" >&2
  exit 1
fi
wait_until_healthy "${new[@]}"

# From here on the new ones must stay, also after Ctrl-C.
trap - EXIT
trap '' INT TERM HUP
for container in "${old[@]}"; do
  docker stop "$container" >/dev/null
  docker rm "$container" >/dev/null
done
