# shellcheck shell=bash
# What a person types after ./dev. Sourced by ./dev.

PROCESSES=(postgres nats sim-meta sim-twilio sim-openrouter sim-openclaw ingress provisioner gateway outbound caddy)

# The demo plays the person and the operator at once, so it is given both sides.
DEMO_VARIABLES="NATS_URL DATABASE_URL CADDY_LISTEN SANDBOX_RUNTIME DOCKER_HOST SIM_META_LISTEN SIM_META_WEBHOOK_URL
  SIM_TWILIO_LISTEN SIM_OPENROUTER_LISTEN SIM_OPENCLAW_LISTEN WHATSAPP_VERIFICATION_TOKEN WHATSAPP_APP_SECRET WHATSAPP_ACCESS_TOKEN
  WHATSAPP_SENDER_PHONE_NUMBER_ID WHATSAPP_API_BASE_URL OPENROUTER_BASE_URL OPENROUTER_PROVISIONING_KEY"

# Leaves everything running, and changes nothing that already runs as it should.
command_up() {
  settings_load
  local uses=()
  if [ "$SANDBOX_RUNTIME" = docker ]; then uses=(docker); fi
  install_base "${uses[@]}"
  if [ "$SANDBOX_RUNTIME" = docker ]; then
    sandboxes_note
    sandboxes_up
    sandbox_image_begin
  fi
  step "postgres" postgres_up
  step "nats" nats_up
  step "building the services" services_build || die "the build failed, see above"
  quiet_step "streams, buckets and tables" services_prepare
  if [ "$SANDBOX_RUNTIME" = docker ]; then step "waiting for the sandbox image" sandbox_image_await; fi
  step "simulators" simulators_up
  step "services" services_up
  step "caddy" caddy_up
  say "everything is up"
  command_status
}

command_demo() {
  command_up
  say "demo"
  NATS_URL=$(nats_url admin) with_variables "$DEMO_VARIABLES" "$TARGET/debug/demo" "$@"
}

command_status() {
  local name
  if [ ! -d "$PIDS" ]; then
    echo "nothing was started from this checkout"
    return 0
  fi
  printf '\n%-16s %-6s %8s  %s\n' name state pid where
  for name in "${PROCESSES[@]}"; do
    printf '%-16s %-6s %8s  %s\n' "$name" "$(process_state "$name")" "$(process_field "$name" 1)" "$(cat "$PIDS/$name.at" 2>/dev/null || true)"
  done
  sandboxes_list | sed 's/^/sandbox /'
  printf '\nlogs: ./dev logs [name]   secrets: %s\n' "${SECRETS#"$ROOT"/}"
}

# Follows on a terminal, prints and ends elsewhere.
command_logs() {
  local files=("$LOGS"/*.log) follow=()
  if [ -n "${1:-}" ]; then files=("$LOGS/$1.log"); fi
  [ -e "${files[0]}" ] || die "no log of ${1:-anything} yet; there are: $(find "$LOGS" -name '*.log' -printf '%f ' 2>/dev/null)"
  if [ -t 1 ]; then follow=(-F); fi
  tail -n 100 "${follow[@]}" "${files[@]}"
}

# Stops what ./dev up started; state stays, unless --purge.
command_down() {
  local purge=
  case "${1:-}" in "") ;; --purge) purge=purge ;; *) die "down knows --purge only" ;; esac
  say "stopping"
  process_stop caddy ingress provisioner gateway outbound
  process_stop sim-meta sim-twilio sim-openrouter sim-openclaw
  sandboxes_down "$purge"
  process_stop nats postgres
  if [ -n "$purge" ]; then rm -rf "$STATE" "$(postgres_outside)"; fi
  say "down"
}

command_bench() {
  settings_load
  install_base
  step "building for release" cargo build --release --workspace --bins --manifest-path "$ROOT/Cargo.toml" || die "the build failed, see above"
  test_environment release
  "$TARGET/release/bench" "$@"
}

# A production machine's part: the engine is the machine's own, nothing of ours is started, and down removes nothing.
command_host() {
  settings_load
  install_packages docker
  sandboxes_up
  sandbox_image_begin
  sandbox_image_await
  say "$SANDBOX_NETWORK and $SANDBOX_IMAGE are ready; the firewall rules end with a reboot, so run this at boot"
}

# For a test run by hand: eval "$(./dev env)" && cargo nextest run -p …
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
./dev up              everything on loopback: Postgres, NATS, Caddy, simulators of Meta, Twilio and OpenRouter, Docker
                      with the sandbox image, and the four services. Installs what is missing. May be repeated at any time.
./dev demo [--call]   up, then a conversation with a real assistant, printed as it happens; --call phones it, too
./dev status          what runs, where, and whether it is ready
./dev logs [name]     follows all logs, or one
./dev down [--purge]  stops all of it; --purge also deletes databases, streams, sandboxes' volumes and secrets
./dev test [--quick]  every check and test, as CI runs them; --quick leaves out what needs Docker or minutes
./dev check           the checks without the tests
./dev env             what tests need to know, for a test run by hand: eval "$(./dev env)" && cargo nextest run -p …
./dev bench […]       measurements against a release build, all of them or one: load, calls [people], idle [sandboxes]
./dev secrets [dir]   makes the secret files docker-compose.yml reads, keeping those that are there
./dev host            makes this machine fit for sandboxes: network, firewall, image (production, at boot, as root)

Variables (see .env.example) come from the environment, else from .run/env, else from deploy/dev/settings.sh:
  SANDBOX_RUNTIME=external ./dev up                 no Docker: a simulated agent
  WHATSAPP_API_BASE_URL=https://… ./dev up          the real Meta: its simulator is not started
  TWILIO_AUTH_TOKEN=… BASE_URL=https://… ./dev up   the real Twilio, likewise
  DATABASE_URL, NATS_URL, OPENROUTER_BASE_URL, SANDBOX_EXTERNAL_URL    likewise
  PORT, POSTGRES_PORT, NATS_LISTEN, CADDY_LISTEN, … other ports
HELP
}
