# shellcheck shell=bash
# Runs docker-compose.yml on this machine, with simulators outside it: ./dev up --compose. Sourced by ./dev.

# The settings and secret files of the project. The directory exists while the project may have containers.
COMPOSE_STATE="$STATE/compose"
COMPOSE_READY_SECONDS=300

compose_is_up() { [ -e "$COMPOSE_STATE/env" ]; }

# What differs from processes on the host: containers reach the simulators at the host's address on the sandboxes'
# bridge, and Caddy has its usual ports inside its container.
settings_of_compose() {
  setting CADDY_LISTEN 127.0.0.1:8080
  setting HTTP_LISTEN "$CADDY_LISTEN"
  setting HTTPS_LISTEN 127.0.0.1:8443
  # Every name under `localhost` gets a certificate of Caddy's own authority. Simulators use plain HTTP.
  setting API_SITE "https://api.clawkaka.localhost, http://"
  setting CONSOLE_SITE "https://console.clawkaka.localhost, http://console.localhost"
  setting SIM_META_LISTEN "$SANDBOX_HOST_ADDRESS:18081"
  setting SIM_OPENROUTER_LISTEN "$SANDBOX_HOST_ADDRESS:18080"
  setting SIM_OPENCLAW_LISTEN "$SANDBOX_HOST_ADDRESS:18789"
  setting CLAWKAKA_IMAGE "clawkaka/services:$SANDBOX_HOST"
  # Each checkout has a project of its own, and none is that of a deployment.
  setting COMPOSE_PROJECT_NAME "clawkaka-$SANDBOX_HOST"
  setting BRIDGE_TAG "${SANDBOX_HOST: -4}"
  setting CLAWKAKA_ENV_FILE "$COMPOSE_STATE/env"
  setting CLAWKAKA_SECRETS "$COMPOSE_STATE/secrets"
  setting HEALTH_INTERVAL 2s
  if [ "$SANDBOX_RUNTIME" = external ]; then
    setting COMPOSE_FILE docker-compose.yml:deploy/compose/external-sandboxes.yml
  fi
}

# Known only when the engine runs.
settings_of_engine() {
  local socket=/var/run/docker.sock
  case "${DOCKER_HOST:-}" in unix://*) socket=${DOCKER_HOST#unix://} ;; esac
  setting DOCKER_SOCKET "$(readlink -f "$socket")"
  setting DOCKER_GID "$(stat -c %g "$DOCKER_SOCKET")"
  setting UPLINK_MTU "$(engine_uplink_mtu)"
}

compose_up() {
  settings_of_engine
  quiet_step "images of the servers" upstream_images_up
  quiet_step "image of the services" services_image_up "$TARGET/debug"
  containers_can_read_files
  compose_write_settings
  secret_files "$CLAWKAKA_SECRETS"
  quiet_step "containers" compose_start
}

compose_start() {
  local unhealthy
  compose up --detach --wait --wait-timeout "$COMPOSE_READY_SECONDS" --no-build --remove-orphans && return 0
  mapfile -t unhealthy < <(compose ps --all --format '{{.Service}} {{.Status}}' | awk '!/\(healthy\)|Exited \(0\)/ { print $1 }' | sort -u)
  compose logs --no-color --tail 10 "${unhealthy[@]}"
  return 1
}

# Containers read these files of the checkout as users of their own, and a strict umask keeps others out.
containers_can_read_files() {
  chmod a+rX "$ROOT" "$ROOT/deploy" "$ROOT/deploy/alive.sh" "$ROOT/nats.conf" "$ROOT/Caddyfile"
}

# Writes every setting of .env.example that has a value here, quoted, so that Compose changes nothing in it.
compose_write_settings() {
  local name
  mkdir -p "$COMPOSE_STATE"
  while read -r name; do
    if [ -n "${!name:-}" ]; then printf "%s='%s'\n" "$name" "${!name}"; fi
  done < <(sed -nE '/\.\/dev only/q; s/^(# ?)?([A-Z][A-Z0-9_]*)=.*/\2/p' "$ROOT/.env.example") >"$COMPOSE_STATE/env"
}

# Docker Compose with the settings of this checkout.
compose() { docker compose --project-directory "$ROOT" --env-file "$COMPOSE_STATE/env" "$@"; }

# Finds the engine of the running project; compose_up does so itself.
compose_find() { sandboxes_engine || die "the Docker engine does not answer, see ./dev up --compose"; }

# Stops the project and removes its containers; `compose_down purge` removes the volumes as well, also those of a
# project that was stopped before.
compose_down() {
  local volumes
  if compose_is_up; then
    compose_find
    # Callers may talk for minutes before ingress stops.
    quiet_step "stopping the containers" compose down --timeout 30 --remove-orphans
    rm -rf "$COMPOSE_STATE"
  fi
  if [ -n "${1:-}" ] && [ -e "$SANDBOXES_MARK" ] && sandboxes_engine; then
    mapfile -t volumes < <(docker volume ls -q --filter "label=com.docker.compose.project=clawkaka-$SANDBOX_HOST")
    if [ "${#volumes[@]}" -gt 0 ]; then docker volume rm "${volumes[@]}" >/dev/null; fi
  fi
}

# The address of a container on one of the project's networks: `compose_address <service> <network>`.
compose_address() {
  docker inspect --format "{{(index .NetworkSettings.Networks \"${COMPOSE_PROJECT_NAME}_$2\").IPAddress}}" "$(compose ps -q "$1")"
}

compose_status() { compose ps --all --format 'table {{.Name}}\t{{.Status}}\t{{.Ports}}'; }
