//! Who gets a place when there are fewer places than sandboxes that want one.

use claw_domain::{SandboxStatus, UserId};
use claw_store::Sandbox;

use crate::{
    sleep::wake_until,
    world::{World, at, host, request},
};

const ASLEEP: &str = "status = 'asleep'";
const READY: &str = "status = 'ready', endpoint = 'ws://x'";
const JOB_IS_DUE: &str = "status = 'asleep', wake_for = 'job', wake_at = '2020-01-01'";
const HEARTBEAT_IS_DUE: &str = "status = 'asleep', wake_for = 'heartbeat', wake_at = '2020-01-01'";

#[tokio::test]
async fn a_request_overtakes_nobody_who_comes_first_although_a_place_is_free() {
    use SandboxStatus::{Queued, Requested};
    let world = World::new().await;
    let sleeper = user_with(&world, 1, JOB_IS_DUE).await;
    let (second, third) = (world.user(2).await, world.user(3).await);
    let back = user_with(&world, 4, ASLEEP).await;
    let status = async |user, cause| world.request(request(user, cause, 1)).await.status;

    assert_eq!(status(second, "a").await, Queued, "a job is due");
    assert_eq!(status(back, "b").await, Queued, "a job is due");
    set(&world, back, ASLEEP).await;
    assert_eq!(status(sleeper, "c").await, Requested, "it is their own job");
    set(&world, sleeper, "status = 'asleep', wake_at = NULL").await;
    assert_eq!(status(third, "d").await, Queued, "another newcomer waits");
    let comes_back = status(back, "e").await;
    assert_eq!(comes_back, Requested, "only newcomers wait");
    set(&world, back, "status = 'queued'").await;
    assert_eq!(status(sleeper, "f").await, Queued, "somebody else is back");
}

#[tokio::test]
async fn free_places_go_to_due_jobs_then_to_who_comes_back_then_to_newcomers_then_to_heartbeats() {
    let world = World::new().await;
    user_with(&world, 1, READY).await;
    let heartbeat = user_with(&world, 2, HEARTBEAT_IS_DUE).await;
    let newcomer = world.user(3).await;
    world.request(request(newcomer, "first", 1)).await;
    let back = user_with(&world, 4, ASLEEP).await;
    world.request(request(back, "second", 1)).await;
    let job = user_with(&world, 5, JOB_IS_DUE).await;
    let (sandboxes, here) = (world.store.sandboxes(), host("host-a"));
    let wake_due = async |cap| users(wake_until(&world, &here, at(9), cap, at(9)).await);
    let admit = async |cap| users(sandboxes.admit_queued(&here, cap, at(9)).await.unwrap());

    assert_eq!(wake_due(9).await, [job], "people wait, so no heartbeat");
    assert_eq!(admit(3).await, [back]);
    assert_eq!(wake_due(4).await, []);
    assert_eq!(admit(4).await, [newcomer]);
    assert_eq!(wake_due(5).await, [heartbeat]);
}

#[tokio::test]
async fn a_suspended_user_in_line_holds_nobody_up() {
    let world = World::new().await;
    user_with(&world, 1, "status = 'queued'").await;
    let suspensions = world.store.suspensions();
    let suspended = world.user(1).await;
    suspensions
        .suspend(suspended, "abuse", at(2))
        .await
        .unwrap();

    let newcomer = world.user(2).await;
    let requested = world.request(request(newcomer, "a", 1)).await;

    assert_eq!(requested.status, SandboxStatus::Requested);
}

/// A user whose sandbox has these values.
async fn user_with(world: &World, number: u32, values: &str) -> UserId {
    let user = world.user_with_sandbox(number).await.user;
    set(world, user, values).await;
    user
}

async fn set(world: &World, user: UserId, values: &str) {
    let id = user.as_uuid();
    world
        .sql(&format!(
            "UPDATE sandbox SET {values} WHERE user_id = '{id}'"
        ))
        .await;
}

fn users(sandboxes: Vec<Sandbox>) -> Vec<UserId> {
    sandboxes.into_iter().map(|row| row.user).collect()
}
