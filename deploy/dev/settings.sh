# shellcheck shell=bash
# Paths, and the settings of all processes. Sourced by ./dev.
#
# The caller's environment takes precedence. Random secrets are generated once and kept in .run/env, readable by its
# owner only. No variable is exported to all processes: each process gets the variables it needs.
# shellcheck disable=SC2034  # process.sh and services.sh read most variables by their names

CLAWKAKA_CACHE="${CLAWKAKA_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/clawkaka}"
STATE="${CLAWKAKA_STATE:-$ROOT/.run}"
LOGS="$STATE/log"
PIDS="$STATE/pid"
SECRETS="$STATE/env"

# CI makes a fresh clone for every run; a target directory outside the clone keeps the dependencies built. Each clone
# compiles our crates once, so incremental compilation would only take time and several GB of disk.
if [ "${CI:-}" = true ]; then
  export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$CLAWKAKA_CACHE/target}" CARGO_INCREMENTAL=0
fi
TARGET="${CARGO_TARGET_DIR:-$ROOT/target}"
# Checkouts may share one Docker engine; this label tells which checkout owns a container.
SANDBOX_HOST="${SANDBOX_HOST:-dev-$(printf '%s' "$ROOT" | sha256sum | cut -c1-6)}"

# `setting NAME value` sets a variable that is unset or empty.
setting() {
  if [ -z "${!1:-}" ]; then declare -g "$1=$2"; fi
}

# `settings_load [compose]`
settings_load() {
  umask 022
  mkdir -p "$LOGS" "$PIDS"
  settings_note_what_is_elsewhere
  secrets_load
  if [ "${1:-}" = compose ]; then settings_of_compose; fi
  settings_of_infrastructure
  settings_of_simulators
  settings_of_services
}

# A server whose address the caller has set is neither started nor stopped here.
settings_note_what_is_elsewhere() {
  setting SANDBOX_RUNTIME docker
  case "$SANDBOX_RUNTIME" in docker | external) ;; *) die "SANDBOX_RUNTIME: expected docker or external, not $SANDBOX_RUNTIME" ;; esac
  POSTGRES_ELSEWHERE=${DATABASE_URL:+yes} NATS_ELSEWHERE=${NATS_URL:+yes}
  META_ELSEWHERE=${WHATSAPP_API_BASE_URL:+yes} TWILIO_ELSEWHERE=${TWILIO_AUTH_TOKEN:+yes} OPENROUTER_ELSEWHERE=${OPENROUTER_BASE_URL:+yes}
  OPENCLAW_ELSEWHERE=${SANDBOX_EXTERNAL_URL:+yes}
}

settings_of_infrastructure() {
  setting POSTGRES_PORT 5468
  setting DATABASE_URL "postgres://clawkaka:$POSTGRES_PASSWORD@127.0.0.1:$POSTGRES_PORT/clawkaka"
  setting NATS_LISTEN 127.0.0.1:4222
  setting NATS_MONITOR 127.0.0.1:8222
  setting NATS_STORE_DIR "$STATE/nats"
  setting CADDY_LISTEN 127.0.0.1:8080
  setting CADDY_BIND "${CADDY_LISTEN%:*}"
  setting CADDY_ADMIN off
  setting API_SITE "http://:${CADDY_LISTEN##*:}"
  # Twilio's signatures cover this address; the simulated Twilio connects to Caddy instead of resolving it.
  if [ -z "$TWILIO_ELSEWHERE" ]; then setting BASE_URL https://api.clawkaka.example; fi
  setting CONSOLE_SITE "http://console.localhost:${CADDY_LISTEN##*:}"
  setting HEALTH_SITE "http://health.localhost:${CADDY_LISTEN##*:}"
  XDG_DATA_HOME="$STATE/caddy" XDG_CONFIG_HOME="$STATE/caddy"
}

# A sandbox can reach this host only at the bridge's address, so the model simulator listens there.
settings_of_simulators() {
  local model_host=127.0.0.1
  if [ "$SANDBOX_RUNTIME" = docker ]; then model_host=$SANDBOX_HOST_ADDRESS; fi
  setting SIM_META_LISTEN 127.0.0.1:18081
  setting SIM_META_WEBHOOK_URL "http://$CADDY_LISTEN/whatsapp/webhook"
  setting SIM_TWILIO_LISTEN 127.0.0.1:18084
  setting SIM_TWILIO_VOICE_URL "$BASE_URL/voice/webhook/voice"
  setting SIM_TWILIO_FALLBACK_URL "$BASE_URL/voice/webhook/fallback"
  setting SIM_TWILIO_STATUS_URL "$BASE_URL/voice/webhook/call-status"
  setting SIM_TWILIO_CONNECT_TO "$CADDY_LISTEN"
  setting TWILIO_ACCOUNT_SID AC00000000000000000000000000000001
  setting TWILIO_PHONE_NUMBER +14155550199
  setting SIM_OPENROUTER_LISTEN "$model_host:18080"
  setting SIM_OPENCLAW_LISTEN 127.0.0.1:18789
  setting WHATSAPP_API_BASE_URL "http://$SIM_META_LISTEN/v24.0"
  if [ -z "$OPENROUTER_ELSEWHERE" ] && [ "$SANDBOX_RUNTIME" = docker ]; then
    setting SANDBOX_OPENROUTER_BASE_URL http://host.docker.internal:18080/api/v1
  fi
  setting OPENROUTER_BASE_URL "http://${SIM_OPENROUTER_LISTEN%%,*}/api/v1"
  if [ "$SANDBOX_RUNTIME" = external ]; then
    setting SANDBOX_EXTERNAL_URL "ws://$SIM_OPENCLAW_LISTEN/{sandbox}"
  fi
}

