use claw_domain::{ReplyId, ReplySource, UserId};
use claw_store::{Disposition, HeldReply, NewReply};
use claw_testkit::user_of;

use crate::world::{World, address, at, reply, settlement};

#[tokio::test]
async fn held_replies_are_returned_in_order_until_they_are_released() {
    let world = World::new().await;
    let user = world.user(1).await;
    keep(&world, user, ["a", "b", "c"].map(held)).await;
    keep(&world, world.user(2).await, [held("another's")]).await;
    let messages = world.store.messages();

    messages
        .release(user, &[id("b"), id("another's")], at(5))
        .await
        .unwrap();

    assert_eq!(texts(&world, user).await, ["a", "c"]);
    assert_eq!(world.published_to(user).await, ["b"]);
    assert_eq!(texts(&world, user_of(&address(2))).await, ["another's"]);
    assert_eq!(
        messages.held(user).await.unwrap()[0],
        HeldReply {
            id: id("a"),
            text: "a".into(),
            source: ReplySource::Heartbeat,
        }
    );
}

#[tokio::test]
async fn a_reply_that_is_stored_again_is_held_as_before() {
    let world = World::new().await;
    let user = world.user(1).await;
    keep(&world, user, ["a", "b"].map(held)).await;
    let for_longer = NewReply {
        disposition: Disposition::HeldUntil(at(200)),
        ..held("a")
    };

    keep(&world, user, [for_longer]).await;

    assert_eq!(texts(&world, user).await, ["a", "b"]);
    let as_before = format!("message WHERE held_until = '{}'", at(100));
    assert_eq!(world.count(&as_before).await, 2);
}

#[tokio::test]
async fn a_withheld_reply_is_never_published_and_a_released_one_stays_published() {
    let world = World::new().await;
    let user = world.user(1).await;
    let other = world.user(2).await;
    keep(&world, user, ["a", "b"].map(held)).await;
    keep(&world, other, [held("c")]).await;
    let messages = world.store.messages();
    messages.release(user, &[id("a")], at(5)).await.unwrap();

    messages.withhold_held(user, at(5)).await.unwrap();
    messages.release(user, &[id("b")], at(6)).await.unwrap();

    assert_eq!(world.published_to(user).await, ["a"]);
    assert!(messages.held(user).await.unwrap().is_empty());
    assert_eq!(texts(&world, other).await, ["c"]);
}

#[tokio::test]
async fn a_held_or_withheld_reply_can_be_published_later() {
    let world = World::new().await;
    let user = world.user(1).await;
    let withheld = NewReply {
        disposition: Disposition::Withheld,
        ..held("b")
    };
    keep(&world, user, [held("a"), withheld]).await;

    keep(&world, user, ["a", "b"].map(published)).await;
    keep(&world, user, ["a", "b"].map(held)).await;

    assert_eq!(world.published_to(user).await, ["a", "b"]);
    assert!(world.store.messages().held(user).await.unwrap().is_empty());
}

#[tokio::test]
async fn proactive_messages_count_from_their_publication() {
    let world = World::new().await;
    let user = world.user(1).await;
    let of = |name: &str, source| NewReply {
        source,
        ..published(name)
    };
    let withheld = NewReply {
        disposition: Disposition::Withheld,
        ..held("withheld")
    };
    keep(
        &world,
        user,
        [
            of("answer", ReplySource::Chat),
            of("notice", ReplySource::Notice),
            of("heartbeat", ReplySource::Heartbeat),
            of("reminder", ReplySource::Cron),
            held("later"),
            withheld,
        ],
    )
    .await;
    keep(&world, world.user(2).await, [published("another's")]).await;
    let messages = world.store.messages();
    let load = async |second| messages.proactive_load(user, at(second)).await.unwrap();
    let sent = async |second| load(second).await.sent;

    assert_eq!((sent(0).await, sent(1).await, sent(2).await), (2, 2, 0));
    messages.release(user, &[id("later")], at(9)).await.unwrap();
    assert_eq!((sent(0).await, sent(2).await, sent(10).await), (3, 1, 0));
}

/// What a sandbox can make us store is limited by this count, so nothing of it may be left out.
#[tokio::test]
async fn proactive_messages_count_as_stored_whatever_becomes_of_them() {
    let world = World::new().await;
    let user = world.user(1).await;
    let messages = world.store.messages();
    let load = async |second| {
        let load = messages.proactive_load(user, at(second)).await.unwrap();
        (load.stored, load.stored_bytes)
    };
    let withheld = NewReply {
        disposition: Disposition::Withheld,
        ..held("withheld")
    };
    let answer = reply("answer");
    let bytes = |replies: &[&NewReply]| -> u64 {
        let lengths = replies.iter().map(|reply| reply.text.expose().len() as u64);
        lengths.sum()
    };
    let (sent, later) = (published("sent"), held("later"));
    let all = bytes(&[&sent, &withheld, &later]);
    let only_held = bytes(&[&later]);
    keep(&world, user, [answer, sent, withheld, later]).await;

    assert_eq!(load(1).await, (3, all));
    assert_eq!(load(2).await, (1, only_held));
    messages.withhold_held(user, at(7)).await.unwrap();
    assert_eq!(load(7).await, (1, only_held));
    assert_eq!(load(8).await, (0, 0));
}

#[tokio::test]
async fn the_oldest_held_replies_are_withheld_first() {
    let world = World::new().await;
    let (user, other) = (world.user(1).await, world.user(2).await);
    keep(&world, user, ["a", "b", "c", "d"].map(held)).await;
    keep(&world, other, [held("another's")]).await;
    let messages = world.store.messages();
    let bytes_of_one = texts(&world, user).await[0].len() as u64;
    let keep_newest = async |texts, bytes| {
        let withheld = messages.keep_newest_held(user, texts, bytes, at(5)).await;
        withheld.unwrap()
    };

    assert_eq!(keep_newest(3, 1_000).await, 1);
    assert_eq!(texts(&world, user).await, ["b", "c", "d"]);
    assert_eq!(keep_newest(3, 2 * bytes_of_one).await, 1);
    assert_eq!(texts(&world, user).await, ["c", "d"]);
    assert_eq!(keep_newest(3, 2 * bytes_of_one).await, 0);
    assert_eq!(keep_newest(0, 1_000).await, 2);
    assert_eq!(texts(&world, other).await, ["another's"]);
}

async fn keep<const N: usize>(world: &World, user: UserId, replies: [NewReply; N]) {
    world.settle(&settlement(user, &[], &replies)).await;
}

async fn texts(world: &World, user: UserId) -> Vec<String> {
    let held = world.store.messages().held(user).await.unwrap();
    held.into_iter()
        .map(|held| held.text.expose().to_owned())
        .collect()
}

fn held(name: &str) -> NewReply {
    NewReply {
        disposition: Disposition::HeldUntil(at(100)),
        ..published(name)
    }
}

fn published(name: &str) -> NewReply {
    NewReply {
        source: ReplySource::Heartbeat,
        ..reply(name)
    }
}

fn id(name: &str) -> ReplyId {
    ReplyId::derived_from(name)
}
