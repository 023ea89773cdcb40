//! Replies to users who have not written for 24 hours: WhatsApp accepts only templates.

use claw_bus::Handler;
use claw_domain::{
    Address, CallId, DeliveryState, MessageId, PhoneNumber, ReplyId, Sensitive, VoiceKind, Wamid,
};
use claw_events::{ReplyDelivered, ReplyFailed, ReplyProduced};
use claw_runtime::{Clock, SystemClock};
use claw_store::{Caller, InboundMessage, VoiceMessage};
use claw_testkit::user_of;
use claw_whatsapp::fake::{AcceptedMessage, Plan};

use crate::{
    delivering::first_attempt,
    world::{LONG_TIMEOUTS, World, next},
};

#[tokio::test]
async fn a_text_that_whatsapp_refuses_is_sent_once_as_a_template() {
    let world = world().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.whatsapp.plan([Plan::Refuse(131_047)]);
    let _outbound = world.outbound(LONG_TIMEOUTS).await;

    let reply = world.say("Drink\n\n**water**").await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.whatsapp.attempts(), 2);
    let accepted = world.whatsapp.accepted();
    assert_eq!(
        (accepted.len(), accepted[0].text.as_str()),
        (1, "Drink *water*")
    );
    assert_eq!(accepted[0].template, world.template);
    let piece = world.piece(&reply, 0).await.unwrap();
    assert_eq!(
        (piece.state, &piece.wamid, piece.id),
        (
            DeliveryState::Accepted,
            &Some(accepted[0].wamid.clone()),
            accepted[0].tracker
        )
    );
}

#[tokio::test]
async fn a_caller_who_asked_for_a_message_gets_a_template_at_once() {
    let world = world().await;
    let bob = user_who_only_called(&world, true).await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;
    let reply = ReplyProduced {
        id: ReplyId::derived_from("long"),
        user: user_of(&bob),
        ..world.reply(&"A long story. ".repeat(400))
    };

    world.gateway.publish(&reply).await.unwrap();

    let announced = next(&mut delivered).await;
    assert_eq!((announced.reply, announced.pieces), (reply.id, 1));
    assert_eq!(world.whatsapp.attempts(), 1);
    let accepted = world.whatsapp.accepted();
    assert_eq!(
        (&accepted[0].to, &accepted[0].template),
        (&bob, &world.template)
    );
    assert!(accepted[0].text.ends_with('…'), "{}", accepted[0].text);
}

#[tokio::test]
async fn the_rest_of_a_reply_in_a_template_is_not_sent_after_the_user_has_written() {
    let refused = Plan::Refuse(131_016);
    for (plan, attempts) in [
        (Plan::Accept, 1),
        (Plan::AcceptWithoutAnswer, 2),
        (refused, 2),
    ] {
        let world = world().await;
        let bob = user_who_only_called(&world, true).await;
        let handler = world.deliver_reply().await;
        let reply = ReplyProduced {
            user: user_of(&bob),
            ..world.reply(&"A long story. ".repeat(400))
        };
        world.whatsapp.plan([plan]);

        let first = handler.handle(&reply, &first_attempt()).await;
        write(&world, &bob).await;
        let next = world.deliver_reply().await;
        next.handle(&reply, &first_attempt()).await.unwrap();

        assert_eq!(first.is_err(), plan == refused, "{plan:?}");
        assert_eq!(world.whatsapp.attempts(), attempts, "{plan:?}");
        let accepted = world.whatsapp.accepted();
        let is_template = |message: &AcceptedMessage| message.template == world.template;
        assert!(accepted.iter().all(is_template), "{plan:?}: {accepted:?}");
        let rest = world.piece(&reply, 1).await.unwrap();
        assert_eq!((rest.state, rest.wamid), (DeliveryState::Accepted, None));
    }
}

