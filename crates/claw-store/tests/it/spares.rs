//! Spare sandboxes: who may claim them, and what the provisioner's role may do with them.

use claw_domain::{Endpoint, SandboxId, SandboxStatus, SleepPolicy, UserId};
use claw_store::{AnySandbox, Demand, NewSandbox, Sandboxes, Store};
use tokio::task::JoinSet;

use crate::world::{
    MODEL, OLD_KEY, World, at, host_with, keyring, message, new_sandbox, request, settlement,
};

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_claims_get_different_sandboxes_and_one_user_gets_one() {
    let world = World::new().await;
    let sandboxes = world.store.sandboxes();
    for number in 0..30 {
        spare(&sandboxes, number, "here").await;
    }
    let mut claims = JoinSet::new();
    for number in 0..10 {
        let user = world.user(number).await;
        for cause in ["a", "b", "c"] {
            let sandboxes = sandboxes.clone();
            claims.spawn(async move { claim(&sandboxes, user, cause, "here").await });
        }
    }

    let claimed: Vec<_> = claims.join_all().await.into_iter().flatten().collect();

    assert_eq!(claimed.len(), 10);
    assert_eq!(world.count("sandbox WHERE user_id IS NULL").await, 20);
}

#[tokio::test]
async fn only_a_ready_spare_sandbox_of_this_engine_and_model_is_claimed() {
    let world = World::new().await;
    let sandboxes = world.store.sandboxes();
    let user = world.user(1).await;
    spare(&sandboxes, 1, "there").await;
    add(&sandboxes, 2, 9, 0).await.unwrap();
    assert_eq!(claim(&sandboxes, user, "a", "here").await, None);

    let ready = spare(&sandboxes, 3, "here").await;
    let (request_a, here) = (request(user, "a", 9), host_with("here"));
    let other_model = sandboxes.claim(&request_a, &here, "other");
    assert_eq!(other_model.await.unwrap(), None);
    let suspensions = world.store.suspensions();
    suspensions.suspend(user, "abuse", at(2)).await.unwrap();
    assert_eq!(claim(&sandboxes, user, "a", "here").await, None);
    suspensions.resume(user).await.unwrap();

    assert_eq!(claim(&sandboxes, user, "a", "here").await, Some(ready.id));
    let row = world.sandbox_of(user).await;
    assert_eq!((row.status, row.start), (SandboxStatus::Ready, 1));
    assert_eq!(row.cause, Some(request_a.cause));
}

#[tokio::test]
async fn a_spare_sandbox_takes_a_place_and_leaves_some_free() {
    let world = World::new().await;
    let sandboxes = world.store.sandboxes();

    assert!(add(&sandboxes, 1, 3, 1).await.is_some());
    assert!(add(&sandboxes, 2, 3, 1).await.is_some());
    assert!(add(&sandboxes, 3, 3, 1).await.is_none());

    let user = world.user(1).await;
    let queued = world.request(request(user, "a", 2)).await;
    assert_eq!(queued.status, SandboxStatus::Queued);
    let demand = Demand {
        taken: 2,
        ready_spares: 0,
        starting_spares: 2,
        queued: 1,
    };
    assert_eq!(sandboxes.demand(&host_with("here")).await.unwrap(), demand);
}

