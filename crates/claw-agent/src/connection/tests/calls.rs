use std::time::Duration;

use serde_json::json;
use tokio::join;

use super::scripted::connected;
use crate::{
    CallError, ChatSend, Cursor, HistorySince, MAIN_SESSION, NotSent, SendStatus, Standing,
    Unanswered, WaitOutcome, standing,
};

#[tokio::test]
async fn a_message_goes_out_with_its_key_and_note_and_without_nul() {
    let (connection, mut gateway) = connected().await;
    let mut send = message("one\0two");
    send.note = Some("spoken".into());

    let (status, request) = join!(connection.handle().send_chat(&send), async {
        let request = gateway.request().await;
        gateway
            .answer(&request, json!({"runId": "msg_1", "status": "started"}))
            .await;
        request
    });

    assert_eq!(status.unwrap(), SendStatus::Started);
    assert_eq!(request["method"], "chat.send");
    assert_eq!(
        request["params"],
        json!({"sessionKey": MAIN_SESSION, "message": "onetwo", "idempotencyKey": "msg_1",
            "queueMode": "followup", "suppressCommandInterpretation": true, "timeoutMs": 120_000,
            "systemProvenanceReceipt": "spoken"})
    );
}

#[tokio::test]
async fn answers_find_their_calls_in_any_order() {
    let (connection, mut gateway) = connected().await;
    let handle = connection.handle();

    let (first, second, ()) = join!(
        handle.wait("a", Duration::ZERO),
        handle.wait("b", Duration::ZERO),
        async {
            let (a, b) = (gateway.request().await, gateway.request().await);
            gateway.answer(&b, wait_answer("about b")).await;
            gateway.answer(&a, wait_answer("about a")).await;
        }
    );

    assert_eq!(text_of(first.unwrap()), "about a");
    assert_eq!(text_of(second.unwrap()), "about b");
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_its_advice() {
    let (connection, mut gateway) = connected().await;
    let send = message("hi");

    let (result, ()) = join!(connection.handle().send_chat(&send), async {
        let request = gateway.request().await;
        let error = json!({"code": "UNAVAILABLE", "message": "restarting", "retryable": true,
            "retryAfterMs": 1000, "details": {"reason": "gateway-restarting"}});
        gateway.refuse(&request, error).await;
    });

    let Err(CallError::Refused(refusal)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(refusal.detail.as_deref(), Some("gateway-restarting"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
    assert!(CallError::Refused(refusal).is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_has_an_unknown_fate_after_half_a_minute() {
    let (connection, mut gateway) = connected().await;
    let before = tokio::time::Instant::now();

    let result = connection.handle().send_chat(&message("hi")).await;

    assert!(matches!(
        result,
        Err(CallError::Unknown(Unanswered::TimedOut))
    ));
    assert_eq!(before.elapsed().as_secs(), 30);
    assert_eq!(gateway.request().await["method"], "chat.send");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_too_late_disturbs_nobody() {
    let (connection, mut gateway) = connected().await;
    let handle = connection.handle();
    handle.wait("a", Duration::ZERO).await.unwrap_err();
    let late = gateway.request().await;
    gateway.answer(&late, wait_answer("late")).await;

    let (result, ()) = join!(handle.wait("b", Duration::ZERO), async {
        let request = gateway.request().await;
        gateway.answer(&request, wait_answer("in time")).await;
    });

    assert_eq!(text_of(result.unwrap()), "in time");
}

#[tokio::test]
async fn a_socket_lost_in_the_middle_of_a_call_leaves_its_fate_unknown() {
    let (connection, mut gateway) = connected().await;
    let send = message("hi");

    let (result, ()) = join!(connection.handle().send_chat(&send), async move {
        gateway.request().await;
        drop(gateway);
    });

    let error = result.unwrap_err();
    assert!(matches!(error, CallError::Unknown(Unanswered::Closed)));
    assert!(error.may_have_happened());
}

#[tokio::test]
async fn on_a_closed_connection_nothing_is_sent() {
    let (connection, gateway) = connected().await;
    let handle = connection.handle().clone();
    drop(gateway);
    handle.closed().await;

    let result = handle.send_chat(&message("hi")).await;

    assert!(matches!(result, Err(CallError::NotSent(NotSent::Closed))));
}

#[tokio::test]
async fn a_frame_over_the_gateways_limit_is_refused_before_it_closes_the_connection() {
    let (connection, _gateway) = connected().await;

    let result = connection
        .handle()
        .send_chat(&message(&"x".repeat(60_000)))
        .await;

    let Err(CallError::NotSent(NotSent::TooLarge { bytes, limit })) = result else {
        panic!("{result:?}");
    };
    assert!(bytes > 60_000);
    assert_eq!(limit, 50_000);
    assert!(!connection.handle().is_closed());
}

#[tokio::test]
async fn an_answer_that_cannot_be_read_leaves_the_fate_unknown() {
    let (connection, mut gateway) = connected().await;
    let send = message("hi");

    let (result, ()) = join!(connection.handle().send_chat(&send), async {
        let request = gateway.request().await;
        gateway.answer(&request, json!(7)).await;
    });

    assert!(matches!(
        result,
        Err(CallError::Unknown(Unanswered::Unreadable))
    ));
}

#[tokio::test]
async fn a_status_of_a_later_gateway_means_that_it_has_the_message() {
    let (connection, mut gateway) = connected().await;
    let send = message("hi");

    let (result, ()) = join!(connection.handle().send_chat(&send), async {
        let request = gateway.request().await;
        gateway
            .answer(&request, json!({"status": "deferred"}))
            .await;
    });

    assert_eq!(result.unwrap(), SendStatus::InFlight);
}

#[tokio::test]
async fn history_is_read_as_a_page_and_as_a_delta() {
    let (connection, mut gateway) = connected().await;
    let handle = connection.handle();
    let cursor = Cursor::new("c-1");

    let (page, since, ()) = join!(
        handle.history(MAIN_SESSION, 50),
        handle.history_since(MAIN_SESSION, &cursor),
        async {
            let (page, since) = (gateway.request().await, gateway.request().await);
            assert_eq!(since["params"]["cursor"], "c-1");
            gateway.answer(&since, json!({"kind": "reset"})).await;
            gateway
                .answer(&page, json!({"messages": [], "deltaCursor": "c-2"}))
                .await;
        }
    );

    assert_eq!(since.unwrap(), HistorySince::Reset);
    let page = page.unwrap();
    assert_eq!(page.cursor, Some(Cursor::new("c-2")));
    assert_eq!(standing(&page, "msg_1"), Standing::Unknown);
}

#[tokio::test]
async fn an_abort_tells_whether_there_was_something_to_stop() {
    let (connection, mut gateway) = connected().await;

    let (result, ()) = join!(connection.handle().abort(MAIN_SESSION, Some("k")), async {
        let request = gateway.request().await;
        gateway
            .answer(
                &request,
                json!({"ok": true, "aborted": false, "runIds": []}),
            )
            .await;
    });

    assert!(!result.unwrap());
}

#[tokio::test]
async fn the_sessions_tell_which_of_them_are_busy() {
    let (connection, mut gateway) = connected().await;

    let (sessions, ()) = join!(connection.handle().sessions(), async {
        let request = gateway.request().await;
        let main = json!({"key": MAIN_SESSION, "hasActiveRun": true, "activeRunIds": ["k"]});
        gateway
            .answer(&request, json!({"sessions": [main, {}]}))
            .await;
    });

    let sessions = sessions.unwrap();
    assert_eq!(sessions.len(), 1);
    assert!(sessions[0].activity.names("k"));
}

fn message(text: &str) -> ChatSend {
    ChatSend {
        session: MAIN_SESSION.to_owned(),
        run: "msg_1".to_owned(),
        text: text.into(),
        timeout: Duration::from_mins(2),
        note: None,
    }
}

fn wait_answer(text: &str) -> serde_json::Value {
    json!({"status": "ok", "endedAt": 1, "terminalReply": {"disposition": "visible", "text": text}})
}

fn text_of(outcome: WaitOutcome) -> String {
    let WaitOutcome::Done { text: Some(text) } = outcome else {
        panic!("{outcome:?}");
    };
    text.into_exposed()
}
