# shellcheck shell=bash
# Everything ./dev does with Docker, in terms of engine.sh and base-image.sh. Sourced by ./dev.

# Present while this checkout may have containers, rules or an engine to clean up.
SANDBOXES_MARK="$STATE/uses-docker"

sandboxes_note() { touch "$SANDBOXES_MARK"; }

# The engine and the sandboxes' network, in the foreground: both take a second.
sandboxes_up() {
  step "docker engine" engine_up || die "no Docker engine. SANDBOX_RUNTIME=external ./dev up does without, with a simulated agent"
  step "sandbox network" engine_network_up || die "cannot make the docker network $SANDBOX_NETWORK"
  step "firewall" engine_firewall_up || die "sandboxes are not run without their firewall"
}

# The image takes minutes when it is new, so it is made beside the cargo build.
sandbox_image_begin() {
  say "sandbox image $SANDBOX_IMAGE (beside what follows)"
  SANDBOX_IMAGE_BEGAN=$EPOCHREALTIME
  sandbox_image_up >"$LOGS/sandbox-image.log" 2>&1 &
  SANDBOX_IMAGE_JOB=$!
}

sandbox_image_await() {
  wait "$SANDBOX_IMAGE_JOB" || {
    tail -n 30 "$LOGS/sandbox-image.log" >&2
    die "the sandbox image could not be made, the whole output is in $LOGS/sandbox-image.log"
  }
  STEP_TIMES+=("$(printf '%.1f' "$(seconds_since "$SANDBOX_IMAGE_BEGAN")") sandbox image (beside the build)")
}

# Containers, rules, network; the engine only if we started it. `sandboxes_down purge` takes the volumes as well.
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

# Finds the engine that sandboxes_up used, without starting one.
sandboxes_engine() {
  if [ -n "${DOCKER_HOST:-}" ] && engine_answers; then return 0; fi
  if DOCKER_HOST="unix://$ENGINE_RUN/docker.sock" engine_answers; then
    export DOCKER_HOST="unix://$ENGINE_RUN/docker.sock"
    return 0
  fi
  unset DOCKER_HOST
  engine_answers
}

# Of lines "<owner> <name>" the names that are this checkout's: the engine may serve others as well.
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
