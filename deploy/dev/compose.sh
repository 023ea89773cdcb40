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
  setting CLAWKAKA_IMAGE clawkaka/services:dev
  setting CLAWKAKA_ENV_FILE "$COMPOSE_STATE/env"
  setting CLAWKAKA_SECRETS "$COMPOSE_STATE/secrets"
  setting HEALTH_INTERVAL 2s
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
  step "images of the servers" upstream_images_up || die "the images of Postgres, NATS and Caddy are missing"
  quiet_step "image of the services" services_image_up "$TARGET/debug"
  compose_write_settings
  secret_files "$CLAWKAKA_SECRETS"
  step "containers" compose up -d --wait --wait-timeout "$COMPOSE_READY_SECONDS" --no-build --remove-orphans ||
    die "not every container is healthy: docker compose ps, see ./dev logs"
}

# Writes every setting of .env.example that has a value here.
compose_write_settings() {
  local name
  mkdir -p "$COMPOSE_STATE"
  while read -r name; do
    if [ -n "${!name:-}" ]; then printf '%s=%s\n' "$name" "${!name}"; fi
  done < <((sed -nE '/\.\/dev only/q; s/^(# ?)?([A-Z][A-Z0-9_]*)=.*/\2/p' "$ROOT/.env.example"; grep -oE '\$\{[A-Z_]+' docker-compose.yml | sed 's/..//') | grep -v TWILIO_AUTH_TOKEN | sort -u) >"$COMPOSE_STATE/env"
}

# Docker Compose with the file and the settings of this checkout.
compose() {
  local files=(--file "$ROOT/docker-compose.yml")
  if [ "$SANDBOX_RUNTIME" = external ]; then files+=(--file "$ROOT/deploy/compose/external-sandboxes.yml"); fi
  docker compose --env-file "$COMPOSE_STATE/env" "${files[@]}" "$@"
}

# Stops the project and removes its containers; `compose_down purge` removes the volumes as well.
compose_down() {
  local options=(--remove-orphans)
  if ! compose_is_up; then return 0; fi
  if [ "${1:-}" = purge ]; then options+=(--volumes); fi
  if sandboxes_engine; then
    # Callers may talk for minutes before ingress stops.
    compose down --timeout 30 "${options[@]}"
  fi
  rm -rf "$COMPOSE_STATE"
}

# The address of a container on one of the project's networks: `compose_address <service> <network>`.
compose_address() {
  docker inspect --format "{{(index .NetworkSettings.Networks \"clawkaka_$2\").IPAddress}}" "$(compose ps -q "$1")"
}

compose_status() {
  compose ps --format 'table {{.Name}}\t{{.Status}}\t{{.Ports}}'
}
