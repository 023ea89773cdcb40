# shellcheck shell=bash
# Creates the secret files that docker-compose.yml mounts. Sourced by ./dev.
#
# Random secrets are generated; secrets that others issue become empty files for the operator to fill in. Existing
# files are kept. Only the owner can enter the directory; the files inside are readable by all, because each
# container reads them as a user of its own.

command_secrets() {
  local directory=${1:-$ROOT/secrets} user
  (umask 077 && mkdir -p "$directory")
  echo '*' >"$directory/.gitignore"
  secret_file postgres_password "p$(random_hex 24)"
  secret_file database_url "postgres://clawkaka:$(cat "$directory/postgres_password")@postgres:5432/clawkaka"
  # gateway and provisioner run in the host's network, because sandboxes listen on the host's loopback address.
  secret_file database_url_host "postgres://clawkaka:$(cat "$directory/postgres_password")@127.0.0.1:5468/clawkaka"
  for user in admin ingress outbound; do secret_files_of_nats "$user" nats:4222; done
  for user in gateway provisioner; do secret_files_of_nats "$user" 127.0.0.1:4222; done
  secret_file clawkaka_master_key "k1:$(random_hex 32)"
  secret_file whatsapp_verification_token "$(random_hex 16)"
  for user in whatsapp_app_secret whatsapp_access_token openrouter_provisioning_key; do secret_file "$user" ""; done
  find "$directory" -type f -empty -printf 'fill in: %p\n'
}

# Passwords begin with a letter: nats.conf parses "12e4…" as a number.
secret_files_of_nats() {
  secret_file "nats_$1_password" "n$(random_hex 24)"
  secret_file "nats_url_$1" "nats://$1:$(cat "$directory/nats_$1_password")@$2"
}

secret_file() {
  if [ -e "$directory/$1" ]; then return 0; fi
  printf '%s' "$2" >"$directory/$1"
  chmod 644 "$directory/$1"
}
