# shellcheck shell=bash
# What ./dev does with Docker, built on engine.sh and base-image.sh. Sourced by ./dev.

# This file exists while this checkout may have containers, firewall rules or an engine to clean up.
SANDBOXES_MARK="$STATE/uses-docker"

sandboxes_note() { touch "$SANDBOXES_MARK"; }

# Prepares Docker for the sandboxes; sandboxes_await waits for the image, which is built in the background.
sandboxes_begin() {
  sandboxes_note
  sandboxes_up
  sandbox_image_begin
}

sandboxes_await() {
  step "waiting for the sandbox image" sandbox_image_await || die "the sandbox image is not built, see above"
}

# Starts the engine and creates the sandboxes' network. Both take about a second, so they run in the foreground.
sandboxes_up() {
  step "docker engine" engine_up || die "no Docker engine answers. SANDBOX_RUNTIME=external ./dev up needs none and simulates the agent"
  sandboxes_networks_up
}

sandboxes_networks_up() {
  step "sandbox networks" engine_network_up || die "the Docker networks $SANDBOX_NETWORK and $DOORS_NETWORK cannot be created"
  step "firewall" engine_firewall_up || die "the firewall rules cannot be set, and sandboxes do not run without them"
}

# Builds the image in the background, during the cargo build: a new image takes minutes.
sandbox_image_begin() {
  say "sandbox image $SANDBOX_IMAGE (in the background)"
  SANDBOX_IMAGE_BEGAN=$EPOCHREALTIME
  sandbox_image_up >"$LOGS/sandbox-image.log" 2>&1 &
  SANDBOX_IMAGE_JOB=$!
}

sandbox_image_await() {
  local status=0
  wait "$SANDBOX_IMAGE_JOB" || status=$?
  STEP_TIMES+=("$(printf '%.1f' "$(seconds_since "$SANDBOX_IMAGE_BEGAN")") sandbox image (in the background)")
  if [ "$status" -ne 0 ]; then
    tail -n 30 "$LOGS/sandbox-image.log" >&2
    say "the sandbox image could not be built, the whole output is in $LOGS/sandbox-image.log"
  fi
  return "$status"
}

# Removes containers, firewall rules and network, and stops the engine if this checkout started it.
# `sandboxes_down purge` removes the volumes as well.
sandboxes_down() {
  if [ ! -e "$SANDBOXES_MARK" ]; then return 0; fi
  if sandboxes_engine; then
    sandboxes_remove
    if [ "${1:-}" = purge ]; then sandboxes_forget; fi
    engine_network_down
  fi
  engine_down
  rm -f "$SANDBOXES_MARK"
}

# Finds the engine that sandboxes_up used; does not start one.
sandboxes_engine() {
  if [ -n "${DOCKER_HOST:-}" ] && engine_answers; then return 0; fi
  if DOCKER_HOST="unix://$ENGINE_RUN/docker.sock" engine_answers; then
    export DOCKER_HOST="unix://$ENGINE_RUN/docker.sock"
    return 0
  fi
  unset DOCKER_HOST
  engine_answers
}

# Reads lines "<owner> <name>" and prints the names that belong to this checkout: checkouts share the engine.
sandboxes_ours() { awk -v owner="$SANDBOX_HOST-" 'index($1, owner) == 1 { print $2 }'; }

sandboxes_remove() {
  local ids
  mapfile -t ids < <(docker ps -a --format '{{.Label "clawkaka.owner"}} {{.ID}}' | sandboxes_ours)
  if [ "${#ids[@]}" -gt 0 ]; then
    say "removing ${#ids[@]} sandbox containers"
    docker rm -f "${ids[@]}" >/dev/null
  fi
}

sandboxes_forget() {
  local volumes
  mapfile -t volumes < <(docker volume ls --format '{{.Label "clawkaka.owner"}} {{.Name}}' | sandboxes_ours)
  if [ "${#volumes[@]}" -gt 0 ]; then docker volume rm "${volumes[@]}" >/dev/null; fi
}

sandboxes_list() {
  if [ -e "$SANDBOXES_MARK" ] && sandboxes_engine; then
    docker ps -a --filter label=clawkaka.sandbox --format '{{.Names}}\t{{.Status}}\t{{.Ports}}'
  fi
}
