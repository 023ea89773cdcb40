# shellcheck shell=bash
# Creates the secret files that docker-compose.yml mounts. Sourced by ./dev.
#
# Random secrets are generated; secrets that others issue become empty files for the operator to fill in. Only the
# owner can enter the directory. The files belong to the group `clawkaka` of the services' image, so that the containers
# can read them; all other access is refused, also by the services.

SECRETS_GROUP=10000
SECRETS_MODE=440

# Existing secrets are kept, also if a variable has another value.
command_secrets() {
  local directory=${1:-$ROOT/secrets}
  command -v openssl >/dev/null || die "openssl is missing; it derives pin_public_key from pin_private_key"
  secret_files "$directory" keep
  find "$directory" -type f -empty \( -name twilio_auth_token -o -name sandbox_external_token \) -printf 'optional: %p\n' \
    -o -type f -empty -printf 'fill in: %p\n'
}

# `secret_files <directory> [keep]` creates the files. A secret whose shell variable (its name in upper case) is set gets
# the variable's value, with `keep` only if the file is absent or empty.
secret_files() {
  local directory=$1 keep=${2:-} name user
  secret_directory
  secret_file postgres_password "p$(random_hex 24)"
  secret_address database_url "postgres://clawkaka:$(cat "$directory/postgres_password")@postgres:5432/clawkaka"
  for user in provisioner gateway outbound; do
    secret_file "database_password_$user" "d$(random_hex 24)"
    secret_address "database_url_$user" "postgres://$user:$(cat "$directory/database_password_$user")@postgres:5432/clawkaka"
  done
  # Passwords begin with a letter: nats.conf parses "12e4…" as a number.
  for user in admin ingress gateway provisioner outbound; do
    secret_file "nats_${user}_password" "n$(random_hex 24)"
    secret_address "nats_url_$user" "nats://$user:$(cat "$directory/nats_${user}_password")@nats:4222"
  done
  secret_file clawkaka_master_key "k1:$(random_hex 32)"
  secret_file user_id_key "$(random_hex 32)"
  secret_file pin_private_key "$(random_hex 32)"
  secret_write pin_public_key "$(pin_public_key "$(cat "$directory/pin_private_key")")"
  secret_mend pin_public_key
  secret_file whatsapp_verification_token "$(random_hex 16)"
  for name in whatsapp_app_secret whatsapp_access_token twilio_auth_token openrouter_provisioning_key sandbox_external_token; do
    secret_file "$name" ""
  done
}

secret_directory() {
  (umask 077 && mkdir -p "$directory")
  if [ "$(stat -Lc %a "$directory")" != 700 ]; then
    chmod 700 "$directory"
    echo "mended: only the owner of $directory can enter it"
  fi
  echo '*' >"$directory/.gitignore"
  engine_root chgrp "$SECRETS_GROUP" "$directory/.gitignore" 2>/dev/null ||
    die "only root can give the secret files to the group $SECRETS_GROUP of the services' image: run this as root"
}

# `secret_file <name> <value>` creates the file with the value of the variable if it is set, otherwise with <value>.
secret_file() {
  local variable=${1^^}
  if [ -n "${!variable:-}" ] && { [ -z "$keep" ] || [ ! -s "$directory/$1" ]; }; then
    secret_write "$1" "${!variable}"
  elif [ ! -e "$directory/$1" ]; then
    secret_write "$1" "$2"
  fi
  secret_mend "$1"
}

# The same for an address that contains a password. Its variable is not read: it may name a host that containers
# cannot reach.
secret_address() {
  if [ -z "$keep" ] || [ ! -e "$directory/$1" ]; then secret_write "$1" "$2"; fi
  secret_mend "$1"
}

# Replaces the file at once, so that no reader finds a part of the secret, or the secret with another mode.
secret_write() {
  local new="$directory/.$1.new"
  if [ -e "$directory/$1" ] && [ "$(cat "$directory/$1")" = "$2" ]; then return 0; fi
  rm -f "$new"
  (umask 077 && printf '%s' "$2" >"$new")
  engine_root chgrp "$SECRETS_GROUP" "$new"
  chmod "$SECRETS_MODE" "$new"
  mv -f "$new" "$directory/$1"
}

secret_mend() {
  local file="$directory/$1" found
  found=$(stat -Lc '%a, group %g' "$file")
  if [ "$found" = "$SECRETS_MODE, group $SECRETS_GROUP" ]; then return 0; fi
  engine_root chgrp "$SECRETS_GROUP" "$file"
  chmod "$SECRETS_MODE" "$file"
  echo "mended: $file had mode $found, and has mode $SECRETS_MODE, group $SECRETS_GROUP"
}