#[tokio::test]
async fn the_role_of_the_provisioner_discards_spare_sandboxes_and_deletes_no_others() {
    let world = World::new().await;
    let store = Store::connect(&world.server.url_of("provisioner").into(), 2)
        .await
        .unwrap();
    let sandboxes = store.sandboxes();
    let (here, user) = (host_with("here"), world.user(1).await);
    spare(&sandboxes, 1, "here").await;
    let claimed = claim(&sandboxes, user, "a", "here").await.unwrap();
    let ready = spare(&sandboxes, 2, "here").await;
    let starting = add(&sandboxes, 3, 9, 0).await.unwrap();

    let discarded = sandboxes.discard_spares(&here, 1, at(3)).await.unwrap();
    assert_eq!(discarded[0].id, starting.id);
    let of_user = world.sandbox_of(user).await.current_start();
    assert!(
        sandboxes
            .order_removal(of_user, &here, at(3))
            .await
            .unwrap()
    );
    for sandbox in [claimed, ready.id, starting.id] {
        sandboxes.forget_spare(sandbox).await.unwrap();
    }

    assert_eq!(sandboxes.by_id(starting.id).await.unwrap(), None);
    assert_eq!(
        sandboxes.by_id(ready.id).await.unwrap(),
        Some(ready.clone())
    );
    assert!(sandboxes.by_id(claimed).await.unwrap().is_some());
    assert!(
        sandboxes
            .discard(ready.current_start(), at(4))
            .await
            .unwrap()
    );
    assert_eq!(
        claim(&sandboxes, world.user(2).await, "a", "here").await,
        None
    );
    let unused = sandboxes.least_recently_used(&here, &[], 9, at(5));
    unused.await.unwrap();
}

#[tokio::test]
async fn the_least_recently_used_are_those_who_did_not_write_for_longest_and_whom_nobody_awaits() {
    let world = World::new().await;
    let (sandboxes, here) = (world.store.sandboxes(), host_with("here"));
    let mut users = Vec::new();
    for number in 0..5 {
        let user = world.user(number).await;
        spare(&sandboxes, number, "here").await;
        claim(&sandboxes, user, "a", "here").await.unwrap();
        world.receive(&message(number, 10 - number)).await;
        let asked = [message(number, 0).id, message(number, 10 - number).id];
        world.settle(&settlement(user, &asked, &[])).await;
        users.push(user);
    }
    // The earlier in this list, the later they wrote. The third waits for an answer, and the fifth stays awake.
    let policy = SleepPolicy::AlwaysOn;
    assert!(
        sandboxes
            .set_policy(users[4], policy, at(11))
            .await
            .unwrap()
    );
    world.receive(&message(2, 20)).await;

    let order = async |except: &[SandboxId], limit, unused_since| -> Vec<UserId> {
        let found = sandboxes.least_recently_used(&here, except, limit, unused_since);
        let found = found.await.unwrap();
        found.into_iter().map(|(user, _)| user).collect()
    };

    let later = at(1_000);
    let all = [users[3], users[1], users[0]];
    assert_eq!(order(&[], 9, later).await, all);
    let first = world.sandbox_of(users[3]).await.id;
    assert_eq!(order(&[first], 1, later).await, [users[1]]);
    let just_answered = order(&[], 9, at(0)).await;
    assert_eq!(just_answered, []);
}

async fn claim(
    sandboxes: &Sandboxes,
    user: UserId,
    cause: &str,
    engine: &str,
) -> Option<SandboxId> {
    let (request, host) = (request(user, cause, 99), host_with(engine));
    let claimed = sandboxes.claim(&request, &host, "openrouter/auto");
    claimed.await.unwrap().map(|sandbox| sandbox.id)
}

/// Stores a spare sandbox that is to be started, if there is a place.
async fn add(sandboxes: &Sandboxes, number: u32, cap: u32, kept_free: u32) -> Option<AnySandbox> {
    let new = NewSandbox {
        id: SandboxId::derived_from(&format!("spare {number}")),
        ..new_sandbox(UserId::UNKNOWN)
    };
    let keyring = keyring(OLD_KEY);
    let added = sandboxes.add_spare(&new, cap, kept_free, &keyring, at(1));
    added.await.unwrap()
}

/// A ready spare sandbox that this engine has.
async fn spare(sandboxes: &Sandboxes, number: u32, engine: &str) -> AnySandbox {
    let start = add(sandboxes, number, 99, 0).await.unwrap().current_start();
    let endpoint = Endpoint::new("ws://127.0.0.1:30000");
    let host = host_with(engine);
    let is_starting = sandboxes.mark_starting(start, &host, MODEL, at(1));
    assert!(is_starting.await.unwrap());
    assert!(sandboxes.mark_ready(start, &endpoint, at(1)).await.unwrap());
    sandboxes.by_id(start.sandbox).await.unwrap().unwrap()
}
