use chrono::{DateTime, TimeDelta, Utc};
use claw_domain::{Endpoint, FailureReason, SandboxStatus, SleepPolicy, WakeReason};
use claw_store::{Host, Sandbox, Settlement, Wake};

use crate::world::{MODEL, World, at, host, message, request, settlement};

#[tokio::test]
async fn an_idle_sandbox_sleeps_and_gives_up_its_place_but_not_its_port_until_its_container_is_gone()
 {
    let world = World::new().await;
    let ready = ready(&world, 1).await;
    let sandboxes = world.store.sandboxes();

    assert!(
        sandboxes
            .fall_asleep(ready.current_start(), None, at(5), at(5))
            .await
            .unwrap()
    );
    let asleep = world.sandbox_of(ready.user).await;
    let other = world.user(2).await;
    let next = world.request(request(other, "other", 1)).await;
    assert!(
        sandboxes
            .release_port(ready.current_start(), at(6))
            .await
            .unwrap()
    );

    assert_eq!(
        (asleep.status, asleep.port, asleep.endpoint),
        (SandboxStatus::Asleep, Some(30_000), None)
    );
    assert_eq!(asleep.transcript, ready.transcript);
    assert_eq!(next.status, SandboxStatus::Requested);
    assert_eq!(world.sandbox_of(ready.user).await.port, None);
}

#[tokio::test]
async fn nothing_sleeps_that_is_asked_or_has_to_stay_awake() {
    let world = World::new().await;
    let ready = ready(&world, 1).await;
    let sandboxes = world.store.sandboxes();
    let falls_asleep = || async {
        sandboxes
            .fall_asleep(ready.current_start(), None, at(5), at(5))
            .await
            .unwrap()
    };

    let asked = message(1, 3);
    world.receive(&asked).await;
    assert!(!falls_asleep().await, "a message waits");
    world
        .settle(&settlement(ready.user, &[asked.id], &[]))
        .await;
    sandboxes
        .set_policy(ready.user, SleepPolicy::AlwaysOn, at(4))
        .await
        .unwrap();
    assert!(!falls_asleep().await, "its policy is to stay awake");
    sandboxes
        .set_policy(ready.user, SleepPolicy::Off, at(4))
        .await
        .unwrap();
    assert!(falls_asleep().await);
}

#[tokio::test]
async fn a_report_from_before_the_last_answer_puts_nothing_to_sleep() {
    let world = World::new().await;
    let ready = ready(&world, 1).await;
    let sandboxes = world.store.sandboxes();
    let falls_asleep = async |since| {
        sandboxes
            .fall_asleep(ready.current_start(), None, since, at(40))
            .await
            .unwrap()
    };
    let asked = message(1, 3);
    world.receive(&asked).await;
    // The turn may have planned a reminder, although its place in the transcript is not known.
    let answered = Settlement {
        now: at(30),
        ..settlement(ready.user, &[asked.id], &[])
    };
    world.settle(&answered).await;

    assert!(!falls_asleep(at(29)).await);
    assert!(falls_asleep(at(30)).await);
}

#[tokio::test]
async fn a_start_after_a_failure_is_not_one_for_a_job_or_a_heartbeat() {
    let world = World::new().await;
    let (sandboxes, here) = (world.store.sandboxes(), host("host-a"));
    for (number, fails) in [(1, false), (2, true)] {
        let ready = ready(&world, number).await;
        let wake = Wake {
            at: at(60),
            reason: WakeReason::Heartbeat,
        };
        let asleep = sandboxes.fall_asleep(ready.current_start(), Some(wake), at(50), at(50));
        assert!(asleep.await.unwrap());
        let woken = wake_until(&world, &here, at(60), 5, at(60)).await;
        make_ready(&world, &woken[0]).await;
        let start = woken[0].current_start();

        let is_over = if fails {
            let reason = FailureReason::Exited;
            sandboxes.mark_failed(start, reason, at(70), at(65)).await
        } else {
            sandboxes.start_over(start, at(70), at(65)).await
        };

        assert!(is_over.unwrap());
        assert_eq!(world.sandbox_of(ready.user).await.wake_for, None);
    }
}

