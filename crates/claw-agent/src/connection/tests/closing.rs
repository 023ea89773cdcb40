use std::time::Duration;

use serde_json::json;
use tokio::{join, time::Instant};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::scripted::{FakeOpenClaw, connected, connected_over};
use crate::{
    AgentEvent, CallError, ChatSend, CloseReason, MAIN_SESSION, Unanswered,
    connection::event_queue::EVENTS_IN_FLIGHT,
};

#[tokio::test]
async fn events_arrive_in_order_and_without_ticks_and_unknown_events() {
    let (mut connection, mut openclaw) = connected().await;
    openclaw.event("tick", json!({"ts": 1})).await;
    openclaw.event("health", json!({})).await;
    finish(&mut openclaw, "a").await;
    finish(&mut openclaw, "b").await;

    assert_eq!(run_of(connection.next_event().await), "a");
    assert_eq!(run_of(connection.next_event().await), "b");
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed_after_two_ticks_and_a_margin() {
    let (mut connection, _openclaw) = connected().await;
    let before = Instant::now();

    let reason = connection.handle().closed().await;

    assert!(matches!(reason, CloseReason::Silent));
    assert!((70..=72).contains(&before.elapsed().as_secs()));
    assert_eq!(connection.next_event().await, None);
}

#[tokio::test(start_paused = true)]
async fn ticks_keep_an_idle_connection_alive() {
    let (connection, mut openclaw) = connected().await;

    for _ in 0..5 {
        tokio::time::advance(Duration::from_mins(1)).await;
        openclaw.event("tick", json!({})).await;
        settle(connection.handle(), &mut openclaw).await;
    }

    assert!(!connection.handle().is_closed());
}

#[tokio::test]
async fn a_consumer_that_takes_no_events_loses_the_connection_but_no_event() {
    let (mut connection, mut openclaw) = connected().await;

    for run in 0..=EVENTS_IN_FLIGHT {
        finish(&mut openclaw, &run.to_string()).await;
    }

    let reason = connection.handle().closed().await;
    assert!(matches!(reason, CloseReason::Lagged));
    for run in 0..EVENTS_IN_FLIGHT {
        assert_eq!(run_of(connection.next_event().await), run.to_string());
    }
    assert_eq!(connection.next_event().await, None);
}

#[tokio::test]
async fn deltas_are_dropped_before_they_crowd_out_the_final_event() {
    let (mut connection, mut openclaw) = connected().await;
    for _ in 0..2 * EVENTS_IN_FLIGHT {
        let delta = json!({"runId": "k", "sessionKey": MAIN_SESSION, "state": "delta",
            "deltaText": "w"});
        openclaw.event("chat", delta).await;
    }
    finish(&mut openclaw, "k").await;
    settle(connection.handle(), &mut openclaw).await;

    let mut deltas = 0;
    while let Some(AgentEvent::ChatDelta { .. }) = connection.next_event().await {
        deltas += 1;
    }
    assert!(deltas < EVENTS_IN_FLIGHT);
    assert!(!connection.handle().is_closed());
}

#[tokio::test]
async fn a_ping_is_answered_at_once() {
    let (_connection, mut openclaw) = connected().await;

    futures_util::SinkExt::send(&mut openclaw.socket, Message::Ping("p".into()))
        .await
        .unwrap();

    assert_eq!(openclaw.heard().await, Some(Message::Pong("p".into())));
}

#[tokio::test]
async fn the_close_code_of_openclaw_is_reported() {
    let (connection, mut openclaw) = connected().await;
    let frame = CloseFrame {
        code: CloseCode::Restart,
        reason: "service restart".into(),
    };

    let (reason, _) = join!(
        connection.handle().closed(),
        openclaw.socket.close(Some(frame))
    );

    assert!(matches!(reason, CloseReason::ByOpenClaw { code: 1012, .. }));
}

#[tokio::test]
async fn dropping_the_connection_ends_its_task_and_closes_the_socket() {
    let (connection, mut openclaw) = connected().await;
    let handle = connection.handle().clone();

    drop(connection);

    let (reason, goodbye) = join!(handle.closed(), openclaw.heard());
    assert!(matches!(reason, CloseReason::Asked));
    assert!(matches!(goodbye, Some(Message::Close(_))));
}

#[tokio::test]
async fn closing_the_connection_waits_until_the_socket_is_closed() {
    let (connection, mut openclaw) = connected().await;
    let handle = connection.handle().clone();

    let ((), goodbye) = join!(connection.close(), openclaw.heard());

    assert!(matches!(goodbye, Some(Message::Close(_))));
    assert!(handle.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_is_disconnected_after_ten_seconds() {
    let (connection, _openclaw) = connected_over(4096).await;
    let before = Instant::now();
    let send = ChatSend {
        session: MAIN_SESSION.to_owned(),
        run: "k".to_owned(),
        text: "x".repeat(40_000).into(),
        timeout: Duration::from_mins(2),
        note: None,
    };

    let result = connection.handle().send_chat(&send).await;

    assert!(matches!(
        result,
        Err(CallError::Unknown(Unanswered::Closed))
    ));
    assert_eq!(before.elapsed().as_secs(), 10);
    let reason = connection.handle().closed().await;
    assert!(matches!(reason, CloseReason::Stalled));
}

async fn finish(openclaw: &mut FakeOpenClaw, run: &str) {
    let payload = json!({"runId": run, "sessionKey": MAIN_SESSION, "state": "final"});
    openclaw.event("chat", payload).await;
}

/// Waits until the driver has processed all earlier frames: it answers requests after them.
async fn settle(handle: &crate::AgentHandle, openclaw: &mut FakeOpenClaw) {
    let (result, ()) = join!(handle.subscribe(), async {
        let request = openclaw.request().await;
        openclaw.answer(&request, json!({"subscribed": true})).await;
    });
    result.unwrap();
}

fn run_of(event: Option<AgentEvent>) -> String {
    let Some(AgentEvent::ChatFinal { run, .. }) = event else {
        panic!("expected a final event, got {event:?}");
    };
    run
}
