use std::sync::Arc;

use chrono::TimeDelta;
use claw_docker::{External, fake::Fault};
use claw_domain::FailureReason;
use claw_testkit::eventually;
use provisioner::{Door, Place, Progress, Step};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{World, drive};

/// More steps than any way to ready has.
const ENOUGH_STEPS: usize = 20;

#[tokio::test]
async fn whoever_asks_gets_a_sandbox() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;

    assert!(drive(&Arc::new(world.provisioner()), &wish).await.unwrap());

    world.assert_ready(wish.user, 1).await;
    let sandbox = world.row(wish.user).await;
    let endpoint = format!("ws://127.0.0.1:{}", sandbox.port.unwrap());
    assert_eq!(sandbox.endpoint.unwrap().as_str(), endpoint);
    assert!(world.keys.names()[0].starts_with(&format!("clawkaka:test:{}:", sandbox.id)));
}

#[tokio::test]
async fn every_step_may_be_taken_twice() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    let provisioner = world.provisioner();
    provisioner.request(&wish).await.unwrap();
    provisioner.request(&wish).await.unwrap();

    let mut steps = 0;
    while world.take_step(&provisioner, wish.user, 2).await != Progress::AtRest {
        steps += 1;
        assert!(steps < ENOUGH_STEPS, "it never rests");
    }
    for _ in 0..2 {
        provisioner
            .drive(wish.user, &CancellationToken::new())
            .await
            .unwrap();
    }

    world.assert_ready(wish.user, 1).await;
    assert_eq!((world.runtime.made(), world.keys.made()), (1, 1));
}

#[tokio::test]
async fn a_process_that_is_killed_after_any_step_is_succeeded_by_one_that_goes_on() {
    let world = World::new().await;
    let mut person = 0;
    loop {
        let wish = world.wish_of(person).await;
        let killed = world.provisioner();
        killed.request(&wish).await.unwrap();
        let mut last = Progress::Moved;
        for _ in 0..person {
            last = world.take_step(&killed, wish.user, 1).await;
        }
        drop(killed);

        assert!(
            world
                .provisioner()
                .drive(wish.user, &CancellationToken::new())
                .await
                .unwrap()
        );

        assert_eq!(
            world.row(wish.user).await.status.as_str(),
            "ready",
            "after {person} steps"
        );
        person += 1;
        let made = usize::try_from(person).unwrap();
        assert_eq!(
            (world.runtime.containers().len(), world.keys.names().len()),
            (made, made)
        );
        assert_eq!((world.runtime.made(), world.keys.made()), (made, made));
        if last == Progress::AtRest {
            break;
        }
    }
    assert!(person > 5, "only {person} steps were seen");
}

#[tokio::test]
async fn a_fault_at_any_step_leaves_nothing_behind() {
    for steps_before in 0.. {
        let world = World::new().await;
        let wish = world.wish_of(1).await;
        let provisioner = world.provisioner();
        provisioner.request(&wish).await.unwrap();
        let mut last = Progress::Moved;
        for _ in 0..steps_before {
            last = world.take_step(&provisioner, wish.user, 1).await;
        }
        if last == Progress::AtRest {
            assert!(steps_before > 5, "only {steps_before} steps were seen");
            break;
        }
        if world.row(wish.user).await.status.as_str() == "ready" {
            continue;
        }
        world.runtime.set_fault(Some(Fault::NoImage));
        world.doors.stick(Some(Door::Barred));
        world.keys.refuse_to_mint(Some(401));

        provisioner
            .drive(wish.user, &CancellationToken::new())
            .await
            .unwrap();

        let has_container = world.runtime.made() > 0;
        let reason = match (world.keys.made(), has_container) {
            (0, _) => "model_key",
            (_, false) => "image_missing",
            (_, true) => "not_approved",
        };
        world.assert_nothing_is_left_but(wish.user, reason).await;
    }
}

#[tokio::test]
async fn undoing_twice_is_undoing_once() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    let provisioner = world.provisioner();
    provisioner.request(&wish).await.unwrap();
    while world.runtime.containers().is_empty() {
        world.take_step(&provisioner, wish.user, 1).await;
    }
    let sandbox = world.row(wish.user).await;

    for _ in 0..2 {
        provisioner
            .act(&sandbox, Step::GiveUp(FailureReason::StartTimeout))
            .await
            .unwrap();
    }
    provisioner
        .drive(wish.user, &CancellationToken::new())
        .await
        .unwrap();

    world
        .assert_nothing_is_left_but(wish.user, "start_timeout")
        .await;
}