#[tokio::test]
async fn a_message_wakes_a_sleeper_as_its_next_start_and_a_repeated_request_does_not() {
    let world = World::new().await;
    let ready = ready(&world, 1).await;
    let sandboxes = world.store.sandboxes();
    sandboxes
        .fall_asleep(ready.current_start(), None, at(5), at(5))
        .await
        .unwrap();

    let repeated = world.request(request(ready.user, "first", 5)).await;
    let woken = world.request(request(ready.user, "second", 5)).await;

    assert_eq!(repeated.status, SandboxStatus::Asleep);
    assert_eq!(
        (woken.status, woken.start),
        (SandboxStatus::Requested, ready.start + 1)
    );
    let late = sandboxes
        .fall_asleep(ready.current_start(), None, at(7), at(7))
        .await
        .unwrap();
    assert!(!late, "a late step of the earlier start changes nothing");
}

#[tokio::test]
async fn sleepers_wake_when_they_are_due_the_earliest_first_while_there_are_places() {
    let world = World::new().await;
    let sandboxes = world.store.sandboxes();
    for (number, due) in [(1, 300), (2, 100), (3, 200), (4, 9_000), (5, 90)] {
        let ready = ready(&world, number).await;
        let wake = Wake {
            at: at(due),
            reason: WakeReason::Job,
        };
        sandboxes
            .fall_asleep(ready.current_start(), Some(wake), at(50), at(50))
            .await
            .unwrap();
    }
    let off = world.user(5).await;
    sandboxes
        .set_policy(off, SleepPolicy::Off, at(55))
        .await
        .unwrap();
    let next = sandboxes.next_wake(&host("host-a"), at(60)).await.unwrap();

    let two = wake_until(&world, &host("host-a"), at(400), 2, at(60)).await;
    let third = wake_until(&world, &host("host-a"), at(400), 3, at(60)).await;
    let elsewhere = wake_until(&world, &host("elsewhere"), at(9_999), 9, at(60)).await;

    let due = |woken: &[Sandbox]| -> Vec<_> { woken.iter().map(|sandbox| sandbox.user).collect() };
    assert_eq!(next, Some(at(100)));
    assert_eq!(due(&two), [world.user(2).await, world.user(3).await]);
    assert_eq!(due(&third), [world.user(1).await]);
    assert!(elsewhere.is_empty());
    assert!(
        two.iter()
            .all(|woken| woken.status == SandboxStatus::Requested && woken.job_wakes == 1)
    );
    assert!(
        two.iter()
            .all(|woken| woken.wake_for == Some(WakeReason::Job))
    );
}

#[tokio::test]
async fn wakes_for_jobs_are_counted_by_the_day() {
    let world = World::new().await;
    let sandboxes = world.store.sandboxes();
    let mut woken = ready(&world, 1).await;
    let mut counts = Vec::new();
    for (hours, reason) in [
        (1, WakeReason::Job),
        (2, WakeReason::Job),
        (3, WakeReason::Heartbeat),
        (25, WakeReason::Job),
    ] {
        let now = at(0) + TimeDelta::hours(hours);
        let wake = Wake { at: now, reason };
        make_ready(&world, &woken).await;
        assert!(
            sandboxes
                .fall_asleep(woken.current_start(), Some(wake), now, now)
                .await
                .unwrap()
        );
        woken = wake_until(&world, &host("host-a"), now, 5, now)
            .await
            .remove(0);
        counts.push(woken.job_wakes);
    }

    assert_eq!(counts, [1, 2, 2, 1]);
}

