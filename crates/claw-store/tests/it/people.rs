use claw_domain::{Endpoint, UserId};
use claw_store::{Disposition, NewReply, Profile, Sandbox, StoreError};

use crate::world::{World, address, at, message, reply, settlement};

/// People whose events are in the same partition, and its number.
const NEIGHBOURS: [u32; 7] = [2, 34, 157, 203, 296, 331, 386];
const PARTITION: u16 = 8;
/// Somebody of another partition.
const STRANGER: u32 = 1;

#[tokio::test]
async fn somebody_we_never_heard_from_has_no_address() {
    let world = World::new().await;
    let known = world.person(1).await;

    assert_eq!(
        world.store.users().address_of(known).await.unwrap(),
        Some(address(1))
    );
    assert_eq!(
        world
            .store
            .users()
            .address_of(address(2).user())
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_person_is_in_the_partition_the_message_server_puts_their_events_into() {
    let world = World::new().await;
    // As a server stored them with `partition(64)`.
    for (number, expected) in [(1, 43), (2, 8), (4_567_890, 5)] {
        let user = world.person(number).await.as_uuid();

        let rows = world
            .sql(&format!(
                "SELECT partition FROM \"user\" WHERE id = '{user}'"
            ))
            .await;

        assert_eq!(rows[0].try_get::<i16>("", "partition").unwrap(), expected);
    }
}

#[tokio::test]
async fn what_people_told_about_themselves_is_kept_until_they_say_otherwise() {
    let world = World::new().await;
    let user = world.person(1).await;
    let users = world.store.users();
    let unsaid = Profile {
        address: address(1),
        zone: None,
        quiet: None,
        updates_stopped: false,
        language: None,
    };
    assert_eq!(users.profile(user).await.unwrap(), Some(unsaid.clone()));

    users.set_zone(user, Some("Asia/Kathmandu")).await.unwrap();
    users.set_quiet(user, Some("22:00-07:00")).await.unwrap();
    users.set_language(user, Some("pt-BR")).await.unwrap();
    users.stop_updates(user, at(1)).await.unwrap();
    users.stop_updates(user, at(2)).await.unwrap();

    let told = users.profile(user).await.unwrap().unwrap();
    assert_eq!(told.zone.as_deref(), Some("Asia/Kathmandu"));
    assert_eq!(told.quiet.as_deref(), Some("22:00-07:00"));
    assert_eq!(told.language.as_deref(), Some("pt-BR"));
    assert!(told.updates_stopped);
    let stopped = format!("\"user\" WHERE updates_stopped_at = '{}'", at(1));
    assert_eq!(world.count(&stopped).await, 1);

    users.set_zone(user, None).await.unwrap();
    users.set_quiet(user, None).await.unwrap();
    users.set_language(user, None).await.unwrap();
    users.resume_updates(user).await.unwrap();

    assert_eq!(users.profile(user).await.unwrap(), Some(unsaid));
}

#[tokio::test]
async fn quiet_hours_are_off_or_hours() {
    let world = World::new().await;
    let user = world.person(1).await;
    let users = world.store.users();

    users.set_quiet(user, Some("off")).await.unwrap();
    let refused = users.set_quiet(user, Some("at night")).await.unwrap_err();

    assert!(!refused.is_transient());
    let profile = users.profile(user).await.unwrap().unwrap();
    assert_eq!(profile.quiet.as_deref(), Some("off"));
}

#[tokio::test]
async fn a_language_is_a_name_of_one() {
    let world = World::new().await;
    let user = world.person(1).await;
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
async fn nothing_is_kept_about_somebody_we_never_heard_from() {
    let world = World::new().await;
    let stranger = address(9).user();
    let users = world.store.users();

    let refused = users.set_zone(stranger, Some("UTC")).await.unwrap_err();

    assert!(matches!(refused, StoreError::Missing { .. }));
    assert_eq!(users.profile(stranger).await.unwrap(), None);
}

#[tokio::test]
async fn a_new_owner_looks_after_who_waits_who_is_owed_a_text_and_who_has_an_assistant() {
    let world = World::new().await;
    let [
        late,
        early,
        ready,
        owed,
        idle,
        starting,
        starting_and_waiting,
    ] = NEIGHBOURS;
    for person in [ready, owed, idle, starting] {
        world.person(person).await;
        world
            .answer(&message(person, 0), reply(&person.to_string()))
            .await;
    }
    for person in [early, STRANGER, starting_and_waiting, late] {
        world.person(person).await;
    }
    owe(&world, owed).await;
    let ready_one = make_ready(&world, world.person_with_sandbox(ready).await).await;
    world.person_with_sandbox(starting).await;
    let starting_one = world.person_with_sandbox(starting_and_waiting).await;

    let found = world.store.users().active_in(PARTITION).await.unwrap();

    let waiting = [
        (user(early), None),
        (user(starting_and_waiting), Some(starting_one)),
        (user(late), None),
    ];
    assert_eq!(found[..3], waiting);
    assert_eq!(found.len(), 5);
    assert!(found.contains(&(user(ready), Some(ready_one))));
    assert!(found.contains(&(user(owed), None)));
}

#[tokio::test]
async fn a_partition_of_nobody_has_nobody_active_in() {
    let world = World::new().await;
    world.person(STRANGER).await;

    let found = world.store.users().active_in(PARTITION).await.unwrap();

    assert!(found.is_empty());
}

/// Holds a text back from a person.
async fn owe(world: &World, person: u32) {
    let text = NewReply {
        disposition: Disposition::HeldUntil(at(9)),
        ..reply("held")
    };
    world.settle(&settlement(user(person), &[], &[text])).await;
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

fn user(person: u32) -> UserId {
    address(person).user()
}
