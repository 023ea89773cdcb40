# shellcheck shell=bash
# The Docker engine, the sandboxes' network and their firewall. Sourced, never run.
#
#   engine_up            finds a working engine or starts one; exports DOCKER_HOST
#   engine_down          stops the engine if this checkout started it
#   engine_network_up    creates the sandboxes' bridge, on which sandboxes cannot reach one another, and the bridge
#                        from which containers of gateway and provisioner reach the sandboxes' published ports
#   engine_firewall_up   limits what a sandbox can reach, and who can reach it; safe to repeat
#   engine_network_down  removes the bridges and the rules (the sandboxes must be gone)
#
# All checkouts on a machine share the engine that we start: its socket is in /run and its images are in the
# cache directory, so that a fresh clone finds everything built. The distribution's own engine
# (/var/lib/docker, /run/docker.sock) is not touched.
#
# Settings, each from the environment: STATE (this checkout's run directory), CLAWKAKA_CACHE,
# SANDBOX_NETWORK, SANDBOX_HOST_PORTS.

ENGINE_STATE="${STATE:-$PWD/.run}/docker"
ENGINE_CACHE="${CLAWKAKA_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/clawkaka}"
# The path is short because a Unix socket's path is limited to 107 bytes and containerd creates sockets below it.
ENGINE_RUN=/run/clawkaka/docker
ENGINE_START_TENTHS=300
# A stopping engine waits for containers that restart by themselves.
ENGINE_STOP_TENTHS=900

SANDBOX_NETWORK="${SANDBOX_NETWORK:-clawkaka}"
SANDBOX_BRIDGE=clawbr0
SANDBOX_SUBNET=172.30.0.0/16
SANDBOX_HOST_ADDRESS=172.30.0.1
# docker-compose.yml names this network and this address, too.
DOORS_NETWORK=clawkaka-doors
DOORS_BRIDGE=clawdoors0
DOORS_SUBNET=172.29.255.0/24
DOORS_HOST_ADDRESS=172.29.255.1
# The internal networks of docker-compose.yml.
INTERNAL_BRIDGES=clawi+
OPENCLAW_PORT=18789
# The only TCP ports of the host to which a sandbox may connect: the model simulator's.
SANDBOX_HOST_PORTS="${SANDBOX_HOST_PORTS:-18080}"
# Addresses outside the public internet: private networks, cloud metadata, multicast.
SANDBOX_FORBIDDEN="0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 169.254.0.0/16 172.16.0.0/12 192.168.0.0/16 198.18.0.0/15 224.0.0.0/4 240.0.0.0/4"

# Makes the `docker` command work, or prints why it cannot. Afterwards DOCKER_HOST names the engine, and
# $STATE/docker/docker.sock is a link to its socket if the engine is ours.
engine_up() {
  local ours="unix://$ENGINE_RUN/docker.sock"
  if [ -n "${DOCKER_HOST:-}" ] && engine_answers; then return 0; fi
  if DOCKER_HOST=$ours engine_answers; then engine_use "$ours"; return 0; fi
  if env -u DOCKER_HOST docker info >/dev/null 2>&1; then unset DOCKER_HOST; return 0; fi
  engine_start || return
  engine_use "$ours"
}

# Stops the engine if this checkout started it; otherwise only forgets it.
engine_down() {
  local pid
  pid=$(cat "$ENGINE_STATE/started" 2>/dev/null || true)
  rm -f "$ENGINE_STATE/started" "$ENGINE_STATE/docker.sock"
  if engine_is_ours "$pid"; then engine_stop_pid "$pid"; fi
}

# Whether a daemon answers at DOCKER_HOST.
engine_answers() { docker info >/dev/null 2>&1; }

engine_use() {
  export DOCKER_HOST="$1"
  mkdir -p "$ENGINE_STATE"
  ln -sfn "${1#unix://}" "$ENGINE_STATE/docker.sock"
}