#[tokio::test]
async fn lost_answers_leave_one_container_and_one_key() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    world.keys.lose_next_answer();
    world.runtime.set_fault(Some(Fault::LosesAnswers));

    let driving = drive(&Arc::new(world.provisioner()), &wish);
    eventually("the container is made", || async {
        world.runtime.made() > 0
    })
    .await;
    world.runtime.set_fault(None);

    assert!(driving.await.unwrap());
    world.assert_ready(wish.user, 1).await;
    assert_eq!((world.runtime.made(), world.keys.made()), (1, 2));
}

#[tokio::test]
async fn a_container_that_exits_by_itself_is_started_once_more_and_then_given_up() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    world.runtime.let_containers_exit(Some(1));

    drive(&Arc::new(world.provisioner()), &wish).await.unwrap();

    world.assert_nothing_is_left_but(wish.user, "exited").await;
}

#[tokio::test]
async fn a_sandbox_that_never_lets_us_in_is_given_up_after_the_start_limit() {
    for (door, reason) in [
        (Door::Silent, "start_timeout"),
        (Door::Unapproved, "not_approved"),
    ] {
        let world = World::new().await;
        let wish = world.wish_of(1).await;
        world.doors.stick(Some(door));

        let driving = drive(&Arc::new(world.provisioner()), &wish);
        world.clock.advance(TimeDelta::seconds(170));
        eventually("it is knocked", || async { world.doors.knocks() > 2 }).await;
        assert!(!driving.is_finished());
        world.clock.advance(TimeDelta::seconds(180));
        driving.await.unwrap();

        world.assert_nothing_is_left_but(wish.user, reason).await;
    }
}

#[tokio::test]
async fn an_engine_that_stays_away_is_told_to_the_person() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    world.runtime.set_fault(Some(Fault::Trouble));

    let driving = drive(&Arc::new(world.provisioner()), &wish);
    eventually("it is given up as time goes by", || async {
        world.clock.advance(TimeDelta::seconds(100));
        driving.is_finished()
    })
    .await;

    world.assert_nothing_is_left_but(wish.user, "engine").await;
}

#[tokio::test]
async fn an_engine_that_comes_back_in_time_is_waited_for() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    world.runtime.set_fault(Some(Fault::Trouble));

    let driving = drive(&Arc::new(world.provisioner()), &wish);
    eventually("it is begun", || async {
        let row = world.store.sandboxes().of_user(wish.user).await.unwrap();
        row.is_some_and(|row| row.status.as_str() == "starting")
    })
    .await;
    world.runtime.set_fault(None);

    assert!(driving.await.unwrap());
    world.assert_ready(wish.user, 1).await;
}

#[tokio::test]
async fn a_port_that_something_else_has_is_passed_over() {
    let mut world = World::new().await;
    let occupied = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = occupied.local_addr().unwrap().port();
    world.container_settings.ports = taken..=u16::MAX;
    let wish = world.wish_of(1).await;

    drive(&Arc::new(world.provisioner()), &wish).await.unwrap();

    assert!(world.row(wish.user).await.port.unwrap() > taken);
}

#[tokio::test]
async fn no_more_start_at_once_than_may() {
    let world = World::new().await;
    let provisioner = Arc::new(world.provisioner());
    world.doors.stick(Some(Door::Silent));
    let mut driving = Vec::new();
    for person in 0..3 {
        driving.push(drive(&provisioner, &world.wish_of(person).await));
    }

    let knocks = world.doors.knocks();
    eventually("two are looked at again and again", || async {
        world.doors.knocks() > knocks + 20
    })
    .await;
    assert_eq!(world.runtime.made(), 2);
    world.doors.stick(Some(Door::Open));

    for driven in driving {
        assert!(driven.await.unwrap());
    }
    assert_eq!(world.runtime.made(), 3);
}

#[tokio::test]
async fn a_sandbox_somebody_else_runs_is_ready_at_its_own_address_without_key_or_container() {
    let world = World::new().await;
    let wish = world.wish_of(1).await;
    let addresses: External = "ws://agents.example/{sandbox}".parse().unwrap();
    let gateway_token = "shared".into();
    let provisioner = world.provisioner_at(Place::Elsewhere {
        addresses,
        gateway_token,
    });

    drive(&Arc::new(provisioner), &wish).await.unwrap();

    let sandbox = world.row(wish.user).await;
    let endpoint = format!("ws://agents.example/{}", sandbox.id);
    assert_eq!(sandbox.endpoint.as_ref().unwrap().as_str(), endpoint);
    assert_eq!((world.runtime.made(), world.keys.made()), (0, 0));
    world.assert_told(&format!("ready {} 1", sandbox.id)).await;
}
