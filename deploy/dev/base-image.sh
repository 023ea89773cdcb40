# shellcheck shell=bash
# Images without a registry: the Debian base, and the sandbox on top of it. Sourced after engine.sh.
#
#   base_image_up       debian:bookworm-slim: present, pulled, or made from Debian packages
#   sandbox_image_up    the sandbox image for this checkout's deploy/sandbox; builds only when that changed
#   sandbox_image_test  the image's own tests, in a container without a network
#   sandbox_image_save  keeps the image as a file for machines with another engine or an empty one
#
# Settings: SANDBOX_IMAGE (tag), BASE_IMAGE, NPM_REGISTRY, DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR
# (by default those this host uses itself), CLAWKAKA_CACHE.

ROOT="${ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
BASE_IMAGE="${BASE_IMAGE:-debian:bookworm-slim}"
BASE_SUITE=bookworm
SANDBOX_IMAGE="${SANDBOX_IMAGE:-${OPENCLAW_SANDBOX_IMAGE:-clawkaka/sandbox:2026.9.6}}"
IMAGE_CACHE="${CLAWKAKA_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/clawkaka}/images"
# A registry that is there answers in this time; where none is, the name does not even resolve.
PULL_LIMIT_SECONDS=120

# Makes BASE_IMAGE available: as it is, from the registry, or as a stand-in of the same name.
# A stand-in trusts this host's extra certificates and is labelled; it must never be published.
base_image_up() {
  image_present "$BASE_IMAGE" && return 0
  timeout "$PULL_LIMIT_SECONDS" docker pull --quiet "$BASE_IMAGE" >/dev/null 2>&1 && return 0
  case "$BASE_IMAGE" in
    debian:*) base_image_make ;;
    *) echo "base image: $BASE_IMAGE cannot be pulled" >&2; return 1 ;;
  esac
}

# Makes SANDBOX_IMAGE carry this checkout's deploy/sandbox. A kept build or file is used if it fits.
sandbox_image_up() {
  local key
  key=$(sandbox_image_key)
  if [ "$(image_label "$SANDBOX_IMAGE")" = "$key" ]; then return 0; fi
  if [ "$(image_label "clawkaka/sandbox:$key")" = "$key" ]; then
    docker tag "clawkaka/sandbox:$key" "$SANDBOX_IMAGE"
    return 0
  fi
  if sandbox_image_load "$key"; then return 0; fi
  base_image_up || return
  sandbox_image_build "$key"
}

sandbox_image_test() {
  docker run --rm --network none --read-only --tmpfs /tmp:rw,mode=1777 --cap-drop ALL \
    --security-opt no-new-privileges "$SANDBOX_IMAGE" node --test "/opt/clawkaka/test/*.test.mjs"
}

# Writes the image to the cache, where sandbox_image_up of any checkout finds it.
sandbox_image_save() {
  local key file
  key=$(sandbox_image_key)
  file="$IMAGE_CACHE/sandbox-$key.tar.zst"
  [ -e "$file" ] && return 0
  mkdir -p "$IMAGE_CACHE"
  docker save "$SANDBOX_IMAGE" | zstd -q -3 -T0 -o "$file.part" && mv "$file.part" "$file"
}

# Engines before 23 cannot read compressed archives of this kind, hence the pipe.
sandbox_image_load() {
  local file="$IMAGE_CACHE/sandbox-$1.tar.zst"
  [ -e "$file" ] || return 1
  zstd -dcq "$file" | docker load -q >/dev/null || return
  [ "$(image_label "$SANDBOX_IMAGE")" = "$1" ]
}

