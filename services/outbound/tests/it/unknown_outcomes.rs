//! Sends with an unknown outcome: the message may or may not have been sent.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use claw_bus::Handler;
use claw_domain::{Address, DeliveryId, DeliveryState, Wamid};
use claw_events::ReplyDelivered;
use claw_testkit::TestPostgres;
use claw_whatsapp::{
    fake::{FakeWhatsApp, Plan},
    send::{SendError, Template, WhatsApp},
};

use crate::{
    delivering::first_attempt,
    world::{LONG_TIMEOUTS, SHORT_TIMEOUTS, World, next},
};

#[tokio::test]
async fn a_report_replaces_a_lost_answer_and_nothing_is_sent_twice() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.whatsapp.plan([Plan::AcceptWithoutAnswer]);
    let _outbound = world.outbound(LONG_TIMEOUTS).await;

    let reply = world.say("Hello").await;
    world.attempted(1).await;
    world
        .report(&world.whatsapp.accepted()[0], DeliveryState::Sent)
        .await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.whatsapp.attempts(), 1);
    let piece = world.piece(&reply, 0).await.unwrap();
    assert_eq!(
        piece.wamid,
        Some(world.whatsapp.accepted()[0].wamid.clone())
    );
}

#[tokio::test]
async fn after_a_crash_between_send_and_record_the_report_prevents_a_second_send() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.whatsapp.plan([Plan::AcceptWithoutAnswer]);
    let first = world.outbound(LONG_TIMEOUTS).await;
    let reply = world.say("Hello").await;
    world.attempted(1).await;
    first.crash().await;

    let _second = world.outbound(LONG_TIMEOUTS).await;
    world
        .report(&world.whatsapp.accepted()[0], DeliveryState::Delivered)
        .await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.whatsapp.attempts(), 1);
}

#[tokio::test]
async fn a_report_that_is_stored_but_not_handled_yet_prevents_a_second_send() {
    let world = World::new().await;
    world.whatsapp.plan([Plan::AcceptWithoutAnswer]);
    let first = world.outbound(LONG_TIMEOUTS).await;
    let reply = world.say("Hello").await;
    world.attempted(1).await;
    first.crash().await;
    world
        .report(&world.whatsapp.accepted()[0], DeliveryState::Sent)
        .await;

    let second = world.deliver_reply().await;
    second.handle(&reply, &first_attempt()).await.unwrap();

    assert_eq!(world.whatsapp.attempts(), 1);
}

#[tokio::test]
async fn a_stored_report_of_an_unknown_status_does_not_hold_a_message_back_for_ever() {
    let world = World::new().await;
    world.whatsapp.plan([Plan::AcceptWithoutAnswer]);
    let first = world.outbound(LONG_TIMEOUTS).await;
    let reply = world.say("Hello").await;
    world.attempted(1).await;
    first.crash().await;
    world
        .report_status(&world.whatsapp.accepted()[0], None, None)
        .await;

    let second = world.deliver_reply().await;
    second.handle(&reply, &first_attempt()).await.unwrap();

    assert_eq!(world.whatsapp.attempts(), 2);
}

#[tokio::test]
async fn without_a_report_the_message_is_sent_again() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.whatsapp.plan([Plan::Lose]);
    let _outbound = world.outbound(SHORT_TIMEOUTS).await;

    let reply = world.say("Hello").await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.whatsapp.texts_to(&world.ada), ["Hello"]);
    assert_eq!(world.piece(&reply, 0).await.unwrap().attempts, 2);
}

#[tokio::test]
async fn a_stop_ends_the_wait_for_a_report_and_the_next_process_goes_on() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.whatsapp.plan([Plan::Lose]);
    let first = world.outbound(LONG_TIMEOUTS).await;
    let reply = world.say("Hello").await;
    world.attempted(1).await;

    first.stop().await.unwrap();
    let _second = world.outbound(SHORT_TIMEOUTS).await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.whatsapp.texts_to(&world.ada), ["Hello"]);
}

#[tokio::test]
async fn a_database_failure_between_send_and_record_causes_no_second_send() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let whatsapp = Arc::new(StopsDatabase {
        whatsapp: Arc::clone(&world.whatsapp),
        postgres: Arc::clone(&world.postgres),
        is_done: AtomicBool::new(false),
    });
    let _outbound = world.outbound_with(whatsapp, SHORT_TIMEOUTS).await;

    let reply = world.say("Hello").await;
    world.attempted(1).await;
    world.postgres.start_again().await.unwrap();

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.whatsapp.attempts(), 1);
}

/// Stops the database while it accepts the first message.
struct StopsDatabase {
    whatsapp: Arc<FakeWhatsApp>,
    postgres: Arc<TestPostgres>,
    is_done: AtomicBool,
}

#[async_trait]
impl WhatsApp for StopsDatabase {
    async fn send_text(
        &self,
        to: &Address,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            self.postgres.stop().await.unwrap();
        }
        self.whatsapp.send_text(to, text, tracker).await
    }

    async fn send_template(
        &self,
        to: &Address,
        template: &Template,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        self.whatsapp
            .send_template(to, template, text, tracker)
            .await
    }

    async fn mark_read_and_typing(&self, wamid: &Wamid) -> Result<(), SendError> {
        self.whatsapp.mark_read_and_typing(wamid).await
    }
}
