//! Sandboxes that send more than an OpenClaw does.

use std::time::Duration;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio::{join, time::Instant};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use super::scripted::{FakeOpenClaw, connected, connected_over, connected_within};
use crate::{
    AgentConnection, AgentEvent, CallError, CloseReason, Flood, FrameBudget, MAIN_SESSION,
};

const MEBIBYTE: usize = 1024 * 1024;

/// The budget of all connections together has room for so many long messages.
const LONG_MESSAGES: usize = 8;

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_sends_too_many_frames_of_any_kind_is_cut_off() {
    for frame in [Message::text("{}"), Message::Ping("".into())] {
        let (connection, mut openclaw) = connected().await;
        let flood = async { while openclaw.socket.send(frame.clone()).await.is_ok() {} };

        let ((), reason) = join!(flood, reason(connection));

        assert_eq!(reason.flood(), Some(Flood::Frames));
    }
}

#[tokio::test(start_paused = true)]
async fn a_sandbox_that_sends_too_many_bytes_is_cut_off() {
    let (connection, mut openclaw) = connected_over(MEBIBYTE).await;
    let flood = async { while openclaw.socket.send(long_text(MEBIBYTE)).await.is_ok() {} };

    let ((), reason) = join!(flood, reason(connection));

    assert_eq!(reason.flood(), Some(Flood::Bytes));
}

#[tokio::test]
async fn a_message_over_the_limit_is_refused_by_its_header() {
    let (connection, mut openclaw) = connected().await;
    openclaw.socket.feed(long_text(8 * MEBIBYTE)).await.ok();
    // Most of it does not fit into the pipe, so this ends when the connection does.
    let sent = openclaw.socket.flush();

    let (_, reason) = join!(sent, reason(connection));

    assert_eq!(reason.flood(), Some(Flood::LongMessage));
}

#[tokio::test]
async fn a_message_in_many_frames_is_as_long_as_all_of_them() {
    let (connection, mut openclaw) = connected_over(MEBIBYTE).await;
    let part = |opcode| Message::Frame(Frame::message(vec![b' '; MEBIBYTE], opcode, false));
    let flood = async {
        openclaw
            .socket
            .send(part(OpCode::Data(Data::Text)))
            .await
            .ok();
        let next = part(OpCode::Data(Data::Continue));
        while openclaw.socket.send(next.clone()).await.is_ok() {}
    };

    let ((), reason) = join!(flood, reason(connection));

    assert_eq!(reason.flood(), Some(Flood::LongMessage));
}

#[tokio::test]
async fn a_page_of_a_hundred_thousand_rows_cuts_the_sandbox_off() {
    let (connection, mut openclaw) = connected_over(8 * MEBIBYTE).await;
    let handle = connection.handle().clone();
    let answer = async {
        let request = openclaw.request().await;
        let page = json!({"messages": vec![json!({}); 130_000]});
        openclaw.answer(&request, page).await;
    };

    let (history, ()) = join!(handle.history(MAIN_SESSION, 200), answer);

    assert!(matches!(history, Err(CallError::Unknown(_))));
    assert_eq!(handle.closed().await.flood(), Some(Flood::Rows));
}

/// Sandboxes that begin long messages and do not end them take the whole budget, for ten seconds.
#[tokio::test(start_paused = true)]
async fn sandboxes_that_never_end_their_messages_are_cut_off_and_free_the_budget() {
    let budget = FrameBudget::default();
    let mut hostile = Vec::new();
    for _ in 0..LONG_MESSAGES {
        let (connection, mut openclaw) = connected_within(64 * 1024, &budget).await;
        openclaw.socket.feed(long_text(MEBIBYTE)).await.ok();
        hostile.push((connection, openclaw));
    }
    settle().await;
    let (mut honest, mut openclaw) = connected_within(2 * MEBIBYTE, &budget).await;
    let began = Instant::now();
    finish(&mut openclaw, &"a".repeat(MEBIBYTE)).await;

    let event = honest.next_event().await;

    assert!(matches!(event, Some(AgentEvent::ChatFinal { .. })));
    assert!((9..=10).contains(&began.elapsed().as_secs()));
    for (connection, _openclaw) in hostile {
        assert_eq!(reason(connection).await.flood(), Some(Flood::SlowMessage));
    }
}

#[tokio::test]
async fn short_messages_do_not_wait_for_long_ones_of_others() {
    let budget = FrameBudget::default();
    let mut hostile = Vec::new();
    for _ in 0..LONG_MESSAGES {
        let (connection, mut openclaw) = connected_within(64 * 1024, &budget).await;
        openclaw.socket.feed(long_text(MEBIBYTE)).await.ok();
        hostile.push((connection, openclaw));
    }
    settle().await;
    let (mut honest, mut openclaw) = connected_within(64 * 1024, &budget).await;

    finish(&mut openclaw, "hi").await;

    let event = honest.next_event().await;
    assert!(matches!(event, Some(AgentEvent::ChatFinal { .. })));
}

#[tokio::test]
async fn messages_of_all_lengths_arrive_whole_one_after_another() {
    let (mut connection, mut openclaw) = connected_over(MEBIBYTE).await;
    let lengths = [1, 125, 126, 5_000, 60_000, 3, 70_000, 100_000, 2];
    let send = async {
        for length in lengths {
            finish(&mut openclaw, &"a".repeat(length)).await;
        }
    };
    let receive = async {
        let mut received = Vec::new();
        for _ in lengths {
            received.push(length_of(connection.next_event().await));
        }
        received
    };

    let ((), received) = join!(send, receive);

    assert_eq!(received, lengths);
}

#[tokio::test]
async fn the_text_of_a_final_is_cut_and_an_event_with_an_endless_id_is_ignored() {
    let (mut connection, mut openclaw) = connected_over(4 * MEBIBYTE).await;
    for event in ["start", "end"] {
        let run = "r".repeat(100_000);
        let payload = json!({"runId": run, "sessionKey": MAIN_SESSION, "stream": "lifecycle",
            "data": {"phase": event}});
        openclaw.event("agent", payload).await;
    }
    finish(&mut openclaw, &"a".repeat(MEBIBYTE)).await;

    assert_eq!(length_of(connection.next_event().await), 128 * 1024);
}

async fn reason(connection: AgentConnection) -> CloseReason {
    connection.handle().closed().await
}

/// Lets the tasks read what is in the pipes.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

async fn finish(openclaw: &mut FakeOpenClaw, text: &str) {
    let payload: Value = json!({"runId": "k", "sessionKey": MAIN_SESSION, "state": "final",
        "message": {"role": "assistant", "content": [{"type": "text", "text": text}]}});
    openclaw.event("chat", payload).await;
}

fn length_of(event: Option<AgentEvent>) -> usize {
    match event {
        Some(AgentEvent::ChatFinal {
            text: Some(text), ..
        }) => text.expose().len(),
        other => panic!("expected a final with its text, got {other:?}"),
    }
}

fn long_text(bytes: usize) -> Message {
    Message::text(" ".repeat(bytes))
}
