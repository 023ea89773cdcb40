use serde_json::{Value, json, value::to_raw_value};

use super::*;
use crate::{MAIN_SESSION, captures};

#[test]
fn a_plain_answer_is_found_by_its_run_and_equals_the_final() {
    assert_eq!(
        answer(
            &last_page("chat-idempotency-after-ttl"),
            "seed-1795328158118"
        ),
        "seed main session"
    );
}

#[test]
fn queued_messages_keep_their_answers_although_those_carry_foreign_runs() {
    let page = last_page("overlap-followup");

    assert!(answer(&page, "ov-followup-1795327794663a").ends_with("(slow done)"));
    assert_eq!(
        answer(&page, "ov-followup-1795327794663b"),
        "reply to second"
    );
    assert_eq!(
        answer(&page, "ov-followup-1795327794663c"),
        "reply to third"
    );
}

#[test]
fn collected_messages_lose_their_keys_which_is_why_we_never_ask_for_that_mode() {
    let page = last_page("overlap-collect");

    assert_eq!(
        standing(&page, "ov-collect-1795327805431b"),
        Standing::Unknown
    );
}

#[test]
fn what_was_steered_into_a_run_is_answered_within_that_runs_final() {
    let page = last_page("overlap-steer");

    assert!(answer(&page, "ov-steer-1795327816373a").ends_with("(slow done)\n\nreply to third"));
    assert_eq!(standing(&page, "ov-steer-1795327816373b"), Standing::Silent);
    assert_eq!(standing(&page, "ov-steer-1795327816373c"), Standing::Silent);
}

#[test]
fn after_an_interrupt_only_the_last_message_has_an_answer() {
    let page = last_page("overlap-interrupt");

    assert_eq!(
        standing(&page, "ov-interrupt-1795327826344a"),
        Standing::Abandoned
    );
    assert_eq!(
        standing(&page, "ov-interrupt-1795327826344b"),
        Standing::Unknown
    );
    assert_eq!(
        answer(&page, "ov-interrupt-1795327826344c"),
        "reply to third"
    );
}

#[test]
fn a_turn_interrupted_by_a_restart_runs_again_and_must_not_be_sent_again() {
    let pages = captures::pages("gateway-killed-midrun");

    assert_eq!(standing(&pages[0], "kill-1795327967369"), Standing::Running);
    assert!(answer(&pages[1], "kill-1795327967369").ends_with("(slow done)"));
}

#[test]
fn a_key_sent_again_after_a_restart_keeps_its_first_answer() {
    let page = last_page("chat-idempotency-after-gateway-restart");
    let Standing::Answered(rows) = standing(&page, "idem-1795327741457") else {
        panic!("not answered");
    };

    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["8b1aba5d-c5da-4861-9feb-751fb11fbdad"]);
}

#[test]
fn a_run_in_flight_is_running_and_a_key_nobody_took_is_unknown() {
    let page = last_page("reconnect-midrun");

    assert_eq!(standing(&page, "disc-1795327912795"), Standing::Running);
    assert_eq!(standing(&page, "no-such-run"), Standing::Unknown);
}

#[test]
fn what_ended_while_nobody_listened_is_in_the_transcript() {
    let page = last_page("reconnect-after-final");

    assert!(answer(&page, "disc2-1795327932478").ends_with("(slow done)"));
}

#[test]
fn a_stopped_run_has_failed_whatever_it_had_said_by_then() {
    assert_eq!(
        standing(&last_page("abort"), "abort-1795327836282"),
        Standing::Failed
    );
}

#[test]
fn a_cursor_gives_exactly_the_rows_since_and_an_unusable_one_a_reset() {
    let deltas = captures::deltas("history-cursor");
    let HistorySince::Delta(delta) = &deltas[1] else {
        panic!("no delta");
    };

    assert_eq!(answer(delta, "cur-11795328252796"), "delta reply 1");
    assert_eq!(answer(delta, "cur-21795328254714"), "delta reply 2");
    assert_eq!(delta.rows.len(), 4);
    assert!(delta.cursor.is_some());
    assert_eq!(deltas[2], HistorySince::Reset);
}

#[test]
fn what_the_assistant_says_unasked_answers_nobody() {
    let page = last_page("heartbeat-alert-target-none");

    let texts: Vec<String> = proactive(&page.rows).into_iter().map(exposed).collect();
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().all(|text| text.starts_with("ALERT")));
}

#[test]
fn a_heartbeat_that_has_nothing_to_say_or_nowhere_to_say_it_adds_nothing() {
    assert_eq!(last_page("heartbeat-ok").rows, []);
    let before = proactive(&last_page("cron").rows);
    for quiet in [
        "heartbeat-legacy-ok-token",
        "heartbeat-default-target-no-route",
        "heartbeat-target-last-no-route",
        "heartbeat-isolated-long",
    ] {
        assert_eq!(proactive(&last_page(quiet).rows), before, "{quiet}");
    }
}

#[test]
fn a_reminder_the_agent_makes_itself_ends_in_the_session_we_read() {
    let added = captures::inbound("agent-cron-tool")
        .iter()
        .map(|frame| serde_json::from_str::<Value>(frame).unwrap())
        .find(|frame| frame["event"] == "cron" && frame["payload"]["action"] == "added")
        .unwrap();

    let job = &added["payload"]["job"];
    assert_eq!(job["sessionTarget"], "current");
    assert_eq!(job["sessionKey"], MAIN_SESSION);
    assert_eq!(job["delivery"]["mode"], "announce");
}

