use std::time::Duration;

use serde_json::json;
use tokio::{join, time::Instant};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::{CloseFrame, frame::coding::CloseCode},
};

use super::scripted::{Gateway, connected, connected_over};
use crate::{
    AgentEvent, CallError, ChatSend, CloseReason, MAIN_SESSION, Unanswered,
    connection::EVENTS_IN_FLIGHT,
};

#[tokio::test]
async fn events_arrive_in_order_and_without_ticks_and_noise() {
    let (mut connection, mut gateway) = connected().await;
    gateway.event("tick", json!({"ts": 1})).await;
    gateway.event("health", json!({})).await;
    finish(&mut gateway, "a").await;
    finish(&mut gateway, "b").await;

    assert_eq!(run_of(connection.next_event().await), "a");
    assert_eq!(run_of(connection.next_event().await), "b");
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_falls_silent_is_given_up_after_two_ticks_and_a_margin() {
    let (mut connection, _gateway) = connected().await;
    let before = Instant::now();

    let reason = connection.handle().closed().await;

    assert!(matches!(reason, CloseReason::Silent));
    assert!((70..=72).contains(&before.elapsed().as_secs()));
    assert_eq!(connection.next_event().await, None);
}

#[tokio::test(start_paused = true)]
async fn ticks_keep_an_idle_connection_alive() {
    let (connection, mut gateway) = connected().await;

    for _ in 0..5 {
        tokio::time::advance(Duration::from_mins(1)).await;
        gateway.event("tick", json!({})).await;
        settle(connection.handle(), &mut gateway).await;
    }

    assert!(!connection.handle().is_closed());
}

#[tokio::test]
async fn a_consumer_that_never_listens_loses_the_connection_and_not_an_event() {
    let (mut connection, mut gateway) = connected().await;

    for run in 0..=EVENTS_IN_FLIGHT {
        finish(&mut gateway, &run.to_string()).await;
    }

    let reason = connection.handle().closed().await;
    assert!(matches!(reason, CloseReason::Lagged));
    for run in 0..EVENTS_IN_FLIGHT {
        assert_eq!(run_of(connection.next_event().await), run.to_string());
    }
    assert_eq!(connection.next_event().await, None);
}

#[tokio::test]
async fn pieces_of_a_reply_are_left_out_before_they_push_out_its_final() {
    let (mut connection, mut gateway) = connected().await;
    for _ in 0..2 * EVENTS_IN_FLIGHT {
        let piece = json!({"runId": "k", "sessionKey": MAIN_SESSION, "state": "delta",
            "deltaText": "w"});
        gateway.event("chat", piece).await;
    }
    finish(&mut gateway, "k").await;
    settle(connection.handle(), &mut gateway).await;

    let mut pieces = 0;
    while let Some(AgentEvent::ChatDelta { .. }) = connection.next_event().await {
        pieces += 1;
    }
    assert!(pieces < EVENTS_IN_FLIGHT);
    assert!(!connection.handle().is_closed());
}

#[tokio::test]
async fn a_ping_is_answered_at_once() {
    let (_connection, mut gateway) = connected().await;

    futures_util::SinkExt::send(&mut gateway.socket, Message::Ping("p".into()))
        .await
        .unwrap();

    assert_eq!(gateway.heard().await, Some(Message::Pong("p".into())));
}

#[tokio::test]
async fn the_gateways_reason_to_close_is_told() {
    let (connection, mut gateway) = connected().await;
    let frame = CloseFrame {
        code: CloseCode::Restart,
        reason: "service restart".into(),
    };

    let (reason, _) = join!(
        connection.handle().closed(),
        gateway.socket.close(Some(frame))
    );

    assert!(matches!(reason, CloseReason::ByGateway { code: 1012, .. }));
}

#[tokio::test]
async fn dropping_the_connection_ends_its_task_and_closes_the_socket() {
    let (connection, mut gateway) = connected().await;
    let handle = connection.handle().clone();

    drop(connection);

    let (reason, goodbye) = join!(handle.closed(), gateway.heard());
    assert!(matches!(reason, CloseReason::Asked));
    assert!(matches!(goodbye, Some(Message::Close(_))));
}

#[tokio::test]
async fn a_polite_close_returns_when_the_socket_is_closed() {
    let (connection, mut gateway) = connected().await;
    let handle = connection.handle().clone();

    let ((), goodbye) = join!(connection.close(), gateway.heard());

    assert!(matches!(goodbye, Some(Message::Close(_))));
    assert!(handle.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_does_not_read_is_given_up_after_ten_seconds() {
    let (connection, _gateway) = connected_over(4096).await;
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

async fn finish(gateway: &mut Gateway, run: &str) {
    let payload = json!({"runId": run, "sessionKey": MAIN_SESSION, "state": "final"});
    gateway.event("chat", payload).await;
}

/// Once a later request is answered, everything said before has been taken.
async fn settle(handle: &crate::AgentHandle, gateway: &mut Gateway) {
    let (result, ()) = join!(handle.subscribe(), async {
        let request = gateway.request().await;
        gateway.answer(&request, json!({"subscribed": true})).await;
    });
    result.unwrap();
}

fn run_of(event: Option<AgentEvent>) -> String {
    let Some(AgentEvent::ChatFinal { run, .. }) = event else {
        panic!("no final but {event:?}");
    };
    run
}
