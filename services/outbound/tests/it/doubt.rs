//! What happens when nobody can say whether a message went out.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use async_trait::async_trait;
use claw_domain::{Address, DeliveryId, DeliveryState, Wamid};
use claw_events::ReplyDelivered;
use claw_testkit::TestPostgres;
use claw_whatsapp::{
    fake::{FakeWhatsApp, Plan},
    send::{SendError, Template, WhatsApp},
};

use crate::world::{HASTY, PATIENT, World, next};

#[tokio::test]
async fn a_lost_answer_is_made_up_for_by_the_report_and_nothing_is_sent_twice() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.phone.plan([Plan::TakeWithoutAnswer]);
    let _outbound = world.outbound(PATIENT).await;

    let reply = world.say("Hello").await;
    world.attempted(1).await;
    world
        .report(&world.phone.taken()[0], DeliveryState::Sent)
        .await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.phone.attempts(), 1);
    let piece = world.piece(&reply, 0).await.unwrap();
    assert_eq!(piece.wamid, Some(world.phone.taken()[0].wamid.clone()));
}

#[tokio::test]
async fn after_a_crash_between_send_and_record_the_report_prevents_a_second_send() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.phone.plan([Plan::TakeWithoutAnswer]);
    let first = world.outbound(PATIENT).await;
    let reply = world.say("Hello").await;
    world.attempted(1).await;
    first.crash().await;

    let _second = world.outbound(PATIENT).await;
    world
        .report(&world.phone.taken()[0], DeliveryState::Delivered)
        .await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.phone.attempts(), 1);
}

#[tokio::test]
async fn without_a_report_it_is_sent_again() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.phone.plan([Plan::Lose]);
    let _outbound = world.outbound(HASTY).await;

    let reply = world.say("Hello").await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.phone.texts_to(&world.ada), ["Hello"]);
    assert_eq!(world.piece(&reply, 0).await.unwrap().attempts, 2);
}

#[tokio::test]
async fn told_to_stop_while_in_doubt_outbound_ends_and_its_successor_goes_on() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    world.phone.plan([Plan::Lose]);
    let first = world.outbound(PATIENT).await;
    let reply = world.say("Hello").await;
    world.attempted(1).await;

    first.stop().await.unwrap();
    let _second = world.outbound(HASTY).await;

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.phone.texts_to(&world.ada), ["Hello"]);
}

#[tokio::test]
async fn a_database_that_fails_between_send_and_record_causes_no_second_send() {
    let world = World::new().await;
    let mut delivered = world.watch::<ReplyDelivered>().await;
    let phone = Arc::new(Saboteur {
        phone: Arc::clone(&world.phone),
        postgres: Arc::clone(&world.postgres),
        is_done: AtomicBool::new(false),
    });
    let _outbound = world.outbound_with(phone, HASTY).await;

    let reply = world.say("Hello").await;
    world.attempted(1).await;
    world.postgres.start_again().await.unwrap();

    assert_eq!(next(&mut delivered).await.reply, reply.id);
    assert_eq!(world.phone.attempts(), 1);
}

/// Takes the first message and stops the database before answering.
struct Saboteur {
    phone: Arc<FakeWhatsApp>,
    postgres: Arc<TestPostgres>,
    is_done: AtomicBool,
}

#[async_trait]
impl WhatsApp for Saboteur {
    async fn send_text(
        &self,
        to: &Address,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        if !self.is_done.swap(true, Ordering::Relaxed) {
            self.postgres.stop().await.unwrap();
        }
        self.phone.send_text(to, text, tracker).await
    }

    async fn send_template(
        &self,
        to: &Address,
        template: &Template,
        text: &str,
        tracker: DeliveryId,
    ) -> Result<Wamid, SendError> {
        self.phone.send_template(to, template, text, tracker).await
    }

    async fn mark_read_and_typing(&self, wamid: &Wamid) -> Result<(), SendError> {
        self.phone.mark_read_and_typing(wamid).await
    }
}
