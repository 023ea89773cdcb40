use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use chrono::TimeDelta;
use claw_docker::{ExternalAddresses, fake::EngineFault};
use claw_domain::FailureReason;
use claw_testkit::eventually;
use provisioner::{Action, Backend, Progress, Readiness};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{World, drive};

/// An address of no machine, like the host's address in a container: binding it fails.
const NOT_LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// More actions than any start needs.
const ENOUGH_ACTIONS: usize = 20;

#[tokio::test]
async fn a_request_starts_a_sandbox() {
    let world = World::new().await;
    let requested = world.message_from(1).await;

    assert!(
        drive(&Arc::new(world.provisioner()), &requested)
            .await
            .unwrap()
    );

    world.assert_ready(requested.user, 1).await;
    let sandbox = world.row(requested.user).await;
    let endpoint = format!("ws://127.0.0.1:{}", sandbox.port.unwrap());
    assert_eq!(sandbox.endpoint.unwrap().as_str(), endpoint);
    assert!(world.keys.names()[0].starts_with(&format!("clawkaka:test:{}:", sandbox.id)));
}

#[tokio::test]
async fn every_action_may_be_taken_twice() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let provisioner = world.provisioner();
    provisioner.request(&requested).await.unwrap();
    provisioner.request(&requested).await.unwrap();

    let mut actions = 0;
    while world.take_action(&provisioner, requested.user, 2).await != Progress::Done {
        actions += 1;
        assert!(actions < ENOUGH_ACTIONS, "the start never ends");
    }
    for _ in 0..2 {
        provisioner
            .drive(requested.user, &CancellationToken::new())
            .await
            .unwrap();
    }

    world.assert_ready(requested.user, 1).await;
    assert_eq!((world.runtime.made(), world.keys.made()), (1, 1));
}

#[tokio::test]
async fn a_new_process_goes_on_after_a_kill_at_any_action() {
    let world = World::new().await;
    let mut number = 0;
    loop {
        let requested = world.message_from(number).await;
        let killed = world.provisioner();
        killed.request(&requested).await.unwrap();
        let mut last = Progress::Advanced;
        for _ in 0..number {
            last = world.take_action(&killed, requested.user, 1).await;
        }
        drop(killed);

        assert!(
            world
                .provisioner()
                .drive(requested.user, &CancellationToken::new())
                .await
                .unwrap()
        );

        assert_eq!(
            world.row(requested.user).await.status.as_str(),
            "ready",
            "after {number} actions"
        );
        number += 1;
        let made = usize::try_from(number).unwrap();
        assert_eq!(
            (world.runtime.containers().len(), world.keys.names().len()),
            (made, made)
        );
        assert_eq!((world.runtime.made(), world.keys.made()), (made, made));
        if last == Progress::Done {
            break;
        }
    }
    assert!(number > 5, "only {number} actions were seen");
}

#[tokio::test]
async fn a_fault_after_any_action_leaves_nothing_behind() {
    for actions_before in 0.. {
        let world = World::new().await;
        let requested = world.message_from(1).await;
        let provisioner = world.provisioner();
        provisioner.request(&requested).await.unwrap();
        let mut last = Progress::Advanced;
        for _ in 0..actions_before {
            last = world.take_action(&provisioner, requested.user, 1).await;
        }
        if last == Progress::Done {
            assert!(
                actions_before > 5,
                "only {actions_before} actions were seen"
            );
            break;
        }
        if world.row(requested.user).await.status.as_str() == "ready" {
            continue;
        }
        world.runtime.set_fault(Some(EngineFault::NoImage));
        world.probe.fix(Some(Readiness::Rejected));
        world.keys.refuse_to_mint(Some(401));

        provisioner
            .drive(requested.user, &CancellationToken::new())
            .await
            .unwrap();

        let has_container = world.runtime.made() > 0;
        let reason = match (world.keys.made(), has_container) {
            (0, _) => "model_key",
            (_, false) => "image_missing",
            (_, true) => "not_approved",
        };
        world
            .assert_nothing_is_left_but(requested.user, reason)
            .await;
    }
}

#[tokio::test]
async fn giving_up_twice_has_the_same_effect_as_once() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let provisioner = world.provisioner();
    provisioner.request(&requested).await.unwrap();
    while world.runtime.containers().is_empty() {
        world.take_action(&provisioner, requested.user, 1).await;
    }
    let sandbox = world.row(requested.user).await;

    for _ in 0..2 {
        provisioner
            .act(&sandbox, Action::GiveUp(FailureReason::StartTimeout))
            .await
            .unwrap();
    }
    provisioner
        .drive(requested.user, &CancellationToken::new())
        .await
        .unwrap();

    world
        .assert_nothing_is_left_but(requested.user, "start_timeout")
        .await;
}

#[tokio::test]
async fn lost_answers_of_the_engine_and_the_key_provider_leave_one_container_and_one_key() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    world.keys.lose_next_answer();
    world.runtime.set_fault(Some(EngineFault::LosesAnswers));

    let driving = drive(&Arc::new(world.provisioner()), &requested);
    eventually("the container is made", || async {
        world.runtime.made() > 0
    })
    .await;
    world.runtime.set_fault(None);

    assert!(driving.await.unwrap());
    world.assert_ready(requested.user, 1).await;
    assert_eq!((world.runtime.made(), world.keys.made()), (1, 2));
}

