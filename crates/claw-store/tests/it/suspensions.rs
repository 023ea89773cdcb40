use claw_domain::{DeliveryState, ReplyId, UserId};
use claw_store::{
    AccessList, Delivery, KeyChange, OutgoingReply, Suspension, SuspensionSet, WhileSuspended,
};
use claw_testkit::user_of;

use crate::world::{OLD_KEY, World, address, at, host, keyring, message, reply, request};

#[tokio::test]
async fn a_second_suspension_changes_only_the_reason() {
    let world = World::new().await;
    let user = world.user(1).await;
    let suspensions = world.store.suspensions();

    let first = suspensions.suspend(user, "abuse", at(1)).await.unwrap();
    let second = suspensions.suspend(user, "fraud", at(9)).await.unwrap();

    assert!(!first.unwrap().was_suspended && second.unwrap().was_suspended);
    let in_force = suspensions.in_force().await.unwrap();
    assert_eq!(in_force.of(user), Some(&suspension(1, "fraud")));
    for was_suspended in [true, false] {
        let ended = suspensions.resume(user).await.unwrap().unwrap();
        assert_eq!(ended.was_suspended, was_suspended);
        let in_force = suspensions.in_force().await.unwrap();
        assert_eq!(in_force, SuspensionSet::default());
    }
}

#[tokio::test]
async fn an_unknown_user_is_neither_suspended_nor_resumed() {
    let world = World::new().await;
    let stranger = user_of(&address(9));
    let suspensions = world.store.suspensions();

    assert_eq!(
        suspensions.suspend(stranger, "abuse", at(1)).await.unwrap(),
        None
    );
    assert_eq!(suspensions.resume(stranger).await.unwrap(), None);
}

#[tokio::test]
async fn the_suspension_of_everybody_is_one_row_and_leaves_other_suspensions_alone() {
    let world = World::new().await;
    let (ada, bob) = (world.user(1).await, world.user(2).await);
    let suspensions = world.store.suspensions();
    suspensions.suspend(ada, "abuse", at(1)).await.unwrap();

    let stopped = suspensions.suspend_all("incident", at(2)).await.unwrap();

    assert_eq!((stopped.was_suspended, stopped.users), (false, 2));
    let in_force = suspensions.in_force().await.unwrap();
    assert_eq!(in_force.of(ada), Some(&suspension(1, "abuse")));
    assert_eq!(in_force.of(bob), Some(&suspension(2, "incident")));
    assert!(in_force.of(user_of(&address(3))).is_some(), "a newcomer");
    assert_eq!(world.count("suspension").await, 1);

    let resumed = suspensions.resume_all().await.unwrap();
    assert_eq!((resumed.was_suspended, resumed.users), (true, 1));
    let in_force = suspensions.in_force().await.unwrap();
    assert!(in_force.of(ada).is_some() && in_force.of(bob).is_none());
}