engine_start() {
  local pid
  command -v dockerd >/dev/null || { echo "engine: dockerd is not installed" >&2; return 1; }
  engine_clear_stale_pid || return
  mkdir -p "$ENGINE_STATE" "$ENGINE_CACHE/docker-lib"
  engine_root mkdir -p "$ENGINE_RUN"
  engine_root setsid dockerd \
    --data-root "$ENGINE_CACHE/docker-lib" --exec-root "$ENGINE_RUN/exec" \
    --pidfile "$ENGINE_RUN/pid" --host "unix://$ENGINE_RUN/docker.sock" \
    --group "$(id -gn)" --mtu "$(engine_uplink_mtu)" \
    >"$ENGINE_STATE/dockerd.log" 2>&1 </dev/null &
  for _ in $(seq "$ENGINE_START_TENTHS"); do
    if DOCKER_HOST="unix://$ENGINE_RUN/docker.sock" engine_answers; then
      pid=$(cat "$ENGINE_RUN/pid")
      echo "$pid" >"$ENGINE_STATE/started"
      return 0
    fi
    sleep 0.1
  done
  echo "engine: dockerd did not start, see $ENGINE_STATE/dockerd.log" >&2
  tail -n 3 "$ENGINE_STATE/dockerd.log" >&2
  return 1
}

# Removes what a killed dockerd leaves behind, since it would keep the next one from starting: dockerd refuses
# to start when its pidfile names any living process, even an unrelated one, and waits for a containerd that is
# dead but not yet reaped. A dockerd of ours that lives but no longer answers would lock the data root.
engine_clear_stale_pid() {
  local file pid
  for file in "$ENGINE_RUN/pid" "$ENGINE_RUN/exec/containerd/containerd.pid"; do
    pid=$(engine_root cat "$file" 2>/dev/null || true)
    if engine_is_ours "$pid"; then engine_stop_pid "$pid" || return; fi
    engine_root rm -f "$file"
  done
  engine_root rm -f "$ENGINE_RUN/docker.sock"
}

# Whether the process is alive and is our dockerd or its containerd, told by the directory of its state.
engine_is_ours() {
  engine_is_alive "$1" && { tr '\0' ' ' <"/proc/$1/cmdline"; } 2>/dev/null | grep -- "$ENGINE_RUN/exec" >/dev/null
}

# Whether the process exists and is not a zombie.
engine_is_alive() {
  [ -n "$1" ] && grep -qs '^State:[[:space:]]*[^ZX]' "/proc/$1/status"
}

engine_stop_pid() {
  engine_root kill "$1" 2>/dev/null || true
  for _ in $(seq "$ENGINE_STOP_TENTHS"); do
    engine_is_alive "$1" || return 0
    sleep 0.1
  done
  echo "engine: process $1 does not stop on SIGTERM" >&2
  return 1
}

# Creates the sandboxes' network (no traffic between sandboxes, and the MTU of the uplink) and the network of their
# doors, which leads nowhere else.
engine_network_up() {
  engine_network_create "$SANDBOX_NETWORK" "$SANDBOX_BRIDGE" "$SANDBOX_SUBNET" "$SANDBOX_HOST_ADDRESS" &&
    engine_network_create "$DOORS_NETWORK" "$DOORS_BRIDGE" "$DOORS_SUBNET" "$DOORS_HOST_ADDRESS" --internal
}

# `engine_network_create <name> <bridge> <subnet> <address> [option…]`
engine_network_create() {
  docker network inspect "$1" >/dev/null 2>&1 && return 0
  docker network create --driver bridge --subnet "$3" --gateway "$4" \
    -o com.docker.network.bridge.name="$2" \
    -o com.docker.network.bridge.enable_icc=false \
    -o com.docker.network.driver.mtu="$(engine_uplink_mtu)" \
    --label clawkaka=network "${@:5}" "$1" >/dev/null
}

# Other checkouts and deployments may use the networks. The rules stay as long as one of the networks does.
engine_network_down() {
  engine_network_remove "$SANDBOX_NETWORK" "$SANDBOX_BRIDGE"
  engine_network_remove "$DOORS_NETWORK" "$DOORS_BRIDGE"
  docker network inspect "$SANDBOX_NETWORK" >/dev/null 2>&1 || docker network inspect "$DOORS_NETWORK" >/dev/null 2>&1 ||
    engine_firewall_down
}

engine_network_remove() {
  docker network rm "$1" >/dev/null 2>&1 || true
  # The bridge stays when the engine is killed.
  if ! docker network inspect "$1" >/dev/null 2>&1 && ip link show "$2" >/dev/null 2>&1; then
    engine_root ip link del "$2" || true
  fi
}

