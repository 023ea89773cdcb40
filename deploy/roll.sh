#!/usr/bin/env bash
# Replaces the containers of a service without an interruption: deploy/roll.sh <service>
#
# As many new containers as there are old ones are started with the current image and settings, and must become
# healthy. Then the old ones are stopped, one after the other, each with its grace period. If a new container does not
# become healthy, the new ones are removed and the old ones stay. For ingress, provisioner, gateway and outbound.
set -euo pipefail

case "${1:-}" in
  ingress | provisioner | gateway | outbound) service=$1 ;;
  *) echo "usage: deploy/roll.sh ingress | provisioner | gateway | outbound" >&2 && exit 2 ;;
esac
cd "$(dirname "${BASH_SOURCE[0]}")/.."

mapfile -t old < <(docker compose ps --all --quiet "$service")
count=${#old[@]}
[ "$count" -gt 0 ] || { echo "no container of $service runs: docker compose up -d $service" >&2 && exit 1; }

containers() { docker compose up --detach --no-deps --no-recreate --no-build --scale "$service=$1" "${@:2}" "$service"; }

if ! containers $((2 * count)) --wait; then
  echo "$service: the new containers are not healthy, the old ones go on" >&2
  docker compose ps --all --quiet "$service" | grep -vxFf <(printf '%s\n' "${old[@]}") | xargs --no-run-if-empty docker rm --force >/dev/null
  exit 1
fi
for container in "${old[@]}"; do
  docker stop "$container" >/dev/null
  docker rm "$container" >/dev/null
done