settings_of_services() {
  setting LOG_FORMAT human
  setting RUST_LOG info
  setting PORT 3001
  setting LISTEN_HOST 127.0.0.1
  setting PROVISIONER_HEALTH_PORT 3102
  setting GATEWAY_HEALTH_PORT 3103
  setting OUTBOUND_HEALTH_PORT 3104
  setting INGRESS_FROM "to 127.0.0.1:$PORT"
  setting WHATSAPP_SENDER_PHONE_NUMBER_ID 106540352242922
  if [ -z "$META_ELSEWHERE" ]; then setting WHATSAPP_TEMPLATE assistant_writes:en; fi
  setting OPENCLAW_SANDBOX_IMAGE "$SANDBOX_IMAGE"
  setting OPENCLAW_MODEL openrouter/auto
}

# Reads the secrets in .run/env and generates those that are missing.
secrets_load() {
  local name value user
  [ -e "$SECRETS" ] || (umask 077 && : >"$SECRETS")
  while IFS='=' read -r name value; do
    if [ -n "$name" ]; then setting "$name" "$value"; fi
  done <"$SECRETS"
  for user in ADMIN INGRESS GATEWAY PROVISIONER OUTBOUND; do secret "NATS_${user}_PASSWORD" "n$(random_hex 16)"; done
  secret POSTGRES_PASSWORD "p$(random_hex 16)"
  for user in PROVISIONER GATEWAY OUTBOUND; do secret "DATABASE_PASSWORD_$user" "d$(random_hex 16)"; done
  secret CLAWKAKA_MASTER_KEY "dev1:$(random_hex 32)"
  secret USER_ID_KEY "$(random_hex 32)"
  secret PIN_PRIVATE_KEY "$(random_hex 32)"
  setting PIN_PUBLIC_KEY "$(pin_public_key "$PIN_PRIVATE_KEY")"
  secret WHATSAPP_VERIFICATION_TOKEN "verify-$(random_hex 8)"
  secret WHATSAPP_APP_SECRET "$(random_hex 16)"
  secret WHATSAPP_ACCESS_TOKEN "sim-$(random_hex 16)"
  secret TWILIO_AUTH_TOKEN "$(random_hex 16)"
  secret OPENROUTER_PROVISIONING_KEY "sk-or-v1-sim-$(random_hex 16)"
  secret SANDBOX_EXTERNAL_TOKEN "$(random_hex 16)"
}

# Generates a secret that is neither in the caller's environment nor in .run/env. The caller's secrets are not written
# to .run/env.
secret() {
  if [ -n "${!1:-}" ]; then return 0; fi
  declare -g "$1=$2"
  printf '%s=%s\n' "$1" "$2" >>"$SECRETS"
}

# The X25519 public key of a private one, both in hex. The digits before the key are the header of PKCS #8.
pin_public_key() {
  printf '%b' "$(printf '302e020100300506032b656e04220420%s' "$1" | sed 's/../\\x&/g')" |
    openssl pkey -inform DER -pubout -outform DER | tail -c 32 | od -An -v -tx1 | tr -d ' \n'
}

random_hex() { od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'; }

# The address of the database for the role of a service; an address that the caller has set is used unchanged.
database_url() {
  local password="DATABASE_PASSWORD_${1^^}"
  if [ -n "$POSTGRES_ELSEWHERE" ] || [ -z "${!password:-}" ]; then
    printf '%s' "$DATABASE_URL"
  else
    printf 'postgres://%s:%s@127.0.0.1:%s/clawkaka' "$1" "${!password}" "$POSTGRES_PORT"
  fi
}

# The address of the bus for one of its users; an address that the caller has set is used unchanged.
nats_url() {
  local password="NATS_${1^^}_PASSWORD"
  if [ -n "$NATS_ELSEWHERE" ]; then printf '%s' "$NATS_URL"; else printf 'nats://%s:%s@%s' "$1" "${!password}" "$NATS_LISTEN"; fi
}