#[tokio::test]
async fn what_is_due_and_finds_no_place_is_counted_and_the_next_time_is_in_the_future() {
    let world = World::new().await;
    let (sandboxes, here) = (world.store.sandboxes(), host("host-a"));
    for (number, due) in [(1, 100), (2, 200), (3, 9_000)] {
        let ready = ready(&world, number).await;
        let wake = Wake {
            at: at(due),
            reason: WakeReason::Job,
        };
        let asleep = sandboxes.fall_asleep(ready.current_start(), Some(wake), at(50), at(50));
        assert!(asleep.await.unwrap());
    }

    let woken = wake_until(&world, &here, at(300), 1, at(300)).await;

    assert_eq!(woken.len(), 1);
    assert_eq!(sandboxes.count_due(&here, at(300)).await.unwrap(), 1);
    assert_eq!(
        sandboxes.next_wake(&here, at(300)).await.unwrap(),
        Some(at(9_000))
    );
    world
        .store
        .suspensions()
        .suspend_all("incident", at(301))
        .await
        .unwrap();
    assert_eq!(sandboxes.count_due(&here, at(300)).await.unwrap(), 0);
    assert_eq!(sandboxes.next_wake(&here, at(300)).await.unwrap(), None);
}

#[tokio::test]
async fn a_start_is_awaited_while_a_message_waits_for_it_unless_it_is_the_first() {
    let world = World::new().await;
    let sandboxes = world.store.sandboxes();
    let newcomer = world.user_with_sandbox(1).await;
    let dead = ready(&world, 2).await;
    sandboxes
        .start_over(dead.current_start(), at(3), at(3))
        .await
        .unwrap();
    let awaited = async |sandbox| sandboxes.awaited("host-a", sandbox).await.unwrap();
    assert_eq!(awaited(None).await, []);

    world.receive(&message(2, 7)).await;

    assert_eq!(awaited(None).await, [dead.id]);
    assert_eq!(awaited(Some(dead.id)).await, [dead.id]);
    assert_eq!(awaited(Some(newcomer.id)).await, []);
}

#[tokio::test]
async fn failures_are_counted_until_they_are_forgotten_and_a_pause_ends_at_its_time() {
    let world = World::new().await;
    let (sandboxes, here) = (world.store.sandboxes(), host("host-a"));
    let dead = ready(&world, 1).await;

    sandboxes
        .start_over(dead.current_start(), at(30), at(3))
        .await
        .unwrap();
    let paused = world.sandbox_of(dead.user).await;

    assert_eq!((paused.failures, paused.retry_at), (1, Some(at(30))));
    assert_eq!(
        sandboxes.next_retry(&here, at(3)).await.unwrap(),
        Some(at(30))
    );
    assert_eq!(sandboxes.paused_until(&here, at(29)).await.unwrap(), []);
    assert_eq!(
        sandboxes.paused_until(&here, at(30)).await.unwrap().len(),
        1
    );
    let start = paused.current_start();
    sandboxes
        .mark_starting(start, &here, MODEL, at(30))
        .await
        .unwrap();
    make_ready(&world, &paused).await;
    sandboxes.forget_failures(start, at(40)).await.unwrap();
    let steady = world.sandbox_of(dead.user).await;
    assert_eq!((steady.failures, steady.retry_at), (0, None));
}

pub(crate) async fn wake_until(
    world: &World,
    host: &Host,
    until: DateTime<Utc>,
    cap: u32,
    now: DateTime<Utc>,
) -> Vec<Sandbox> {
    let sandboxes = world.store.sandboxes();
    let sleepers = sandboxes.sleepers(host, until, 100).await.unwrap();
    let sleepers: Vec<_> = sleepers.iter().map(|sleeper| sleeper.id).collect();
    sandboxes.wake_due(host, &sleepers, cap, now).await.unwrap()
}

async fn ready(world: &World, number: u32) -> Sandbox {
    let sandbox = world.user_with_sandbox(number).await;
    let first = message(number, 0).id;
    world.settle(&settlement(sandbox.user, &[first], &[])).await;
    make_ready(world, &sandbox).await;
    world.sandbox_of(sandbox.user).await
}

async fn make_ready(world: &World, sandbox: &Sandbox) {
    let sandboxes = world.store.sandboxes();
    let endpoint = Endpoint::new("ws://127.0.0.1:30000");
    sandboxes
        .reserve_port(sandbox.current_start(), 30_000..=30_010, &[], at(1))
        .await
        .unwrap();
    sandboxes
        .mark_ready(sandbox.current_start(), &endpoint, at(1))
        .await
        .unwrap();
}