#[test]
fn of_cron_the_results_are_proactive_and_the_prompts_are_not() {
    let page = last_page("cron");

    let texts: Vec<String> = proactive(&page.rows).into_iter().map(exposed).collect();
    assert_eq!(
        texts[texts.len() - 3..],
        [
            "text from main system event",
            "text from current announce",
            "text from session target"
        ]
    );
}

#[test]
fn an_alert_after_a_failed_turn_does_not_answer_it() {
    let page = page(
        &[
            user("k"),
            json!({"role":"assistant","content":"boom","stopReason":"error",
                "__openclaw":{"id":"e","runId":"k"}}),
            json!({"role":"assistant","content":[{"type":"text","text":"ALERT"}],
                "stopReason":"stop","__openclaw":{"id":"h","runId":"beat","turnBoundary":true}}),
        ],
        &json!({"hasActiveRun": false, "status": "done", "lastRunId": "beat"}),
    );

    assert_eq!(standing(&page, "k"), Standing::Failed);
    assert_eq!(proactive(&page.rows).len(), 1);
}

#[test]
fn a_tool_turn_is_answered_by_all_it_said_and_not_before_its_last_word() {
    let rows = [
        user("k"),
        json!({"role":"assistant","content":[{"type":"text","text":"Let me look."},
            {"type":"toolCall","id":"c","name":"exec"}],"stopReason":"toolUse",
            "__openclaw":{"id":"a","runId":"k"}}),
        json!({"role":"toolResult","content":[{"type":"text","text":"42"}],"__openclaw":{"id":"b"}}),
        said("c", "k", "It is 42."),
    ];
    let active = json!({"hasActiveRun": true, "status": "running"});

    assert_eq!(standing(&page(&rows[..3], &active), "k"), Standing::Running);
    assert_eq!(
        standing(&page(&rows[..3], &idle()), "k"),
        Standing::Interrupted
    );
    assert_eq!(
        answer(&page(&rows, &active), "k"),
        "Let me look.\n\nIt is 42."
    );
}

#[test]
fn a_turn_that_ended_without_a_word_was_silent() {
    let done = json!({"hasActiveRun": false, "status": "done", "lastRunId": "k"});

    assert_eq!(standing(&page(&[user("k")], &done), "k"), Standing::Silent);
    let words = [user("k"), said("a", "k", "NO_REPLY")];
    assert_eq!(standing(&page(&words, &idle()), "k"), Standing::Silent);
}

#[test]
fn a_question_nobody_works_on_is_abandoned_unless_the_gateway_has_it_on_record() {
    assert_eq!(
        standing(&page(&[user("k")], &idle()), "k"),
        Standing::Abandoned
    );
    let crashed = json!({"hasActiveRun": false, "status": "running", "abortedLastRun": true});
    let page_after = page(&[user("k")], &crashed);
    assert_eq!(standing(&page_after, "k"), Standing::Interrupted);
    assert_eq!(page_after.activity.interruption, Interruption::Marked);
    let active = json!({"hasActiveRun": true, "status": "running"});
    assert_eq!(
        standing(&page(&[user("k")], &active), "k"),
        Standing::Running
    );
}

#[test]
fn a_failed_try_is_running_while_the_gateway_tries_again() {
    let rows = [
        user("k"),
        json!({"role":"assistant","content":"x","stopReason":"error",
            "__openclaw":{"id":"e","runId":"k"}}),
    ];
    let active = json!({"hasActiveRun": true, "status": "running"});

    assert_eq!(standing(&page(&rows, &active), "k"), Standing::Running);
    assert_eq!(standing(&page(&rows, &idle()), "k"), Standing::Failed);
}

#[test]
fn what_a_restart_adds_to_a_complete_answer_is_said_by_nobody() {
    let rows = [
        user("k"),
        said("a", "k", "hello"),
        json!({"role":"user","content":"[System] go on","idempotencyKey":"x:user",
            "provenance":{"kind":"internal_system","sourceTool":"main_session_restart_recovery"},
            "__openclaw":{"id":"r"}}),
        said("b", "x", "ALERT"),
    ];
    let page = page(&rows, &idle());

    assert_eq!(answer(&page, "k"), "hello");
    assert_eq!(proactive(&page.rows), []);
}

#[test]
fn a_transcript_that_runs_in_circles_is_read_to_its_end() {
    let rows = [
        json!({"role":"user","content":"x","idempotencyKey":"k:user",
            "__openclaw":{"id":"1","steerTargetRunId":"l"}}),
        json!({"role":"user","content":"x","idempotencyKey":"l:user",
            "__openclaw":{"id":"2","steerTargetRunId":"k"}}),
    ];

    assert_eq!(standing(&page(&rows, &idle()), "k"), Standing::Abandoned);
}

fn last_page(name: &str) -> History {
    captures::pages(name).pop().unwrap()
}

fn answer(history: &History, run: &str) -> String {
    let standing = standing(history, run);
    let Standing::Answered(rows) = standing else {
        panic!("{standing:?}");
    };
    whole_text(&rows).into_exposed()
}

fn exposed(row: AssistantRow) -> String {
    row.text.into_exposed()
}

fn page(rows: &[Value], session: &Value) -> History {
    let page = json!({"messages": rows, "sessionInfo": session});
    History::read(&to_raw_value(&page).unwrap()).unwrap()
}

fn idle() -> Value {
    json!({"hasActiveRun": false, "activeRunIds": []})
}

fn user(run: &str) -> Value {
    json!({"role":"user","content":"question","idempotencyKey":format!("{run}:user"),
        "__openclaw":{"id":format!("q-{run}")}})
}

fn said(id: &str, run: &str, text: &str) -> Value {
    json!({"role":"assistant","content":[{"type":"text","text":text}],"stopReason":"stop",
        "__openclaw":{"id":id,"runId":run}})
}