#[tokio::test]
async fn after_a_crash_during_a_template_send_its_report_prevents_a_second_one() {
    let world = world().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world
        .whatsapp
        .plan([Plan::Refuse(131_047), Plan::AcceptWithoutAnswer]);
    let first = world.outbound(LONG_TIMEOUTS).await;
    let reply = world.say("Hello").await;
    world.attempted(2).await;
    first.crash().await;

    let _second = world.outbound(LONG_TIMEOUTS).await;
    world
        .report(&world.whatsapp.accepted()[0], DeliveryState::Delivered)
        .await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.whatsapp.attempts(), 2);
}

#[tokio::test]
async fn temporary_failures_of_the_template_are_retried() {
    let world = world().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let closed = Plan::Refuse(131_047);
    world.whatsapp.plan([
        closed,
        Plan::Refuse(131_016),
        closed,
        Plan::Unreachable,
        closed,
    ]);
    let _outbound = world.outbound(LONG_TIMEOUTS).await;

    let reply = world.say("Hello").await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.whatsapp.texts_to(&world.ada), ["Hello"]);
    assert_eq!(world.whatsapp.attempts(), 6);
}

#[tokio::test]
async fn a_refused_template_fails_its_own_reply_only() {
    let world = world().await;
    let mut failed = world.watch::<ReplyFailed>().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let closed = Plan::Refuse(131_047);
    let codes = [132_001, 132_015, 132_018, 131_047];
    let refusals = codes.map(|code| [closed, Plan::Refuse(code)]);
    world.whatsapp.plan(refusals.concat());
    let _outbound = world.outbound(LONG_TIMEOUTS).await;

    for code in codes {
        let lost = world.say(&format!("Refused with {code}")).await;
        let announced = next(&mut failed).await;
        assert_eq!((announced.reply, announced.code), (lost.id, Some(code)));
    }
    let last = world.say("Hello again").await;

    assert_eq!(next(&mut delivered).await.reply, last.id);
    assert_eq!(world.whatsapp.texts_to(&world.ada), ["Hello again"]);
}

#[tokio::test]
async fn a_caller_who_asked_for_no_message_gets_none() {
    let world = world().await;
    let bob = user_who_only_called(&world, false).await;
    let mut failed = world.watch::<ReplyFailed>().await;
    let _outbound = world.outbound(LONG_TIMEOUTS).await;
    let reply = ReplyProduced {
        id: ReplyId::derived_from("unasked"),
        user: user_of(&bob),
        ..world.reply("Hello")
    };

    world.gateway.publish(&reply).await.unwrap();

    let announced = next(&mut failed).await;
    assert_eq!((announced.reply, announced.code), (reply.id, None));
    assert_eq!(world.whatsapp.attempts(), 0);
}

async fn world() -> World {
    let mut world = World::new().await;
    world.template = Some("assistant_writes:en".parse().unwrap());
    world
}

/// Stores a message of this user, which opens WhatsApp's 24 hours.
async fn write(world: &World, user: &Address) {
    let now = SystemClock.now();
    let hello = InboundMessage {
        id: MessageId::derived_from("hello again"),
        user: user_of(user),
        address: user.clone(),
        wa_user_id: None,
        name: None,
        wamid: Wamid::new("wamid.hello.again"),
        content_kind: "text".into(),
        content: "hello".into(),
        sent_at: now,
        now,
        sequence: 3,
        needs_answer: true,
        is_replay: false,
    };
    let receipt = world.store.messages().receive(&hello).await.unwrap();
    assert!(receipt.stored().is_some());
}

async fn user_who_only_called(world: &World, wants_template: bool) -> Address {
    let phone = PhoneNumber::try_from("15550000002").unwrap();
    let bob = Address::Phone(phone.clone());
    let (call, now) = (CallId::derived_from("CA1"), SystemClock.now());
    let ringing = VoiceMessage {
        id: MessageId::of_utterance(call, 0),
        user: user_of(&bob),
        caller: Caller::Welcomed {
            phone,
            wants_template,
        },
        call,
        turn: 0,
        kind: VoiceKind::CallStarted,
        content: Sensitive::new(String::new()),
        sent_at: now,
        now,
        sequence: 2,
        needs_answer: true,
        is_replay: false,
    };
    world
        .store
        .messages()
        .receive_voice(&ringing)
        .await
        .unwrap();
    bob
}