sandbox_image_build() {
  local log="${STATE:-$ROOT/.run}/sandbox-image.log" arguments=() registry
  registry=$(npm_registry)
  if [ -n "$registry" ]; then arguments+=(--build-arg "NPM_REGISTRY=$registry"); fi
  mkdir -p "$(dirname "$log")"
  echo "building $SANDBOX_IMAGE (a minute or two; $log)" >&2
  # The classic builder is the one every engine has; a newer CLI asks for a plugin otherwise.
  DOCKER_BUILDKIT=0 docker build --force-rm --build-arg "BASE_IMAGE=$BASE_IMAGE" ${arguments[@]+"${arguments[@]}"} \
    --label "clawkaka.content=$1" -t "$SANDBOX_IMAGE" -t "clawkaka/sandbox:$1" "$ROOT/deploy/sandbox" >"$log" 2>&1 && return 0
  tail -n 20 "$log" >&2
  return 1
}

# Names the content an image is made of: every file under deploy/sandbox but its README, and the base.
sandbox_image_key() {
  {
    echo "$BASE_IMAGE"
    find "$ROOT/deploy/sandbox" -type f ! -path '*/sandbox/README.md' -printf '%P\0' | LC_ALL=C sort -z |
      (cd "$ROOT/deploy/sandbox" && xargs -0 sha256sum)
  } | sha256sum | cut -c1-16
}

image_present() { docker image inspect "$1" >/dev/null 2>&1; }

image_label() {
  docker image inspect --format '{{index .Config.Labels "clawkaka.content"}}' "$1" 2>/dev/null || true
}

# The registry this host's npm uses, or nothing: then the Dockerfile's own choice stands.
npm_registry() {
  local from_npm
  from_npm=${NPM_REGISTRY:-$(npm config get registry 2>/dev/null || true)}
  printf '%s' "${from_npm%/}"
}

# Debian's minimal system as an image, with this host's extra certificates.
# shellcheck disable=SC2016  # "$1" in the hooks is mmdebstrap's, the new root
base_image_make() {
  local mirror security trim=() path
  mirror=${DEBIAN_MIRROR:-$(debian_mirror "")}
  security=${DEBIAN_SECURITY_MIRROR:-$(debian_mirror -security)}
  if [ -z "$mirror" ] || [ -z "$security" ]; then
    echo "base image: set DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR, this host's apt does not tell" >&2
    return 1
  fi
  for path in man doc locale info lintian groff; do trim+=("--dpkgopt=path-exclude=/usr/share/$path/*"); done
  echo "making $BASE_IMAGE from Debian packages" >&2
  engine_root mmdebstrap --quiet --variant=minbase --include=ca-certificates \
    "${trim[@]}" --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --aptopt='Acquire::Languages "none"' --aptopt='APT::Install-Recommends "false"' \
    --customize-hook="$(base_certificates_hook)" \
    --customize-hook='printf "#!/bin/sh\nexit 101\n" >"$1/usr/sbin/policy-rc.d" && chmod 755 "$1/usr/sbin/policy-rc.d"' \
    --customize-hook='rm -rf "$1"/var/log/* "$1"/var/cache/debconf/*-old' \
    "$BASE_SUITE" - \
    "deb $mirror $BASE_SUITE main" "deb $mirror $BASE_SUITE-updates main" \
    "deb $security $BASE_SUITE-security main" |
    docker import -c 'CMD ["bash"]' -c 'LABEL clawkaka.stand-in=true' \
      -c 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$BASE_IMAGE" >/dev/null
}

# A host behind an inspecting proxy keeps that proxy's certificate here; builds need it as well.
base_certificates_hook() {
  cat <<'HOOK'
for c in /usr/local/share/ca-certificates/*.crt; do
  if [ -e "$c" ]; then install -D -m 0644 "$c" "$1/usr/local/share/ca-certificates/${c##*/}"; fi
done
chroot "$1" update-ca-certificates
HOOK
}

# The address this host's apt takes its own release from; "$1" is "" or "-security".
debian_mirror() {
  # shellcheck disable=SC2016  # apt fills these in, not the shell
  local format='$(RELEASE) $(COMPONENT) $(REPO_URI)'
  apt-get indextargets --format "$format" 'Created-By: Packages' |
    awk -v release="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")$1" \
      '$1 == release && $2 == "main" { sub("/$", "", $3); print $3; exit }'
}
