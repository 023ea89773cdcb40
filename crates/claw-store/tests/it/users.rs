use claw_domain::{Endpoint, UserId};
use claw_store::{Disposition, NewReply, Profile, Sandbox, StoreError};
use claw_testkit::user_of;

use crate::world::{World, address, at, message, reply, settlement};

/// Users of one partition, and the partition's number.
const NEIGHBOURS: [u32; 7] = [2, 58, 189, 194, 201, 400, 411];
const PARTITION: u16 = 17;
/// A user of another partition.
const STRANGER: u32 = 1;

#[tokio::test]
async fn an_unknown_user_has_no_address() {
    let world = World::new().await;
    let known = world.user(1).await;

    assert_eq!(
        world.store.users().address_of(known).await.unwrap(),
        Some(address(1))
    );
    assert_eq!(
        world
            .store
            .users()
            .address_of(user_of(&address(2)))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_user_is_in_the_partition_that_nats_computes_for_their_events() {
    let world = World::new().await;
    // As stored by a nats-server with `partition(64)`.
    for (number, expected) in [(1, 2), (2, 17), (4_567_890, 44)] {
        let user = world.user(number).await.as_uuid();

        let rows = world
            .sql(&format!(
                "SELECT partition FROM \"user\" WHERE id = '{user}'"
            ))
            .await;

        assert_eq!(rows[0].try_get::<i16>("", "partition").unwrap(), expected);
    }
}

#[tokio::test]
async fn settings_are_kept_until_they_are_changed() {
    let world = World::new().await;
    let user = world.user(1).await;
    let users = world.store.users();
    let unset = Profile {
        address: address(1),
        zone: None,
        quiet: None,
        updates_stopped: false,
        language: None,
        last_written_at: Some(at(0)),
        has_chat: true,
    };
    assert_eq!(users.profile(user).await.unwrap(), Some(unset.clone()));

    users.set_zone(user, Some("Asia/Kathmandu")).await.unwrap();
    users.set_quiet(user, Some("22:00-07:00")).await.unwrap();
    users.set_language(user, Some("pt-BR")).await.unwrap();
    users.stop_updates(user, at(1)).await.unwrap();
    users.stop_updates(user, at(2)).await.unwrap();

    let set = users.profile(user).await.unwrap().unwrap();
    assert_eq!(set.zone.as_deref(), Some("Asia/Kathmandu"));
    assert_eq!(set.quiet.as_deref(), Some("22:00-07:00"));
    assert_eq!(set.language.as_deref(), Some("pt-BR"));
    assert!(set.updates_stopped);
    let stopped = format!("\"user\" WHERE updates_stopped_at = '{}'", at(1));
    assert_eq!(world.count(&stopped).await, 1);

    users.set_zone(user, None).await.unwrap();
    users.set_quiet(user, None).await.unwrap();
    users.set_language(user, None).await.unwrap();
    users.resume_updates(user).await.unwrap();

    assert_eq!(users.profile(user).await.unwrap(), Some(unset));
}

#[tokio::test]
async fn quiet_hours_in_another_format_are_refused() {
    let world = World::new().await;
    let user = world.user(1).await;
    let users = world.store.users();

    users.set_quiet(user, Some("off")).await.unwrap();
    let refused = users.set_quiet(user, Some("at night")).await.unwrap_err();

    assert!(!refused.is_transient());
    let profile = users.profile(user).await.unwrap().unwrap();
    assert_eq!(profile.quiet.as_deref(), Some("off"));
}

#[tokio::test]
async fn a_language_that_is_not_a_tag_is_refused() {
    let world = World::new().await;
    let user = world.user(1).await;
    let users = world.store.users();

    for language in ["de", "pt-BR", "zh-Hant-TW"] {
        users.set_language(user, Some(language)).await.unwrap();
    }
    for language in ["", "German language", "de_DE"] {
        assert!(users.set_language(user, Some(language)).await.is_err());
    }

    let profile = users.profile(user).await.unwrap().unwrap();
    assert_eq!(profile.language.as_deref(), Some("zh-Hant-TW"));
}

#[tokio::test]
async fn settings_of_an_unknown_user_are_refused() {
    let world = World::new().await;
    let stranger = user_of(&address(9));
    let users = world.store.users();

    let refused = users.set_zone(stranger, Some("UTC")).await.unwrap_err();

    assert!(matches!(refused, StoreError::Missing { .. }));
    assert_eq!(users.profile(stranger).await.unwrap(), None);
}

#[tokio::test]
async fn a_user_is_active_with_a_waiting_message_a_held_reply_or_a_ready_sandbox() {
    let world = World::new().await;
    let [
        late,
        early,
        ready,
        with_held,
        idle,
        starting,
        starting_and_waiting,
    ] = NEIGHBOURS;
    for number in [ready, with_held, idle, starting] {
        world.user(number).await;
        world
            .answer(&message(number, 0), reply(&number.to_string()))
            .await;
    }
    for number in [early, STRANGER, starting_and_waiting, late] {
        world.user(number).await;
    }
    hold_a_reply(&world, with_held).await;
    let ready_one = make_ready(&world, world.user_with_sandbox(ready).await).await;
    world.user_with_sandbox(starting).await;
    let starting_one = world.user_with_sandbox(starting_and_waiting).await;

    let found = world.store.users().active_in(PARTITION).await.unwrap();

    let waiting = [
        (user(early), None),
        (user(starting_and_waiting), Some(starting_one)),
        (user(late), None),
    ];
    assert_eq!(found[..3], waiting);
    assert_eq!(found.len(), 5);
    assert!(found.contains(&(user(ready), Some(ready_one))));
    assert!(found.contains(&(user(with_held), None)));
}

#[tokio::test]
async fn an_empty_partition_has_no_active_users() {
    let world = World::new().await;
    world.user(STRANGER).await;

    let found = world.store.users().active_in(PARTITION).await.unwrap();

    assert!(found.is_empty());
}

/// Holds a reply to a user.
async fn hold_a_reply(world: &World, number: u32) {
    let text = NewReply {
        disposition: Disposition::HeldUntil(at(9)),
        ..reply("held")
    };
    world.settle(&settlement(user(number), &[], &[text])).await;
}

async fn make_ready(world: &World, sandbox: Sandbox) -> Sandbox {
    let endpoint = Endpoint::new("ws://127.0.0.1:30000");
    let marked = world
        .store
        .sandboxes()
        .mark_ready(sandbox.current_start(), &endpoint, at(3))
        .await;
    assert!(marked.unwrap());
    world.sandbox_of(sandbox.user).await
}

fn user(number: u32) -> UserId {
    user_of(&address(number))
}
