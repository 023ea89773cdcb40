use serde_json::{Value, json, value::to_raw_value};

use super::*;
use crate::{MAIN_SESSION, captures};

#[test]
fn a_plain_answer_is_found_by_its_run_and_equals_the_final_event() {
    assert_eq!(
        answer(
            &last_page("chat-idempotency-after-ttl"),
            "seed-1795328158118"
        ),
        "seed main session"
    );
}

#[test]
fn queued_messages_keep_their_answers_although_the_answers_name_other_runs() {
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
fn messages_in_collect_mode_lose_their_keys_so_we_never_use_that_mode() {
    let page = last_page("overlap-collect");

    assert_eq!(
        run_status(&page, "ov-collect-1795327805431b"),
        RunStatus::Unknown
    );
}

#[test]
fn messages_steered_into_a_run_are_answered_in_that_runs_final_event() {
    let page = last_page("overlap-steer");

    assert!(answer(&page, "ov-steer-1795327816373a").ends_with("(slow done)\n\nreply to third"));
    assert_eq!(
        run_status(&page, "ov-steer-1795327816373b"),
        RunStatus::Silent
    );
    assert_eq!(
        run_status(&page, "ov-steer-1795327816373c"),
        RunStatus::Silent
    );
}

#[test]
fn after_an_interrupt_only_the_last_message_has_an_answer() {
    let page = last_page("overlap-interrupt");

    assert_eq!(
        run_status(&page, "ov-interrupt-1795327826344a"),
        RunStatus::Abandoned
    );
    assert_eq!(
        run_status(&page, "ov-interrupt-1795327826344b"),
        RunStatus::Unknown
    );
    assert_eq!(
        answer(&page, "ov-interrupt-1795327826344c"),
        "reply to third"
    );
}

#[test]
fn a_run_interrupted_by_a_restart_is_resumed_and_must_not_be_sent_again() {
    let pages = captures::pages("gateway-killed-midrun");

    assert_eq!(
        run_status(&pages[0], "kill-1795327967369"),
        RunStatus::Running
    );
    assert!(answer(&pages[1], "kill-1795327967369").ends_with("(slow done)"));
}

#[test]
fn a_key_sent_again_after_a_restart_keeps_its_first_answer() {
    let page = last_page("chat-idempotency-after-gateway-restart");
    let RunStatus::Answered(rows) = run_status(&page, "idem-1795327741457") else {
        panic!("not answered");
    };

    let ids: Vec<&str> = rows.iter().map(|row| row.id.as_str()).collect();
    assert_eq!(ids, ["8b1aba5d-c5da-4861-9feb-751fb11fbdad"]);
}

#[test]
fn a_run_in_flight_is_running_and_an_unused_key_is_unknown() {
    let page = last_page("reconnect-midrun");

    assert_eq!(run_status(&page, "disc-1795327912795"), RunStatus::Running);
    assert_eq!(run_status(&page, "no-such-run"), RunStatus::Unknown);
}

#[test]
fn a_run_that_ended_while_we_were_disconnected_is_in_the_transcript() {
    let page = last_page("reconnect-after-final");

    assert!(answer(&page, "disc2-1795327932478").ends_with("(slow done)"));
}

#[test]
fn a_stopped_run_has_failed_even_with_texts() {
    assert_eq!(
        run_status(&last_page("abort"), "abort-1795327836282"),
        RunStatus::Failed
    );
}

#[test]
fn a_cursor_gives_exactly_the_later_rows_and_an_unusable_cursor_a_reset() {
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
fn a_proactive_text_answers_no_message() {
    let page = last_page("heartbeat-alert-target-none");

    let texts: Vec<String> = proactive(&page.rows).into_iter().map(exposed).collect();
    assert_eq!(texts.len(), 2);
    assert!(texts.iter().all(|text| text.starts_with("ALERT")));
}

#[test]
fn a_heartbeat_without_a_text_or_a_target_adds_no_proactive_text() {
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
fn a_reminder_created_by_the_agent_targets_the_session_we_read() {
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
fn results_of_cron_jobs_are_proactive_and_their_prompts_are_not() {
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
fn an_alert_after_a_failed_run_does_not_answer_it() {
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

    assert_eq!(run_status(&page, "k"), RunStatus::Failed);
    assert_eq!(proactive(&page.rows).len(), 1);
}

#[test]
fn the_answer_of_a_run_with_tool_calls_is_all_its_texts_once_the_last_is_written() {
    let rows = [
        user("k"),
        json!({"role":"assistant","content":[{"type":"text","text":"Let me look."},
            {"type":"toolCall","id":"c","name":"exec"}],"stopReason":"toolUse",
            "__openclaw":{"id":"a","runId":"k"}}),
        json!({"role":"toolResult","content":[{"type":"text","text":"42"}],"__openclaw":{"id":"b"}}),
        said("c", "k", "It is 42."),
    ];
    let active = json!({"hasActiveRun": true, "status": "running"});

    assert_eq!(
        run_status(&page(&rows[..3], &active), "k"),
        RunStatus::Running
    );
    assert_eq!(
        run_status(&page(&rows[..3], &idle()), "k"),
        RunStatus::Interrupted
    );
    assert_eq!(
        answer(&page(&rows, &active), "k"),
        "Let me look.\n\nIt is 42."
    );
}

#[test]
fn a_run_that_ended_without_a_text_is_silent() {
    let done = json!({"hasActiveRun": false, "status": "done", "lastRunId": "k"});

    assert_eq!(
        run_status(&page(&[user("k")], &done), "k"),
        RunStatus::Silent
    );
    let words = [user("k"), said("a", "k", "NO_REPLY")];
    assert_eq!(run_status(&page(&words, &idle()), "k"), RunStatus::Silent);
}

#[test]
fn a_question_without_a_run_is_abandoned_unless_the_record_names_one() {
    assert_eq!(
        run_status(&page(&[user("k")], &idle()), "k"),
        RunStatus::Abandoned
    );
    let crashed = json!({"hasActiveRun": false, "status": "running", "abortedLastRun": true});
    let page_after = page(&[user("k")], &crashed);
    assert_eq!(run_status(&page_after, "k"), RunStatus::Interrupted);
    assert_eq!(page_after.activity.interruption, Interruption::Marked);
    let active = json!({"hasActiveRun": true, "status": "running"});
    assert_eq!(
        run_status(&page(&[user("k")], &active), "k"),
        RunStatus::Running
    );
}

#[test]
fn a_failed_attempt_is_running_while_openclaw_retries() {
    let rows = [
        user("k"),
        json!({"role":"assistant","content":"x","stopReason":"error",
            "__openclaw":{"id":"e","runId":"k"}}),
    ];
    let active = json!({"hasActiveRun": true, "status": "running"});

    assert_eq!(run_status(&page(&rows, &active), "k"), RunStatus::Running);
    assert_eq!(run_status(&page(&rows, &idle()), "k"), RunStatus::Failed);
}

#[test]
fn rows_added_by_a_restart_after_a_complete_answer_are_ignored() {
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
fn a_transcript_with_circular_steering_is_read_to_its_end() {
    let rows = [
        json!({"role":"user","content":"x","idempotencyKey":"k:user",
            "__openclaw":{"id":"1","steerTargetRunId":"l"}}),
        json!({"role":"user","content":"x","idempotencyKey":"l:user",
            "__openclaw":{"id":"2","steerTargetRunId":"k"}}),
    ];

    assert_eq!(run_status(&page(&rows, &idle()), "k"), RunStatus::Abandoned);
}

fn last_page(name: &str) -> History {
    captures::pages(name).pop().unwrap()
}

fn answer(history: &History, run: &str) -> String {
    let status = run_status(history, run);
    let RunStatus::Answered(rows) = status else {
        panic!("{status:?}");
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
