//! Live calls on a real NATS server.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::pin::pin;

use chrono::{DateTime, TimeDelta, Utc};
use claw_bus::{Bus, BusConfig, ensure};
use claw_calls::{CallUpdate, LiveCalls, RelayTicket, TicketCode, TicketError};
use claw_domain::{Address, Attestation, CallId, Language, PhoneNumber};
use claw_events::{CallStatus, Speech, TurnStatus};
use claw_testkit::TestNats;
use futures_util::StreamExt;

const READY: CallStatus = CallStatus::Ready {
    language: None,
    has_chat: true,
};
const SETTING_UP: CallStatus = CallStatus::SettingUp { has_chat: true };

#[tokio::test]
async fn a_watcher_gets_the_statuses_that_others_write() {
    let nats = server().await;
    let ingress = live_calls(&nats, "ingress").await;
    let mut updates = pin!(ingress.watch().await.unwrap());

    let gateway = live_calls(&nats, "gateway").await;
    let outbound = live_calls(&nats, "outbound").await;
    gateway.set_status(call(), SETTING_UP).await.unwrap();
    let answer = speech("Yes.");
    outbound.settle(call(), 1, answer.clone()).await.unwrap();

    let setting_up = CallUpdate::Call(call(), SETTING_UP);
    assert_eq!(updates.next().await, Some(setting_up));
    assert_eq!(
        updates.next().await,
        Some(CallUpdate::Turn(call(), 1, answer))
    );
}

#[tokio::test]
async fn a_late_reader_finds_the_last_status_of_a_call() {
    let nats = server().await;
    let gateway = live_calls(&nats, "gateway").await;
    gateway.set_status(call(), SETTING_UP).await.unwrap();
    gateway.set_status(call(), READY).await.unwrap();

    let ingress = live_calls(&nats, "ingress").await;

    assert_eq!(ingress.status(call()).await.unwrap(), Some(READY));
    assert_eq!(ingress.turn_status(call(), 1).await.unwrap(), None);
}

#[tokio::test]
async fn a_ticket_lets_one_session_in_repeatedly_and_no_other() {
    let nats = server().await;
    let calls = live_calls(&nats, "ingress").await;
    let code = calls.issue_ticket(ticket(), noon()).await.unwrap();
    let redeem = async |session: &str| calls.redeem_ticket(&code, call(), session, noon()).await;

    let first = redeem("VX1").await.unwrap();
    let again = redeem("VX1").await.unwrap();
    let other = redeem("VX2").await;

    assert_eq!((first.previous_uses, again.previous_uses), (0, 1));
    assert_eq!(again.ticket, ticket());
    assert!(matches!(other, Err(TicketError::Invalid)));
}

#[tokio::test]
async fn a_ticket_for_another_call_an_expired_one_and_an_unknown_one_are_refused() {
    let nats = server().await;
    let calls = live_calls(&nats, "ingress").await;
    let now = noon();
    let code = calls.issue_ticket(ticket(), now).await.unwrap();
    let redeem =
        async |code: &TicketCode, call, at| calls.redeem_ticket(code, call, "VX1", at).await;
    let later = now + TimeDelta::minutes(3);

    for refused in [
        redeem(&code, CallId::derived_from("CA2"), now).await,
        redeem(&code, call(), later).await,
        redeem(&TicketCode::of_url("abc"), call(), now).await,
    ] {
        assert!(matches!(refused, Err(TicketError::Invalid)));
    }
}

#[tokio::test]
async fn the_last_asked_turn_is_the_one_written_last() {
    let nats = server().await;
    let calls = live_calls(&nats, "ingress").await;
    assert_eq!(calls.last_asked(call()).await.unwrap(), None);

    calls.note_asked(call(), 1).await.unwrap();
    calls.note_asked(call(), 2).await.unwrap();

    assert_eq!(calls.last_asked(call()).await.unwrap(), Some(2));
}

#[tokio::test]
async fn watchers_get_no_update_when_an_answer_is_noted_as_heard() {
    let nats = server().await;
    let ingress = live_calls(&nats, "ingress").await;
    let gateway = live_calls(&nats, "gateway").await;
    assert_eq!(gateway.last_heard(call()).await.unwrap(), None);
    let mut updates = pin!(ingress.watch().await.unwrap());

    ingress.note_heard(call(), 1).await.unwrap();
    ingress.note_heard(call(), 1000).await.unwrap();
    gateway.set_status(call(), SETTING_UP).await.unwrap();

    assert_eq!(gateway.last_heard(call()).await.unwrap(), Some(1000));
    let setting_up = CallUpdate::Call(call(), SETTING_UP);
    assert_eq!(updates.next().await, Some(setting_up));
}

#[tokio::test]
async fn a_turn_keeps_its_first_status() {
    let nats = server().await;
    let ingress = live_calls(&nats, "ingress").await;
    let outbound = live_calls(&nats, "outbound").await;

    let settle = async |calls: &LiveCalls, turn, status| calls.settle(call(), turn, status).await;

    let in_time = settle(&outbound, 1, speech("Yes.")).await.unwrap();
    let too_early = settle(&ingress, 1, TurnStatus::GivenUp).await.unwrap();
    let again = settle(&outbound, 1, speech("Yes!")).await.unwrap();
    assert_eq!(in_time, speech("Yes."));
    assert_eq!((&too_early, &again), (&in_time, &in_time));

    settle(&ingress, 2, TurnStatus::GivenUp).await.unwrap();
    let late = settle(&outbound, 2, speech("No.")).await.unwrap();
    assert_eq!(late, TurnStatus::GivenUp);
}

async fn server() -> TestNats {
    let nats = TestNats::start().await.unwrap();
    ensure(&connect(&nats, "admin").await).await.unwrap();
    nats
}

async fn live_calls(nats: &TestNats, service: &'static str) -> LiveCalls {
    LiveCalls::open(&connect(nats, service).await)
        .await
        .unwrap()
}

async fn connect(nats: &TestNats, service: &'static str) -> Bus {
    let url = nats.url(service).into();
    Bus::connect(&BusConfig { url, service }).await.unwrap()
}

fn call() -> CallId {
    CallId::derived_from("CA1")
}

fn speech(text: &str) -> TurnStatus {
    TurnStatus::Speech(Speech {
        text: text.into(),
        is_cut: false,
    })
}

fn ticket() -> RelayTicket {
    RelayTicket {
        call: call(),
        address: Address::Phone(PhoneNumber::try_from("15551234567").unwrap()),
        attestation: Attestation::Full,
        has_chat: true,
        turn: 0,
        language: Language::EnglishUs,
        greeting_chars: 20,
    }
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}