#[tokio::test]
async fn an_ended_suspension_is_remembered_for_messages_from_before_it() {
    let world = World::new().await;
    let (ada, bob) = (world.user(1).await, world.user(2).await);
    let suspensions = world.store.suspensions();
    suspensions.suspend(ada, "abuse", at(1_000)).await.unwrap();
    suspensions.resume(ada).await.unwrap();

    let cases = [(ada, 900, true), (ada, 2_000, false), (bob, 900, false)];
    for (user, taken, expected) in cases {
        let is_known = suspensions.has_suspended_since(user, at(taken)).await;
        assert_eq!(is_known.unwrap(), expected, "{taken}");
    }
    suspensions
        .suspend_all("incident", at(3_000))
        .await
        .unwrap();
    suspensions.resume_all().await.unwrap();
    assert!(
        suspensions
            .has_suspended_since(bob, at(2_999))
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn nothing_but_the_line_about_it_is_claimed_for_a_suspended_user() {
    let world = World::new().await;
    let (ada, bob) = (world.user(1).await, world.user(2).await);
    let suspensions = world.store.suspensions();
    let mut waiting = begin(&world, ada, "before", WhileSuspended::Hold)
        .await
        .pieces;
    suspensions.suspend(ada, "abuse", at(1)).await.unwrap();

    let held = begin(&world, ada, "held", WhileSuspended::Hold).await;
    let line = begin(&world, ada, "line", WhileSuspended::Send).await;
    let other = begin(&world, bob, "other", WhileSuspended::Hold).await;

    assert!(held.is_suspended && !held.claimed_first);
    assert_eq!(held.pieces[0].state, DeliveryState::Pending);
    assert!(!line.is_suspended && line.claimed_first);
    assert!(!other.is_suspended && other.claimed_first);
    assert!(!mark_sending(&world, &mut waiting[1]).await);

    suspensions.resume(ada).await.unwrap();
    suspensions.suspend_all("incident", at(2)).await.unwrap();
    assert!(!mark_sending(&world, &mut waiting[1]).await);
    let held = begin(&world, bob, "held too", WhileSuspended::Hold).await;
    assert!(held.is_suspended && !held.claimed_first);

    suspensions.resume_all().await.unwrap();
    assert!(mark_sending(&world, &mut waiting[1]).await);
}

#[tokio::test]
async fn a_key_is_changed_until_the_change_is_known_to_be_done() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    world.user_with_sandbox(2).await;
    let sandboxes = world.store.sandboxes();
    let start = sandbox.current_start();
    let key = "sk-1".into();
    let keyring = keyring(OLD_KEY);
    let recorded = sandboxes.record_model_key(start, "hash", &key, &keyring);
    assert!(recorded.await.unwrap());
    assert_eq!(keys_to_change(&world).await, []);

    let suspensions = world.store.suspensions();
    suspensions.suspend_all("incident", at(1)).await.unwrap();
    for disable in [true, false] {
        let change = KeyChange {
            sandbox: sandbox.id,
            hash: "hash".to_owned(),
            disable,
        };
        assert_eq!(keys_to_change(&world).await, std::slice::from_ref(&change));
        assert!(sandboxes.begin_key_change(&change).await.unwrap());
        // A process that dies here leaves it open whether the provider has changed the key.
        assert_eq!(keys_to_change(&world).await, std::slice::from_ref(&change));
        assert!(!world.sandbox_of(sandbox.user).await.has_enabled_key);

        assert!(sandboxes.finish_key_change(&change).await.unwrap());

        assert_eq!(keys_to_change(&world).await, []);
        let row = world.sandbox_of(sandbox.user).await;
        assert_eq!(row.has_enabled_key, !disable);
        suspensions.resume_all().await.unwrap();
    }
}

#[tokio::test]
async fn a_change_of_a_key_that_is_no_longer_wanted_does_not_begin() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    let sandboxes = world.store.sandboxes();
    let (key, keyring) = ("sk-1".into(), keyring(OLD_KEY));
    let recorded = sandboxes.record_model_key(sandbox.current_start(), "hash", &key, &keyring);
    assert!(recorded.await.unwrap());
    let suspensions = world.store.suspensions();
    suspensions.suspend_all("incident", at(1)).await.unwrap();
    let disabling = keys_to_change(&world).await.remove(0);

    suspensions.resume_all().await.unwrap();

    assert!(!sandboxes.begin_key_change(&disabling).await.unwrap());
    assert!(world.sandbox_of(sandbox.user).await.has_enabled_key);
    assert_eq!(keys_to_change(&world).await, []);

    suspensions.suspend_all("incident", at(2)).await.unwrap();
    let enabling = KeyChange {
        disable: false,
        ..disabling.clone()
    };
    assert!(!sandboxes.begin_key_change(&enabling).await.unwrap());
    assert!(sandboxes.begin_key_change(&disabling).await.unwrap());
}

