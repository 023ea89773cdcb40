# shellcheck shell=bash
# The commands of ./dev. Sourced by ./dev.

SIMULATORS=(sim-meta sim-twilio sim-openrouter sim-openclaw)
PROCESSES=(postgres nats "${SIMULATORS[@]}" ingress provisioner gateway outbound caddy)

# The demo acts as the person and as the operator, so it gets the settings of both.
DEMO_VARIABLES="DATABASE_URL CADDY_LISTEN SANDBOX_RUNTIME DOCKER_HOST SIM_META_LISTEN SIM_META_WEBHOOK_URL
  SIM_TWILIO_LISTEN SIM_OPENROUTER_LISTEN SIM_OPENCLAW_LISTEN WHATSAPP_VERIFICATION_TOKEN WHATSAPP_APP_SECRET WHATSAPP_ACCESS_TOKEN
  WHATSAPP_SENDER_PHONE_NUMBER_ID WHATSAPP_API_BASE_URL OPENROUTER_BASE_URL OPENROUTER_PROVISIONING_KEY"

# Starts everything and leaves it running; does not touch processes that already run with the right settings.
command_up() {
  case "${1:-}" in
    "") up_as_processes ;;
    --compose) up_in_containers ;;
    *) die "up accepts no option but --compose" ;;
  esac
  say "everything is up"
  command_status
}

up_as_processes() {
  if compose_is_up; then die "the system already runs in containers. Run ./dev down first, or ./dev up --compose"; fi
  settings_load
  local uses=()
  if [ "$SANDBOX_RUNTIME" = docker ]; then uses=(docker); fi
  install_base "${uses[@]}"
  if [ "$SANDBOX_RUNTIME" = docker ]; then sandboxes_begin; fi
  step "postgres" postgres_up
  step "nats" nats_up
  step "building the services" services_build || die "the build failed, see above"
  quiet_step "streams, buckets and tables" services_prepare
  if [ "$SANDBOX_RUNTIME" = docker ]; then sandboxes_await; fi
  step "simulators" simulators_up
  step "services" services_up
  step "caddy" caddy_up
}

up_in_containers() {
  settings_load compose
  if [ -n "$POSTGRES_ELSEWHERE$NATS_ELSEWHERE" ]; then die "docker-compose.yml has a Postgres and a NATS of its own: unset DATABASE_URL and NATS_URL"; fi
  if process_alive caddy; then die "the system already runs as processes. Run ./dev down first, or ./dev up"; fi
  install_base docker
  install_compose
  sandboxes_begin
  step "building the services" services_build || die "the build failed, see above"
  sandboxes_await
  step "simulators" simulators_up
  compose_up
}

# Shows the demo in the system that runs, or starts it.
command_demo() {
  if compose_is_up; then
    up_in_containers
    # shellcheck disable=SC2034  # with_variables reads it
    DATABASE_URL="postgres://clawkaka:$POSTGRES_PASSWORD@$(compose_address postgres data):5432/clawkaka"
  else
    up_as_processes
  fi
  command_status
  say "demo"
  with_variables "$DEMO_VARIABLES" "$TARGET/debug/demo" "$@"
}

command_status() {
  local processes=("${PROCESSES[@]}") name
  if [ ! -d "$PIDS" ]; then
    echo "nothing has been started from this checkout"
    return 0
  fi
  if compose_is_up; then
    compose_find
    echo
    compose_status
    processes=("${SIMULATORS[@]}")
  fi
  printf '\n%-16s %-6s %8s  %s\n' name state pid where
  for name in "${processes[@]}"; do
    printf '%-16s %-6s %8s  %s\n' "$name" "$(process_state "$name")" "$(process_field "$name" 1)" "$(cat "$PIDS/$name.at" 2>/dev/null || true)"
  done
  sandboxes_list | sed 's/^/sandbox /'
  printf '\nlogs: ./dev logs [name]   secrets: %s\n' "${SECRETS#"$ROOT"/}"
}