# A sandbox can reach SANDBOX_HOST_PORTS at the bridge's address on this host, the public internet, and the host's
# resolver, which Docker's embedded DNS asks on behalf of the sandbox. It can be reached by this host's processes, and
# at its published port by containers on the network of the doors. These containers, and all without a way to the
# internet, reach nothing else of this host. Each chain is replaced atomically, so the rules are never absent.
engine_firewall_up() {
  local parent chain match
  engine_firewall_rules | engine_root iptables-restore --noflush || {
    echo "engine: cannot set the sandboxes' firewall rules (root and iptables are needed)" >&2
    return 1
  }
  while read -r parent chain match; do
    # shellcheck disable=SC2086  # the match is several arguments
    engine_root iptables -C "$parent" $match -j "$chain" 2>/dev/null || engine_root iptables -I "$parent" 1 $match -j "$chain"
  done < <(engine_firewall_jumps)
}

engine_firewall_down() {
  local parent chain match
  while read -r parent chain match; do
    # shellcheck disable=SC2086
    while engine_root iptables -D "$parent" $match -j "$chain" 2>/dev/null; do :; done
  done < <(engine_firewall_jumps)
  for chain in CLAW-IN CLAW-OUT CLAW-TO CLAW-DOORS; do
    engine_root iptables -F "$chain" 2>/dev/null || true
    engine_root iptables -X "$chain" 2>/dev/null || true
  done
}

# Lines "<parent chain> <our chain> <match>".
engine_firewall_jumps() {
  cat <<JUMPS
INPUT CLAW-IN -i $SANDBOX_BRIDGE
INPUT CLAW-DOORS -i $DOORS_BRIDGE
INPUT CLAW-DOORS -i $INTERNAL_BRIDGES
INPUT CLAW-DOORS -d $DOORS_HOST_ADDRESS/32
DOCKER-USER CLAW-OUT -i $SANDBOX_BRIDGE
DOCKER-USER CLAW-TO -o $SANDBOX_BRIDGE
JUMPS
}

# Our chains in the format of iptables-restore.
engine_firewall_rules() {
  local port range resolver known="-m conntrack --ctstate RELATED,ESTABLISHED"
  printf '*filter\n:CLAW-IN - [0:0]\n:CLAW-OUT - [0:0]\n:CLAW-TO - [0:0]\n:CLAW-DOORS - [0:0]\n'
  printf -- '-A CLAW-IN %s -j ACCEPT\n' "$known"
  for port in $SANDBOX_HOST_PORTS; do
    printf -- '-A CLAW-IN -d %s/32 -p tcp --dport %s -j ACCEPT\n' "$SANDBOX_HOST_ADDRESS" "$port"
  done
  printf -- '-A CLAW-IN -j REJECT\n'
  # Docker drops what passes from one of its bridges to another, so traffic through the doors is accepted here.
  printf -- '-A CLAW-OUT -o %s %s -j ACCEPT\n' "$DOORS_BRIDGE" "$known"
  printf -- '-A CLAW-OUT %s -j RETURN\n' "$known"
  for resolver in $(engine_resolvers); do
    printf -- '-A CLAW-OUT -d %s/32 -p udp --dport 53 -j RETURN\n' "$resolver"
    printf -- '-A CLAW-OUT -d %s/32 -p tcp --dport 53 -j RETURN\n' "$resolver"
  done
  for range in $SANDBOX_FORBIDDEN; do
    printf -- '-A CLAW-OUT -d %s -j REJECT\n' "$range"
  done
  printf -- '-A CLAW-TO -i %s -p tcp --dport %s -m conntrack --ctstate DNAT -j ACCEPT\n' "$DOORS_BRIDGE" "$OPENCLAW_PORT"
  printf -- '-A CLAW-TO %s -j RETURN\n' "$known"
  printf -- '-A CLAW-TO -j DROP\n'
  printf -- '-A CLAW-DOORS -i lo -j RETURN\n'
  printf -- '-A CLAW-DOORS %s -j ACCEPT\n' "$known"
  printf -- '-A CLAW-DOORS -j REJECT\n'
  printf 'COMMIT\n'
}

# Docker asks the servers behind systemd-resolved, because its own address is on loopback.
engine_resolvers() {
  { cat /etc/resolv.conf /run/systemd/resolve/resolv.conf 2>/dev/null || true; } |
    awk '$1 == "nameserver" && $2 ~ /^[0-9.]+$/ && $2 !~ /^127\./ && !seen[$2]++ { print $2 }'
}

engine_uplink_mtu() {
  local device
  device=$(ip -4 route show default | awk 'NR == 1 { for (i = 1; i < NF; i++) if ($i == "dev") print $(i + 1) }')
  cat "/sys/class/net/${device:-none}/mtu" 2>/dev/null || echo 1500
}

engine_root() {
  if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo -n "$@"; fi
}