#[tokio::test]
async fn a_blocked_user_counts_as_suspended_and_a_blocked_stranger_does_not() {
    let world = World::new().await;
    let sandbox = world.user_with_sandbox(1).await;
    let (ada, stranger) = (sandbox.user, user_of(&address(9)));
    let sandboxes = world.store.sandboxes();
    let (key, keyring) = ("sk-1".into(), keyring(OLD_KEY));
    let recorded = sandboxes.record_model_key(sandbox.current_start(), "hash", &key, &keyring);
    assert!(recorded.await.unwrap());
    let mut waiting = begin(&world, ada, "before", WhileSuspended::Hold)
        .await
        .pieces;
    let (suspensions, lists) = (world.store.suspensions(), world.store.access_lists());
    suspensions.suspend(ada, "abuse", at(1)).await.unwrap();

    for user in [ada, stranger] {
        let put = lists.put(user, AccessList::Block, "spam", at(1_000)).await;
        put.unwrap();
    }
    suspensions.resume(ada).await.unwrap();

    let in_force = suspensions.in_force().await.unwrap();
    assert!(in_force.is_blocked(ada) && in_force.users.len() == 1);
    assert_eq!(in_force.of(ada).unwrap().since, at(1_000));
    assert!(!mark_sending(&world, &mut waiting[1]).await);
    let changes = keys_to_change(&world).await;
    assert!(changes.len() == 1 && changes[0].disable);

    assert!(lists.remove(ada, AccessList::Block).await.unwrap());
    let in_force = suspensions.in_force().await.unwrap();
    assert_eq!(in_force, SuspensionSet::default());
    let was_stopped = suspensions.has_suspended_since(ada, at(900)).await;
    assert!(was_stopped.unwrap(), "its turns may have been aborted");
    assert!(mark_sending(&world, &mut waiting[1]).await);
}

#[tokio::test]
async fn a_suspended_user_gets_no_place_and_the_next_in_line_does() {
    let world = World::new().await;
    let (ada, bob) = (world.user(1).await, world.user(2).await);
    for user in [ada, bob] {
        world.request(request(user, "first", 0)).await;
    }
    let suspensions = world.store.suspensions();
    suspensions.suspend(ada, "abuse", at(1)).await.unwrap();
    let sandboxes = world.store.sandboxes();

    let admitted = sandboxes
        .admit_queued(&host("host-a"), 1, at(2))
        .await
        .unwrap();

    assert_eq!(admitted[0].user, bob);
    suspensions.resume(ada).await.unwrap();
    suspensions.suspend_all("incident", at(3)).await.unwrap();
    assert_eq!(
        sandboxes
            .admit_queued(&host("host-a"), 2, at(4))
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn the_owner_of_a_suspended_user_serves_them_until_they_are_told() {
    let world = World::new().await;
    let asked = message(1, 0);
    world.user(1).await;
    world.answer(&asked, reply("done")).await;
    let users = world.store.users();
    let is_served = async || {
        let mut served = Vec::new();
        for partition in 0..64 {
            served.extend(users.active_in(partition).await.unwrap());
        }
        served.iter().any(|(user, _)| *user == asked.user)
    };
    assert!(!is_served().await);

    let suspensions = world.store.suspensions();
    suspensions
        .suspend(asked.user, "abuse", at(1))
        .await
        .unwrap();

    assert!(is_served().await);
}

async fn begin(world: &World, user: UserId, reply: &str, hold: WhileSuspended) -> OutgoingReply {
    let reply = ReplyId::derived_from(reply);
    let deliveries = world.store.deliveries();
    let begun = deliveries.begin(user, reply, 2, true, hold, at(1));
    begun.await.unwrap().unwrap()
}

async fn mark_sending(world: &World, piece: &mut Delivery) -> bool {
    let deliveries = world.store.deliveries();
    let marked = deliveries.mark_sending(piece, WhileSuspended::Hold, at(5));
    marked.await.unwrap()
}

async fn keys_to_change(world: &World) -> Vec<KeyChange> {
    let sandboxes = world.store.sandboxes();
    sandboxes.keys_to_change("host-a").await.unwrap()
}

fn suspension(second: i64, reason: &str) -> Suspension {
    Suspension {
        since: at(second),
        reason: reason.to_owned(),
        is_block: false,
    }
}
