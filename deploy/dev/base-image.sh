# shellcheck shell=bash
# Builds images without an image registry: the Debian base, and the sandbox image on top of it. Sourced after engine.sh.
#
#   base_image_up       makes debian:bookworm-slim available: already present, pulled, or built from Debian packages
#   sandbox_image_up    builds the sandbox image from this checkout's deploy/sandbox, only if that changed
#   sandbox_image_test  runs the image's own tests in a container without a network
#   sandbox_image_save  writes the image to a file, for machines with another engine or an empty one
#
# Settings: SANDBOX_IMAGE (tag), BASE_IMAGE, NPM_REGISTRY, DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR
# (the defaults are the mirrors this host uses), CLAWKAKA_CACHE.

ROOT="${ROOT:-$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)}"
BASE_IMAGE="${BASE_IMAGE:-debian:bookworm-slim}"
BASE_SUITE=bookworm
SANDBOX_IMAGE="${SANDBOX_IMAGE:-${OPENCLAW_SANDBOX_IMAGE:-clawkaka/sandbox:2026.9.6}}"
IMAGE_CACHE="${CLAWKAKA_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/clawkaka}/images"
# A pull from a reachable registry ends within this time. Without a registry the name does not resolve.
PULL_LIMIT_SECONDS=120

# Makes BASE_IMAGE available: already present, pulled, or built here as a stand-in with the same name.
# A stand-in trusts this host's extra certificates and carries a label; it must never be published.
base_image_up() {
  image_present "$BASE_IMAGE" && return 0
  timeout "$PULL_LIMIT_SECONDS" docker pull --quiet "$BASE_IMAGE" >/dev/null 2>&1 && return 0
  case "$BASE_IMAGE" in
    debian:*) base_image_make ;;
    *) echo "base image: $BASE_IMAGE cannot be pulled, and only debian:* can be built here" >&2; return 1 ;;
  esac
}

# Makes SANDBOX_IMAGE the image of this checkout's deploy/sandbox. Reuses an earlier build or a saved file with the
# same content.
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
    --security-opt no-new-privileges "$SANDBOX_IMAGE" node --test --test-reporter spec "/opt/clawkaka/test/*.test.mjs"
}

# Writes the image to the cache, where sandbox_image_up in any checkout finds it.
sandbox_image_save() {
  local key file
  key=$(sandbox_image_key)
  file="$IMAGE_CACHE/sandbox-$key.tar.zst"
  [ -e "$file" ] && return 0
  mkdir -p "$IMAGE_CACHE"
  docker save "$SANDBOX_IMAGE" | zstd -q -3 -T0 -o "$file.part" && mv "$file.part" "$file"
}

# Docker engines before version 23 cannot read zstd archives, so the archive is decompressed here.
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
  echo "building $SANDBOX_IMAGE (takes a minute or two, see $log)" >&2
  # Every engine has the classic builder; BuildKit needs a plugin that newer CLIs do not bring.
  DOCKER_BUILDKIT=0 docker build --force-rm --build-arg "BASE_IMAGE=$BASE_IMAGE" ${arguments[@]+"${arguments[@]}"} \
    --label "clawkaka.content=$1" -t "$SANDBOX_IMAGE" -t "clawkaka/sandbox:$1" "$ROOT/deploy/sandbox" >"$log" 2>&1 && return 0
  tail -n 20 "$log" >&2
  return 1
}

# A hash of what the image is built from: the base image's name and every file under deploy/sandbox except its README.
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

# The registry this host's npm uses, or nothing, in which case the Dockerfile's default applies.
npm_registry() {
  local from_npm
  from_npm=${NPM_REGISTRY:-$(npm config get registry 2>/dev/null || true)}
  printf '%s' "${from_npm%/}"
}

# Builds BASE_IMAGE from Debian's minimal system, with this host's extra certificates.
# shellcheck disable=SC2016  # mmdebstrap sets "$1" in the hooks to the new root
base_image_make() {
  local mirror security trim=() path
  mirror=${DEBIAN_MIRROR:-$(debian_mirror "")}
  security=${DEBIAN_SECURITY_MIRROR:-$(debian_mirror -security)}
  if [ -z "$mirror" ] || [ -z "$security" ]; then
    echo "base image: set DEBIAN_MIRROR and DEBIAN_SECURITY_MIRROR, this host's apt names no mirror" >&2
    return 1
  fi
  for path in man doc locale info lintian groff; do trim+=("--dpkgopt=path-exclude=/usr/share/$path/*"); done
  echo "building $BASE_IMAGE from Debian packages" >&2
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

# Copies this host's extra certificates: behind a proxy that inspects TLS, builds need the proxy's certificate.
base_certificates_hook() {
  cat <<'HOOK'
for c in /usr/local/share/ca-certificates/*.crt; do
  if [ -e "$c" ]; then install -D -m 0644 "$c" "$1/usr/local/share/ca-certificates/${c##*/}"; fi
done
chroot "$1" update-ca-certificates
HOOK
}

# The mirror from which this host's apt takes its own release; "$1" is "" or "-security".
debian_mirror() {
  # shellcheck disable=SC2016  # apt expands these, not the shell
  local format='$(RELEASE) $(COMPONENT) $(REPO_URI)'
  apt-get indextargets --format "$format" 'Created-By: Packages' |
    awk -v release="$(. /etc/os-release && echo "${VERSION_CODENAME:-}")$1" \
      '$1 == release && $2 == "main" { sub("/$", "", $3); print $3; exit }'
}