#[tokio::test]
async fn a_container_that_exits_is_started_once_more_and_then_given_up() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    world.runtime.let_containers_exit(Some(1));

    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();

    world
        .assert_nothing_is_left_but(requested.user, "exited")
        .await;
}

#[tokio::test]
async fn a_sandbox_that_never_becomes_ready_is_given_up_after_the_start_limit() {
    for (readiness, reason) in [
        (Readiness::NotReady, "start_timeout"),
        (Readiness::NotApproved, "not_approved"),
    ] {
        let world = World::new().await;
        let requested = world.message_from(1).await;
        world.probe.fix(Some(readiness));

        let driving = drive(&Arc::new(world.provisioner()), &requested);
        world.clock.advance(TimeDelta::seconds(170));
        eventually("the sandbox is probed", || async {
            world.probe.count() > 2
        })
        .await;
        assert!(!driving.is_finished());
        world.clock.advance(TimeDelta::seconds(180));
        driving.await.unwrap();

        world
            .assert_nothing_is_left_but(requested.user, reason)
            .await;
    }
}

#[tokio::test]
async fn an_engine_that_stays_unreachable_is_reported_as_the_reason() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    world.runtime.set_fault(Some(EngineFault::Failing));

    let driving = drive(&Arc::new(world.provisioner()), &requested);
    eventually("the sandbox is given up", || async {
        world.clock.advance(TimeDelta::seconds(100));
        driving.is_finished()
    })
    .await;

    world
        .assert_nothing_is_left_but(requested.user, "engine")
        .await;
}

#[tokio::test]
async fn a_start_waits_for_an_engine_that_comes_back_in_time() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    world.runtime.set_fault(Some(EngineFault::Failing));

    let driving = drive(&Arc::new(world.provisioner()), &requested);
    eventually("the start begins", || async {
        let row = world
            .store
            .sandboxes()
            .of_user(requested.user)
            .await
            .unwrap();
        row.is_some_and(|row| row.status.as_str() == "starting")
    })
    .await;
    world.runtime.set_fault(None);

    assert!(driving.await.unwrap());
    world.assert_ready(requested.user, 1).await;
}

#[tokio::test]
async fn a_port_on_which_another_process_listens_is_skipped() {
    let mut world = World::new().await;
    let occupied = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let taken = occupied.local_addr().unwrap().port();
    world.container_settings.ports = taken..=u16::MAX;
    let requested = world.message_from(1).await;

    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();

    assert!(world.row(requested.user).await.port.unwrap() > taken);
}

#[tokio::test]
async fn a_port_that_the_engine_refuses_is_replaced_by_the_next() {
    let mut world = World::new().await;
    world.container_settings.published_on = NOT_LOCAL;
    let first = *world.container_settings.ports.start();
    world.runtime.take_port(first);
    world.runtime.take_port(first + 1);
    let requested = world.message_from(1).await;

    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();

    world.assert_ready(requested.user, 1).await;
    let sandbox = world.row(requested.user).await;
    assert_eq!(sandbox.port, Some(first + 2));
    let endpoint = format!("ws://{NOT_LOCAL}:{}", first + 2);
    assert_eq!(sandbox.endpoint.unwrap().as_str(), endpoint);
}

#[tokio::test]
async fn a_sandbox_is_given_up_if_the_engine_refuses_every_port() {
    let mut world = World::new().await;
    world.container_settings.published_on = NOT_LOCAL;
    world.container_settings.ports = 65_534..=u16::MAX;
    world.runtime.take_port(65_534);
    world.runtime.take_port(u16::MAX);
    let requested = world.message_from(1).await;

    drive(&Arc::new(world.provisioner()), &requested)
        .await
        .unwrap();

    world
        .assert_nothing_is_left_but(requested.user, "no_free_port")
        .await;
}

#[tokio::test]
async fn no_more_sandboxes_start_at_once_than_allowed() {
    let world = World::new().await;
    let provisioner = Arc::new(world.provisioner());
    world.probe.fix(Some(Readiness::NotReady));
    let mut driving = Vec::new();
    for number in 0..3 {
        driving.push(drive(&provisioner, &world.message_from(number).await));
    }

    let count = world.probe.count();
    eventually("two are probed repeatedly", || async {
        world.probe.count() > count + 20
    })
    .await;
    assert_eq!(world.runtime.made(), 2);
    world.probe.fix(Some(Readiness::Ready));

    for driven in driving {
        assert!(driven.await.unwrap());
    }
    assert_eq!(world.runtime.made(), 3);
}

#[tokio::test]
async fn an_external_sandbox_is_ready_at_its_address_without_key_or_container() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let addresses: ExternalAddresses = "ws://agents.example/{sandbox}".parse().unwrap();
    let gateway_token = "shared".into();
    let provisioner = world.provisioner_with(Backend::External {
        addresses,
        gateway_token,
    });

    drive(&Arc::new(provisioner), &requested).await.unwrap();

    let sandbox = world.row(requested.user).await;
    let endpoint = format!("ws://agents.example/{}", sandbox.id);
    assert_eq!(sandbox.endpoint.as_ref().unwrap().as_str(), endpoint);
    assert_eq!((world.runtime.made(), world.keys.made()), (0, 0));
    world
        .assert_announced(&format!("ready {} 1", sandbox.id))
        .await;
}
