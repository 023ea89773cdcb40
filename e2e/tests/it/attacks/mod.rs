//! Attacks on the whole system. Each test is named by what the attacker fails to do. Attacks that need one server only, or
//! a phone call, are tried elsewhere: [`TRIED`] names the tests of them all.

mod admission;
mod door;
mod flood;
mod poison;
mod suspension;

use std::{fs, path::Path};

/// Each kind of attack, with the file from the top of the repository and a test in it that tries it.
const TRIED: &[(&str, &str, &str)] = &[
    (
        "A stranger announces large bodies, and takes the memory for them",
        "e2e/tests/it/attacks/door.rs",
        "strangers_with_half_open_posts_keep_no_webhook_out",
    ),
    (
        "A stranger fills the log with refusals",
        "e2e/tests/it/attacks/door.rs",
        "strangers_do_not_fill_the_log_with_refusals",
    ),
    (
        "A reader of Caddy's logs finds tokens and signatures",
        "e2e/tests/caddy/main.rs",
        "no_log_contains_a_query_a_signature_a_token_or_a_port_of_a_sender",
    ),
    (
        "Many numbers take all assistants",
        "e2e/tests/it/attacks/admission.rs",
        "a_rush_of_strangers_gets_no_more_assistants_than_allowed_and_is_told_once",
    ),
    (
        "An assistant's Markdown grows until the process ends",
        "e2e/tests/renderers.rs",
        "no_text_becomes_much_longer_than_it_was",
    ),
    (
        "An assistant says more than the bus takes",
        "e2e/tests/it/chat_rules.rs",
        "texts_of_megabytes_are_cut_and_hold_up_nobody",
    ),
    (
        "A sandbox fills the gateway's memory with frames, rows and answers",
        "e2e/tests/it/attacks/flood.rs",
        "sandboxes_that_flood_the_gateway_get_neither_its_memory_nor_its_time",
    ),
    (
        "A message kills the service that handles it, each time it is delivered",
        "e2e/tests/it/attacks/poison.rs",
        "a_message_that_kills_the_gateway_stops_nobody_after_three_deaths",
    ),
    (
        "A captured service writes by the reply subjects of JetStream, or deletes for others",
        "crates/claw-bus/tests/it/captured.rs",
        "a_captured_service_changes_nothing_outside_its_account_except_by_its_own_events",
    ),
    (
        "A captured service forges dead letters, to have them replayed",
        "crates/claw-bus/tests/it/replaying.rs",
        "a_dead_letter_that_differs_from_its_event_is_not_replayed",
    ),
    (
        "A captured service lists people and reads what is not for it",
        "crates/claw-bus/tests/it/captured.rs",
        "a_captured_service_reads_and_lists_nothing_of_other_accounts",
    ),
    (
        "A thief of tables, streams and logs finds numbers and PINs",
        "e2e/tests/it/secrets.rs",
        "secrets_pins_and_numbers_are_nowhere_but_where_they_belong",
    ),
    (
        "A caller shows somebody else's number",
        "e2e/tests/it/calls/trust.rs",
        "a_pin_is_asked_for_unless_the_network_fully_attests_the_caller",
    ),
    (
        "Callers with invented numbers make assistants and templates",
        "e2e/tests/it/calls/new_callers.rs",
        "a_call_from_a_new_number_that_says_nothing_leaves_nothing",
    ),
    (
        "A caller guesses a PIN unseen, or locks the owner out",
        "e2e/tests/it/calls/trust.rs",
        "a_caller_who_guesses_pins_is_disconnected_and_locks_nobody_out",
    ),
];

#[test]
fn every_kind_of_attack_is_tried_by_a_test() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (attack, file, test) in TRIED {
        let source = fs::read_to_string(top.join(file)).unwrap();

        assert!(
            source.contains(&format!("fn {test}()")),
            "{attack}: {file} has no test {test}"
        );
    }
}
