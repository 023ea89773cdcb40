use std::pin::pin;

use chrono::{DateTime, TimeDelta, Utc};
use claw_bus::{Bus, CallNews, Calls, RelayTicket, TicketCode, TicketError};
use claw_domain::{Address, CallId, Language, PhoneNumber, Trust, UserId};
use claw_events::{CallInterrupted, CallStanding, Speech, SpeechHeard, TurnStanding};
use futures_util::StreamExt;

use crate::world::{World, connect};

#[tokio::test]
async fn the_door_hears_what_others_lay_ready_for_a_caller() {
    let world = World::new().await;
    let door = Calls::open(&connect(&world.nats, "ingress").await)
        .await
        .unwrap();
    let mut news = pin!(door.watch().await.unwrap());

    let gateway = Calls::open(&world.gateway).await.unwrap();
    gateway.put(call(), CallStanding::SettingUp).await.unwrap();
    outbound(&world)
        .await
        .answer(call(), 1, speech("Yes."))
        .await
        .unwrap();

    let setting_up = CallNews::Call(call(), CallStanding::SettingUp);
    assert_eq!(news.next().await, Some(setting_up));
    let answer = TurnStanding::Speech(speech("Yes."));
    assert_eq!(news.next().await, Some(CallNews::Turn(call(), 1, answer)));
}

#[tokio::test]
async fn whoever_comes_later_finds_what_was_written_before() {
    let world = World::new().await;
    let gateway = Calls::open(&world.gateway).await.unwrap();
    gateway.put(call(), CallStanding::SettingUp).await.unwrap();
    gateway.put(call(), READY).await.unwrap();

    let door = Calls::open(&connect(&world.nats, "ingress").await)
        .await
        .unwrap();

    assert_eq!(door.of(call()).await.unwrap(), Some(READY));
    assert_eq!(door.of_turn(call(), 1).await.unwrap(), None);
}

#[tokio::test]
async fn a_ticket_lets_one_session_in_and_that_one_again() {
    let world = World::new().await;
    let door = Calls::open(&connect(&world.nats, "ingress").await)
        .await
        .unwrap();
    let code = door.make_out(ticket(), noon()).await.unwrap();
    let show = async |session: &str| door.show(&code, call(), session, noon()).await;

    let first = show("VX1").await.unwrap();
    let again = show("VX1").await.unwrap();
    let other = show("VX2").await;

    assert_eq!((first.times_before, again.times_before), (0, 1));
    assert_eq!(again.ticket, ticket());
    assert!(matches!(other, Err(TicketError::Invalid)));
}

#[tokio::test]
async fn a_ticket_of_another_call_or_out_of_date_or_made_up_lets_nobody_in() {
    let world = World::new().await;
    let door = Calls::open(&connect(&world.nats, "ingress").await)
        .await
        .unwrap();
    let now = noon();
    let code = door.make_out(ticket(), now).await.unwrap();
    let show = async |code: &TicketCode, call, at| door.show(code, call, "VX1", at).await;
    let later = now + TimeDelta::minutes(3);

    for refused in [
        show(&code, CallId::derived_from("CA2"), now).await,
        show(&code, call(), later).await,
        show(&TicketCode::of_url("abc"), call(), now).await,
    ] {
        assert!(matches!(refused, Err(TicketError::Invalid)));
    }
}

#[tokio::test]
async fn which_turn_is_asked_is_found_by_whoever_takes_over() {
    let world = World::new().await;
    let door = Calls::open(&connect(&world.nats, "ingress").await)
        .await
        .unwrap();
    assert_eq!(door.asked(call()).await.unwrap(), None);

    door.note_asked(call(), 1).await.unwrap();
    door.note_asked(call(), 2).await.unwrap();

    assert_eq!(door.asked(call()).await.unwrap(), Some(2));
}

#[tokio::test]
async fn what_a_caller_has_heard_is_noted_and_is_no_news_of_a_turn() {
    let world = World::new().await;
    let door = Calls::open(&connect(&world.nats, "ingress").await)
        .await
        .unwrap();
    let gateway = Calls::open(&world.gateway).await.unwrap();
    assert_eq!(gateway.heard(call()).await.unwrap(), None);
    let mut news = pin!(door.watch().await.unwrap());

    door.note_heard(call(), 1).await.unwrap();
    door.note_heard(call(), 1000).await.unwrap();
    gateway.put(call(), CallStanding::SettingUp).await.unwrap();

    assert_eq!(gateway.heard(call()).await.unwrap(), Some(1000));
    let setting_up = CallNews::Call(call(), CallStanding::SettingUp);
    assert_eq!(news.next().await, Some(setting_up));
}

#[tokio::test]
async fn of_an_answer_and_the_word_that_nobody_waits_for_it_the_first_stays() {
    let world = World::new().await;
    let door = Calls::open(&connect(&world.nats, "ingress").await)
        .await
        .unwrap();
    let outbound = outbound(&world).await;

    let in_time = outbound.answer(call(), 1, speech("Yes.")).await.unwrap();
    let too_early = door.give_up(call(), 1).await.unwrap();
    let again = outbound.answer(call(), 1, speech("Yes!")).await.unwrap();
    assert_eq!(in_time, TurnStanding::Speech(speech("Yes.")));
    assert_eq!((&too_early, &again), (&in_time, &in_time));

    door.give_up(call(), 2).await.unwrap();
    let late = outbound.answer(call(), 2, speech("No.")).await.unwrap();
    assert_eq!(late, TurnStanding::GivenUp);
}

#[tokio::test]
async fn what_an_assistant_is_saying_and_that_it_should_stop_pass_between_door_and_gateway() {
    let world = World::new().await;
    let ingress = connect(&world.nats, "ingress").await;
    let about = call().to_string();
    let mut pieces = pin!(
        ingress
            .hear_signals::<SpeechHeard>(Some(&about))
            .await
            .unwrap()
    );
    let mut interrupts = pin!(
        world
            .gateway
            .hear_signals::<CallInterrupted>(None)
            .await
            .unwrap()
    );
    let piece = SpeechHeard {
        call: call(),
        turn: 1,
        offset: 0,
        text: "Two".into(),
    };
    let elsewhere = SpeechHeard {
        call: CallId::derived_from("another"),
        ..piece.clone()
    };
    let interrupt = CallInterrupted {
        user: UserId::derived_from("ada"),
        call: call(),
        turn: 1,
    };

    // A round trip behind the subscriptions: the server knows them now.
    assert!(ingress.is_ready().await && world.gateway.is_ready().await);
    world.gateway.publisher().signal(&elsewhere).await;
    world.gateway.publisher().signal(&piece).await;
    ingress.publisher().signal(&interrupt).await;

    assert_eq!(pieces.next().await, Some(piece));
    assert_eq!(interrupts.next().await, Some(interrupt));
}

const READY: CallStanding = CallStanding::Ready { language: None };

async fn outbound(world: &World) -> Calls {
    let bus: Bus = connect(&world.nats, "outbound").await;
    Calls::open(&bus).await.unwrap()
}

fn call() -> CallId {
    CallId::derived_from("CA1")
}

fn speech(text: &str) -> Speech {
    Speech {
        text: text.into(),
        is_cut: false,
    }
}

fn ticket() -> RelayTicket {
    RelayTicket {
        call: call(),
        address: Address::Phone(PhoneNumber::try_from("15551234567").unwrap()),
        trust: Trust::Trusted,
        turn: 0,
        language: Language::EnglishUs,
        greeting_chars: 20,
    }
}

fn noon() -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000, 0).unwrap()
}
