use std::time::Duration;

use serde_json::json;
use tokio::join;

use super::scripted::connected;
use crate::{
    CallError, ChatSend, Cursor, HistorySince, MAIN_SESSION, NotSent, RunStatus, SendStatus,
    Unanswered, run_status,
};

#[tokio::test]
async fn a_message_is_sent_with_its_key_and_note_and_without_nul() {
    let (connection, mut openclaw) = connected().await;
    let mut send = message("one\0two");
    send.note = Some("spoken".into());

    let (status, request) = join!(connection.handle().send_chat(&send), async {
        let request = openclaw.request().await;
        openclaw
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
async fn answers_reach_their_calls_in_any_order() {
    let (connection, mut openclaw) = connected().await;
    let handle = connection.handle();

    let (first, second, ()) = join!(
        handle.abort(MAIN_SESSION, Some("a")),
        handle.abort(MAIN_SESSION, Some("b")),
        async {
            let (a, b) = (openclaw.request().await, openclaw.request().await);
            openclaw.answer(&b, json!({"aborted": false})).await;
            openclaw.answer(&a, json!({"aborted": true})).await;
        }
    );

    assert!(first.unwrap());
    assert!(!second.unwrap());
}

#[tokio::test]
async fn a_refusal_keeps_its_code_and_its_advice() {
    let (connection, mut openclaw) = connected().await;
    let send = message("hi");

    let (result, ()) = join!(connection.handle().send_chat(&send), async {
        let request = openclaw.request().await;
        let error = json!({"code": "UNAVAILABLE", "message": "restarting", "retryable": true,
            "retryAfterMs": 1000, "details": {"reason": "gateway-restarting"}});
        openclaw.refuse(&request, error).await;
    });

    let Err(CallError::Refused(refusal)) = result else {
        panic!("{result:?}");
    };
    assert_eq!(refusal.detail.as_deref(), Some("gateway-restarting"));
    assert_eq!(refusal.retry_after, Some(Duration::from_secs(1)));
    assert!(CallError::Refused(refusal).is_transient());
}

#[tokio::test(start_paused = true)]
async fn a_call_without_an_answer_has_an_unknown_outcome_after_half_a_minute() {
    let (connection, mut openclaw) = connected().await;
    let before = tokio::time::Instant::now();

    let result = connection.handle().send_chat(&message("hi")).await;

    assert!(matches!(
        result,
        Err(CallError::Unknown(Unanswered::TimedOut))
    ));
    assert_eq!(before.elapsed().as_secs(), 30);
    assert_eq!(openclaw.request().await["method"], "chat.send");
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_does_not_disturb_a_later_call() {
    let (connection, mut openclaw) = connected().await;
    let handle = connection.handle();
    handle.abort(MAIN_SESSION, None).await.unwrap_err();
    let late = openclaw.request().await;
    openclaw.answer(&late, json!({"aborted": false})).await;

    let (result, ()) = join!(handle.abort(MAIN_SESSION, None), async {
        let request = openclaw.request().await;
        openclaw.answer(&request, json!({"aborted": true})).await;
    });

    assert!(result.unwrap());
}

#[tokio::test]
async fn a_call_whose_socket_is_lost_has_an_unknown_outcome() {
    let (connection, mut openclaw) = connected().await;
    let send = message("hi");

    let (result, ()) = join!(connection.handle().send_chat(&send), async move {
        openclaw.request().await;
        drop(openclaw);
    });

    assert!(matches!(
        result,
        Err(CallError::Unknown(Unanswered::Closed))
    ));
}

#[tokio::test]
async fn a_call_on_a_closed_connection_is_not_sent() {
    let (connection, openclaw) = connected().await;
    let handle = connection.handle().clone();
    drop(openclaw);
    handle.closed().await;

    let result = handle.send_chat(&message("hi")).await;

    assert!(matches!(result, Err(CallError::NotSent(NotSent::Closed))));
}

#[tokio::test]
async fn a_frame_over_the_limit_of_openclaw_is_not_sent_and_does_not_close_the_connection() {
    let (connection, _openclaw) = connected().await;

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
async fn a_call_whose_answer_cannot_be_decoded_has_an_unknown_outcome() {
    let (connection, mut openclaw) = connected().await;
    let send = message("hi");

    let (result, ()) = join!(connection.handle().send_chat(&send), async {
        let request = openclaw.request().await;
        openclaw.answer(&request, json!(7)).await;
    });

    assert!(matches!(
        result,
        Err(CallError::Unknown(Unanswered::Unreadable))
    ));
}

#[tokio::test]
async fn an_unknown_status_means_that_openclaw_has_the_message() {
    let (connection, mut openclaw) = connected().await;
    let send = message("hi");

    let (result, ()) = join!(connection.handle().send_chat(&send), async {
        let request = openclaw.request().await;
        openclaw
            .answer(&request, json!({"status": "deferred"}))
            .await;
    });

    assert_eq!(result.unwrap(), SendStatus::InFlight);
}

#[tokio::test]
async fn a_history_is_read_as_a_page_and_as_a_delta() {
    let (connection, mut openclaw) = connected().await;
    let handle = connection.handle();
    let cursor = Cursor::new("c-1");

    let (page, since, ()) = join!(
        handle.history(MAIN_SESSION, 50),
        handle.history_since(MAIN_SESSION, &cursor),
        async {
            let (page, since) = (openclaw.request().await, openclaw.request().await);
            assert_eq!(since["params"]["cursor"], "c-1");
            openclaw.answer(&since, json!({"kind": "reset"})).await;
            openclaw
                .answer(&page, json!({"messages": [], "deltaCursor": "c-2"}))
                .await;
        }
    );

    assert_eq!(since.unwrap(), HistorySince::Reset);
    let page = page.unwrap();
    assert_eq!(page.cursor, Some(Cursor::new("c-2")));
    assert_eq!(run_status(&page, "msg_1"), RunStatus::Unknown);
}

#[tokio::test]
async fn an_abort_returns_whether_there_was_a_run_to_stop() {
    let (connection, mut openclaw) = connected().await;

    let (result, ()) = join!(connection.handle().abort(MAIN_SESSION, Some("k")), async {
        let request = openclaw.request().await;
        openclaw
            .answer(
                &request,
                json!({"ok": true, "aborted": false, "runIds": []}),
            )
            .await;
    });

    assert!(!result.unwrap());
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
