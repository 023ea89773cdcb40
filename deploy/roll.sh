#!/usr/bin/env bash
# Replaces the containers of a service without an interruption: deploy/roll.sh <service>
#
# Starts one new container for each running one, with the current image and settings, waits until all are healthy, and then
# stops the old ones, one after the other, each with its grace period. If a new one is not healthy after 300 seconds, the
# new ones are removed and the old ones go on. For ingress, provisioner, gateway and outbound.
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
      echo "$service: a new container is not healthy after $HEALTHY_SECONDS seconds; their logs end with" >&2
      for container in "$@"; do docker logs --tail 10 "$container" >&2; done
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

# From here on Ctrl-C is ignored, because the new ones must stay. If stopping fails, some old ones remain.
trap - EXIT
trap '' INT TERM HUP
for container in "${old[@]}"; do
  docker stop "$container" >/dev/null
  docker rm "$container" >/dev/null
done