# On a terminal the command follows the logs; otherwise it prints them and ends.
command_logs() {
  local name=${1:-} files=("$LOGS"/*.log) follow=()
  if [ -n "$name" ]; then files=("$LOGS/$name.log"); fi
  if [ -t 1 ]; then follow=(-F); fi
  if compose_is_up && [[ $name != sim-* ]]; then
    compose_find
    compose logs --tail 100 ${follow[0]:+--follow} ${name:+"$name"}
    return
  fi
  [ -e "${files[0]}" ] || die "there is no log of ${name:-anything} yet; the logs are: $(find "$LOGS" -name '*.log' -printf '%f ' 2>/dev/null)"
  tail -n 100 "${follow[@]}" "${files[@]}"
}

# Stops everything that ./dev up started. Data is kept, unless --purge is given.
command_down() {
  local purge=
  case "${1:-}" in "") ;; --purge) purge=purge ;; *) die "down accepts no option but --purge" ;; esac
  say "stopping"
  compose_down "$purge"
  process_stop caddy ingress provisioner gateway outbound
  process_stop "${SIMULATORS[@]}"
  sandboxes_down "$purge"
  process_stop nats postgres
  if [ -n "$purge" ]; then rm -rf "$STATE" "$(postgres_outside)"; fi
  say "down"
}

# Builds the image of the services for production, from programs that are compiled here.
command_image() {
  settings_load
  install_base docker
  setting CLAWKAKA_IMAGE clawkaka/services:dev
  sandboxes_engine || die "the Docker engine does not answer: systemctl start docker"
  step "building for release" cargo build --locked --release --manifest-path "$ROOT/Cargo.toml" "${PROGRAMS[@]/#/--bin=}" ||
    die "the build failed, see above"
  quiet_step "image $CLAWKAKA_IMAGE" services_image_up "$TARGET/release"
}

command_bench() {
  settings_load
  install_base
  step "building for release" cargo build --release --workspace --bins --manifest-path "$ROOT/Cargo.toml" || die "the build failed, see above"
  test_environment release
  "$TARGET/release/bench" "$@"
}

# Prepares a production machine. It uses the machine's own Docker engine and starts no service; ./dev down removes
# nothing of it.
command_host() {
  settings_load
  install_packages docker
  install_compose
  step "docker engine" sandboxes_engine || die "the Docker engine does not answer: systemctl start docker"
  sandboxes_networks_up
  sandbox_image_begin
  sandbox_image_await || die "the sandbox image is not built, see above"
  containers_can_read_files
  settings_of_engine
  say "the networks and the image $SANDBOX_IMAGE are ready; a reboot removes the firewall rules, so run this at boot"
  say "in .env: DOCKER_GID=$DOCKER_GID"
}

# Prints the variables for tests run by hand: eval "$(./dev env)" && cargo nextest run -p …
command_env() {
  {
    settings_load
    install_base
    sandboxes_engine || true
  } >&2
  test_environment debug
  declare -p CLAWKAKA_NATS_SERVER CLAWKAKA_CADDY CLAWKAKA_PG_BIN CLAWKAKA_PG_USER CLAWKAKA_BIN_DIR
  declare -p OPENCLAW_SANDBOX_IMAGE SANDBOX_NETWORK SANDBOX_HOST_ADDRESS DOCKER_HOST 2>/dev/null || true
}

command_help() {
  cat <<'HELP'
./dev up              Start everything on loopback: Postgres, NATS, Caddy, simulators of Meta, Twilio and OpenRouter,
                      Docker with the sandbox image, and the four services. Installs what is missing. Safe to repeat.
./dev up --compose    The same in containers: docker-compose.yml as it is deployed, with simulators outside it.
./dev demo [--call]   Run up, then print a conversation with a real assistant as it happens; --call also phones it.
./dev status          Show which processes or containers run, where, and whether they are ready.
./dev logs [name]     Follow all logs, or one.
./dev down [--purge]  Stop everything; --purge also deletes databases, streams, the sandboxes' volumes and secrets.
./dev test [--quick]  Run every check and test, as CI does; --quick runs only format, lints, spelling, and the unit and
                      service tests that need no Docker.
./dev test --compose  Run the system tests against docker-compose.yml; ./dev test repeats only some of them there.
./dev soak            Run the tests that take minutes.
./dev check           Run the checks without the tests.
./dev env             Print the variables for tests run by hand: eval "$(./dev env)" && cargo nextest run -p …
./dev bench […]       Measure a release build: everything, or one of load, strangers, calls [users], idle [sandboxes], render.

On a server, see docs/operations.md:
./dev host            Prepare this machine for sandboxes: networks, firewall, image, Docker Compose (at boot, as root).
./dev secrets [dir]   Create the secret files that docker-compose.yml reads; existing files are kept.
./dev image           Build the image of the services from programs compiled on this machine, without a registry.

Variables (see .env.example) are read from the environment, then from .run/env, then from deploy/dev/settings.sh:
  SANDBOX_RUNTIME=external ./dev up                 Use a simulated agent and no Docker.
  WHATSAPP_API_BASE_URL=https://… ./dev up          Use the real Meta; its simulator is not started.
  TWILIO_AUTH_TOKEN=… BASE_URL=https://… ./dev up   Use the real Twilio; its simulator is not started.
  DATABASE_URL, NATS_URL, OPENROUTER_BASE_URL, SANDBOX_EXTERNAL_URL    The same for each of these.
  PORT, POSTGRES_PORT, NATS_LISTEN, CADDY_LISTEN, … Use other ports.
HELP
}
