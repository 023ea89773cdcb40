# shellcheck shell=bash
# Builds our own programs and starts each with its variables, in order. Sourced by ./dev.
# shellcheck disable=SC2034,SC2153  # process.sh reads the variables by their names

COMMON_VARIABLES="LOG_FORMAT RUST_LOG OTEL_EXPORTER_OTLP_ENDPOINT SHUTDOWN_GRACE_SECONDS"
PROVISIONER_VARIABLES="DATABASE_URL CLAWKAKA_MASTER_KEY SANDBOX_RUNTIME SANDBOX_EXTERNAL_URL SANDBOX_EXTERNAL_TOKEN
  OPENCLAW_SANDBOX_IMAGE OPENCLAW_MODEL OPENROUTER_PROVISIONING_KEY OPENROUTER_BASE_URL SANDBOX_OPENROUTER_BASE_URL
  PORT_RANGE_START PORT_RANGE_END SANDBOX_CAP SANDBOX_MEMORY_RESERVE_MB SANDBOX_MEMORY_MB POOL_SIZE
  SANDBOX_KEY_LIMIT_USD SANDBOX_KEY_LIMIT_RESET SANDBOX_NETWORK SANDBOX_HOST_ADDRESS
  SANDBOX_HEARTBEAT_EVERY DOCKER_HOST SANDBOX_HOST SANDBOX_STARTS_AT_ONCE
  SANDBOX_START_LIMIT_SECONDS RECONCILE_SECONDS WAKE_LEAD_SECONDS SANDBOX_TIME_ZONE SANDBOX_PUBLISHED_ON"
# A service that wants more memory ends, so that it does not take that of others. Twice as much as the largest limit in
# docker-compose.yml, because this one also counts what is reserved and not used, such as the stacks of threads.
SERVICE_MEMORY_KIB=$((2 * 1024 * 1024))
# No service waits for a sandbox before it is ready: the provisioner starts sandboxes later.
SERVICE_READY_SECONDS=30

services_build() {
  cargo build --workspace --bins --manifest-path "$ROOT/Cargo.toml"
}

# Creates or updates streams, buckets and tables. Safe to repeat.
services_prepare() {
  local NATS_URL
  NATS_URL=$(nats_url admin)
  with_variables "DATABASE_URL DATABASE_PASSWORD_PROVISIONER DATABASE_PASSWORD_GATEWAY DATABASE_PASSWORD_OUTBOUND USER_ID_KEY
    $COMMON_VARIABLES" "$TARGET/debug/clawkaka" db migrate &&
    with_variables "NATS_URL USER_ID_KEY $COMMON_VARIABLES" "$TARGET/debug/clawkaka" bus ensure
}

simulators_up() {
  if [ -z "$META_ELSEWHERE" ]; then
    program_start sim-meta "$SIM_META_LISTEN" "SIM_META_LISTEN SIM_META_WEBHOOK_URL WHATSAPP_APP_SECRET
      WHATSAPP_ACCESS_TOKEN WHATSAPP_SENDER_PHONE_NUMBER_ID WHATSAPP_VERIFICATION_TOKEN"
  fi
  if [ -z "$TWILIO_ELSEWHERE" ]; then
    program_start sim-twilio "$SIM_TWILIO_LISTEN" "SIM_TWILIO_LISTEN SIM_TWILIO_VOICE_URL SIM_TWILIO_FALLBACK_URL
      SIM_TWILIO_STATUS_URL SIM_TWILIO_CONNECT_TO TWILIO_ACCOUNT_SID TWILIO_AUTH_TOKEN TWILIO_PHONE_NUMBER"
  fi
  if [ -z "$OPENROUTER_ELSEWHERE" ]; then
    program_start sim-openrouter "${SIM_OPENROUTER_LISTEN%%,*}" "SIM_OPENROUTER_LISTEN OPENROUTER_PROVISIONING_KEY"
  fi
  if [ "$SANDBOX_RUNTIME" = external ] && [ -z "$OPENCLAW_ELSEWHERE" ]; then
    program_start sim-openclaw "$SIM_OPENCLAW_LISTEN" "SIM_OPENCLAW_LISTEN SANDBOX_EXTERNAL_TOKEN"
  fi
}

# Starts a simulator; it is ready when its port accepts connections.
program_start() {
  port_must_be_free "$1" "$2"
  process_start "$1" "LOG_FORMAT RUST_LOG $3" "$TARGET/debug/$1"
  process_listens "$1" "$2" "$READY_SECONDS"
}

# Starts all four services, then waits for each.
services_up() {
  service_start ingress "$PORT" "PORT LISTEN_HOST WHATSAPP_VERIFICATION_TOKEN WHATSAPP_APP_SECRET WHATSAPP_SENDER_PHONE_NUMBER_ID
    USER_ID_KEY PIN_PUBLIC_KEY TWILIO_AUTH_TOKEN BASE_URL VOICE_MODE CALL_GRACE_SECONDS TRUSTED_PROXIES"
  service_start provisioner "$PROVISIONER_HEALTH_PORT" "$PROVISIONER_VARIABLES"
  service_start gateway "$GATEWAY_HEALTH_PORT" "DATABASE_URL CLAWKAKA_MASTER_KEY PIN_PRIVATE_KEY DATABASE_CONNECTIONS TURN_LIMIT_SECONDS
    TURN_IDLE_SECONDS STILL_WORKING_SECONDS STILL_WAKING_SECONDS SLEEP_AFTER_SECONDS JOB_WAKES_PER_DAY HEARTBEAT_WAKES_PER_DAY
    BACKLOG_MESSAGES VOICE_TRUST QUIET_HOURS PROACTIVE_PER_DAY ADMISSION ADMISSION_PER_HOUR ADMISSION_PER_DAY"
  service_start outbound "$OUTBOUND_HEALTH_PORT" "DATABASE_URL WHATSAPP_ACCESS_TOKEN WHATSAPP_SENDER_PHONE_NUMBER_ID WHATSAPP_API_BASE_URL
    WHATSAPP_MESSAGES_PER_SECOND WHATSAPP_TEMPLATE"
  local name
  for name in ingress provisioner gateway outbound; do
    process_ready "$name" "http://127.0.0.1:$(service_port "$name")/readyz" "$SERVICE_READY_SECONDS"
  done
}

service_start() {
  local name=$1 HEALTH_PORT=$2 NATS_URL DATABASE_URL=$DATABASE_URL MEMORY_LIMIT_KIB=$SERVICE_MEMORY_KIB
  NATS_URL=$(nats_url "$name")
  DATABASE_URL=$(database_url "$name")
  port_must_be_free "$name" "127.0.0.1:$HEALTH_PORT"
  process_start "$name" "NATS_URL HEALTH_PORT $COMMON_VARIABLES $3" "$TARGET/debug/$name"
}

service_port() {
  local port="${1^^}_HEALTH_PORT"
  if [ "$1" = ingress ]; then port=PORT; fi
  printf '%s' "${!port}"
}
