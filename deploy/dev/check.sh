# shellcheck shell=bash
# The checks and tests, the same for people and for CI. Sourced by ./dev.
#
# A failed step or test does not end the run, so that one run names every failure; only a broken build ends it.

FAILED_STEPS=()
# Tests that need Docker or the whole machine; --quick leaves them out.
HEAVY_TESTS='((package(e2e) | package(claw-docker)) & kind(test)) | (package(provisioner) & test(docker))'

command_test() {
  local quick=
  case "${1:-}" in "") ;; --quick) quick=yes ;; *) die "test accepts no option but --quick" ;; esac
  settings_load
  if [ -n "$quick" ]; then install_base lint; else install_base lint docker; fi
  if [ -z "$quick" ]; then
    sandboxes_note
    sandboxes_up
    sandbox_image_begin
  fi
  install_cargo_tools
  failed_tests_forget
  check_style
  check_step "build" cargo build --locked --workspace --all-targets
  case " ${FAILED_STEPS[*]} " in *" build "*) check_verdict ;; esac
  if [ -n "$quick" ]; then test_quick; else test_all; fi
  check_verdict
}

command_check() {
  settings_load
  install_base lint
  install_cargo_tools
  failed_tests_forget
  check_style
  check_documentation
  check_dependencies
  check_verdict
}

test_quick() {
  test_environment debug
  check_step "tests without Docker" cargo nextest run --locked --workspace --profile "$(test_profile)" -E "not ($HEAVY_TESTS)"
}

test_all() {
  check_step "documentation tests" copied_to doc-tests cargo test --locked --doc --workspace --no-fail-fast
  check_documentation
  check_dependencies
  check_step "sandbox image" sandbox_image_await
  check_step "the sandbox image's own tests" copied_to image-tests sandbox_image_test
  test_environment debug
  # The tests run last, so that their summary is next to the verdict.
  check_step "tests" cargo nextest run --locked --workspace --profile "$(test_profile)"
  test_slowest
}

check_style() {
  check_step "format" cargo fmt --all --check
  check_step "clippy" cargo clippy --locked --workspace --all-targets -- -D warnings
  check_step "shell scripts" shellcheck -x "$ROOT/dev" "$ROOT/.ci/run" "$ROOT"/deploy/dev/*.sh
  check_step "spelling" "$TYPOS"
  check_step "nats.conf" check_nats_conf
  check_step "Caddyfile" check_caddyfile
}

check_documentation() {
  RUSTDOCFLAGS="-D warnings" check_step "documentation" cargo doc --locked --workspace --no-deps --document-private-items
}

check_dependencies() {
  check_step "licences, bans, sources" cargo deny --locked --log-level error check bans licenses sources
  check_step "unused dependencies" cargo machete
}

check_nats_conf() { with_variables "$NATS_VARIABLES" "$NATS_SERVER" -t -c "$ROOT/nats.conf"; }

check_caddyfile() {
  "$CADDY" fmt --diff "$ROOT/Caddyfile" >/dev/null &&
    with_variables "$CADDY_VARIABLES" "$CADDY" validate --config "$ROOT/Caddyfile" --adapter caddyfile
}

# Runs a step and remembers its name if it fails.
check_step() {
  step "$@" && return 0
  FAILED_STEPS+=("$1")
  say "FAILED: $1"
}

# Shows a command's output and keeps it: `copied_to <log> command…`.
copied_to() {
  local log="$LOGS/$1.log"
  shift
  "$@" 2>&1 | tee "$log"
}

# Prints the longest steps and every failed step and test, and exits with the matching status.
check_verdict() {
  say_step_times
  if [ "${#FAILED_STEPS[@]}" -eq 0 ]; then
    say "all checks passed"
    exit 0
  fi
  printf '\nfailed\n'
  printf '  %s\n' "${FAILED_STEPS[@]}"
  failed_tests | sed 's/^/  test /'
  exit 1
}

# The tests that failed in this run, one per line: of nextest, of the documentation, of the sandbox image.
failed_tests() {
  local report
  report=$(test_report)
  if [ -e "$report" ]; then
    awk -F'"' '/<testcase /{ test = $4 " " $2 } /<(failure|error)[ >]/{ print test }' "$report"
  fi
  sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$LOGS/doc-tests.log"
  sed -n 's/^✖ \(.*\) ([0-9.]*ms)$/sandbox image: \1/p' "$LOGS/image-tests.log" | sort -u
}

# What earlier runs left must not be listed for this one.
failed_tests_forget() {
  rm -f "$(test_report)"
  : >"$LOGS/doc-tests.log"
  : >"$LOGS/image-tests.log"
}

# Exports where tests find the servers they start, the programs they run, and the Docker engine. "$1" is the cargo
# profile: debug or release.
test_environment() {
  export CLAWKAKA_NATS_SERVER="$NATS_SERVER" CLAWKAKA_CADDY="$CADDY"
  export CLAWKAKA_PG_BIN="$PG_BIN" CLAWKAKA_PG_USER="$PG_USER"
  export CLAWKAKA_BIN_DIR="$TARGET/$1"
  export OPENCLAW_SANDBOX_IMAGE SANDBOX_NETWORK SANDBOX_HOST_ADDRESS
}

test_profile() {
  if [ "${CI:-}" = true ]; then echo ci; else echo default; fi
}

# The report that nextest writes about its last run; it ignores CARGO_TARGET_DIR for this.
test_report() { printf '%s' "$ROOT/target/nextest/$(test_profile)/junit.xml"; }

# The ten slowest tests.
test_slowest() {
  local report
  report=$(test_report)
  [ -e "$report" ] || return 0
  printf '\nlongest tests\n'
  sed -n 's/.*<testcase name="\([^"]*\)" classname="\([^"]*\)".* time="\([^"]*\)".*/\3 \2 \1/p' "$report" |
    sort -rn | sed -n '1,10s/^\([0-9.]*\) /  \1s /p'
}
