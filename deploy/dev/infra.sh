# shellcheck shell=bash
# Starts Postgres, NATS and Caddy from their Python wheels, on loopback. Sourced by ./dev.

NATS_VARIABLES="NATS_LISTEN NATS_MONITOR NATS_STORE_DIR NATS_ADMIN_PASSWORD NATS_INGRESS_PASSWORD
  NATS_GATEWAY_PASSWORD NATS_PROVISIONER_PASSWORD NATS_OUTBOUND_PASSWORD"
CADDY_VARIABLES="CADDY_BIND CADDY_ADMIN API_SITE CONSOLE_SITE HEALTH_SITE INGRESS_FROM CONSOLE_FROM XDG_DATA_HOME
  XDG_CONFIG_HOME"
READY_SECONDS=30

postgres_up() {
  if [ -n "$POSTGRES_ELSEWHERE" ]; then say "postgres: not started, DATABASE_URL is set"; return 0; fi
  postgres_place
  if process_alive postgres; then return 0; fi
  port_must_be_free postgres "127.0.0.1:$POSTGRES_PORT"
  if [ ! -e "$PG_DATA/PG_VERSION" ]; then postgres_init; fi
  postgres_ctl -w -t "$READY_SECONDS" \
    -o "-p $POSTGRES_PORT -c listen_addresses=127.0.0.1 -c unix_socket_directories=''" start >>"$LOGS/postgres.log" 2>&1 ||
    process_failed postgres "postgres did not start"
  process_adopt postgres "$(head -n 1 "$PG_DATA/postmaster.pid")" postgres "127.0.0.1:$POSTGRES_PORT"
  postgres_database || process_failed postgres "the database clawkaka could not be created"
}

# The data is in .run, unless the user that Postgres runs as cannot reach it (a clone in root's home).
postgres_place() {
  PG_DATA="$STATE/postgres"
  if ! as_postgres test -x "$STATE"; then PG_DATA="$(postgres_outside)/postgres"; fi
}

postgres_init() {
  local password="$PG_DATA.password" status=0
  mkdir -p "$PG_DATA"
  chmod 700 "$PG_DATA"
  (umask 077 && printf '%s\n' "$POSTGRES_PASSWORD" >"$password")
  if [ "$(id -un)" != "$PG_USER" ]; then chown "$PG_USER" "$PG_DATA" "$password"; fi
  as_postgres "$PG_BIN/initdb" -D "$PG_DATA" -U clawkaka --auth=scram-sha-256 --pwfile="$password" \
    -E UTF8 --locale=C.UTF-8 >>"$LOGS/postgres.log" 2>&1 || status=$?
  rm -f "$password"
  if [ "$status" -ne 0 ]; then process_failed postgres "initdb failed"; fi
}

postgres_database() {
  local ask=("$PG_BIN/psql" -XAtq -h 127.0.0.1 -p "$POSTGRES_PORT" -U clawkaka -d postgres -c)
  export PGPASSWORD="$POSTGRES_PASSWORD"
  if [ "$(as_postgres "${ask[@]}" "select 1 from pg_database where datname = 'clawkaka'")" != 1 ]; then
    as_postgres "${ask[@]}" "create database clawkaka"
  fi >>"$LOGS/postgres.log" 2>&1
  local status=$?
  unset PGPASSWORD
  return "$status"
}

postgres_outside() { printf '/var/lib/clawkaka/%s' "$(cksum <<<"$ROOT" | cut -d' ' -f1)"; }

postgres_ctl() { as_postgres "$PG_BIN/pg_ctl" -D "$PG_DATA" "$@" </dev/null; }

nats_up() {
  if [ -n "$NATS_ELSEWHERE" ]; then say "nats: not started, NATS_URL is set"; return 0; fi
  port_must_be_free nats "$NATS_LISTEN"
  mkdir -p "$NATS_STORE_DIR"
  process_start nats "$NATS_VARIABLES" "$NATS_SERVER" -c "$ROOT/nats.conf"
  process_ready nats "http://$NATS_MONITOR/healthz?js-enabled-only=true" "$READY_SECONDS"
}

caddy_up() {
  port_must_be_free caddy "$CADDY_LISTEN"
  process_start caddy "$CADDY_VARIABLES" "$CADDY" run --config "$ROOT/Caddyfile" --adapter caddyfile
  # An open port is the only check: Caddy answers 404 on every path that no service owns.
  process_listens caddy "$CADDY_LISTEN" "$READY_SECONDS"
}
