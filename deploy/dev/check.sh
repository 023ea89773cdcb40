# shellcheck shell=bash
# The checks and tests, the same for people and for CI. Sourced by ./dev.
#
# A failed step or test does not end the run, so that one run names every failure; only a broken build ends it.

FAILED_STEPS=()
# Tests that need Docker or the whole machine; --quick leaves them out.
HEAVY_TESTS='binary_id(e2e::it) | binary_id(e2e::compose) | (package(claw-docker) & kind(test)) | (package(provisioner) & test(docker))'
# System tests that every run repeats with the system in containers; ./dev test --compose runs all of them.
CONTAINER_TESTS='binary_id(e2e::compose) | (binary_id(e2e::it) & (test(every_user_gets_each_answer_once_and_in_order)
  | test(speech_is_answered_in_the_call_and_text_in_the_chat) | test(scaled)))'

command_test() {
  case "${1:-}" in
    "") test_everything ;;
    --quick) test_quickly ;;
    --compose) test_compose ;;
    *) die "test accepts no option but --quick and --compose" ;;
  esac
}

test_everything() {
  settings_load
  install_base lint docker
  install_compose
  sandboxes_begin
  install_cargo_tools
  failed_tests_forget
  check_style
  check_build
  test_all
  check_verdict
}

test_quickly() {
  settings_load
  install_base lint
  install_cargo_tools
  failed_tests_forget
  check_style
  check_build
  test_environment debug
  check_step "tests without Docker" run_tests "not ($HEAVY_TESTS)"
  check_verdict
}

# Runs the system tests against docker-compose.yml, except attacks: they come from many addresses, which Docker hides from
# Caddy, and end processes that Docker would start again.
test_compose() {
  compose_tests_begin
  check_step "system tests in containers" run_tests_in_containers \
    "(binary_id(e2e::it) & not test(attacks::)) | binary_id(e2e::compose)"
  check_verdict
}

# Tests that take minutes and so are run by hand.
command_soak() {
  compose_tests_begin
  # A simulated container engine needs services that are processes.
  check_step "long tests in containers" run_tests_in_containers "binary_id(e2e::it) & not test(engine::)" --run-ignored only
  test_environment debug
  check_step "long tests" run_tests "binary_id(e2e::it) & test(engine::)" --run-ignored only
  check_verdict
}

compose_tests_begin() {
  settings_load
  install_base docker
  install_compose
  sandboxes_begin
  install_cargo_tools
  failed_tests_forget
  check_build
  check_step "sandbox image" sandbox_image_await
  compose_test_images
}

check_build() {
  check_step "build" cargo build --locked --workspace --all-targets
  case " ${FAILED_STEPS[*]} " in *" build "*) check_verdict ;; esac
}

# `run_tests <filterset> [option…]`
run_tests() { cargo nextest run --locked --workspace --profile "$(test_profile)" -E "$1" "${@:2}"; }

# The same, with a report of their own and the system in containers.
run_tests_in_containers() {
  if [ "$(id -u)" -ne 0 ]; then
    say "not run: tests in containers enter the containers' networks, which only root may"
    return 0
  fi
  test_environment debug
  CLAWKAKA_WORLD=compose cargo nextest run --locked --workspace --profile compose -E "$1" "${@:2}"
}

compose_test_images() {
  settings_of_engine
  setting CLAWKAKA_IMAGE "clawkaka/services:$SANDBOX_HOST"
  check_step "images of the servers" logged "$LOGS/images.log" upstream_images_up
  check_step "image of the services" logged "$LOGS/images.log" services_image_up "$TARGET/debug"
  case " ${FAILED_STEPS[*]} " in *" image"*) tail -n 30 "$LOGS/images.log" >&2 ;; esac
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

test_all() {
  check_step "documentation tests" copied_to doc-tests cargo test --locked --doc --workspace --no-fail-fast
  check_documentation
  check_dependencies
  check_step "sandbox image" sandbox_image_await
  check_step "the sandbox image's own tests" copied_to image-tests sandbox_image_test
  test_environment debug
  # The tests run last, so that their summary is next to the verdict.
  compose_test_images
  check_step "tests in containers" run_tests_in_containers "$CONTAINER_TESTS"
  check_step "tests" run_tests "all()"
  test_slowest
}

check_style() {
  check_step "format" cargo fmt --all --check
  check_step "clippy" cargo clippy --locked --workspace --all-targets -- -D warnings
  check_step "shell scripts" shellcheck -x "$ROOT/dev" "$ROOT/.ci/run" "$ROOT"/deploy/*.sh "$ROOT"/deploy/*/*.sh
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
  local profile report
  for profile in "$(test_profile)" compose; do
    report=$(test_report "$profile")
    [ -e "$report" ] || continue
    awk -F'"' -v profile="$profile" '/<testcase /{ test = $4 " " $2 } /<(failure|error)[ >]/{ print test " (" profile ")" }' "$report"
  done
  sed -n 's/^test \(.*\) \.\.\. FAILED$/\1/p' "$LOGS/doc-tests.log"
  sed -n 's/^✖ \(.*\) ([0-9.]*ms)$/sandbox image: \1/p' "$LOGS/image-tests.log" | sort -u
}

# What earlier runs left must not be listed for this one.
failed_tests_forget() {
  rm -f "$(test_report "$(test_profile)")" "$(test_report compose)"
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
  export CLAWKAKA_IMAGE POSTGRES_IMAGE NATS_IMAGE CADDY_IMAGE DOCKER_GID DOCKER_SOCKET UPLINK_MTU
}

test_profile() {
  if [ "${CI:-}" = true ]; then echo ci; else echo default; fi
}

# The report that nextest writes about its last run with this profile; it ignores CARGO_TARGET_DIR for this.
test_report() { printf '%s' "$ROOT/target/nextest/$1/junit.xml"; }

# The ten slowest tests.
test_slowest() {
  local report
  report=$(test_report "$(test_profile)")
  [ -e "$report" ] || return 0
  printf '\nlongest tests\n'
  sed -n 's/.*<testcase name="\([^"]*\)" classname="\([^"]*\)".* time="\([^"]*\)".*/\3 \2 \1/p' "$report" |
    sort -rn | sed -n '1,10s/^\([0-9.]*\) /  \1s /p'
}
