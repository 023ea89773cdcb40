use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use chrono::TimeDelta;
use claw_docker::{ContainerName, ExternalAddresses, fake::EngineFault};
use claw_domain::FailureReason;
use claw_testkit::eventually;
use provisioner::{Backend, Progress, Readiness, Step};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::world::{World, drive, reconciler_of};

/// An address of no machine, like the host's address in a container: binding it fails.
const NOT_LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));

/// More steps than any start needs.
const ENOUGH_STEPS: usize = 20;

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
async fn every_step_may_be_taken_twice() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let provisioner = world.provisioner();
    provisioner.request(&requested).await.unwrap();
    provisioner.request(&requested).await.unwrap();

    let mut steps = 0;
    while world.take_step(&provisioner, requested.user, 2).await != Progress::Done {
        steps += 1;
        assert!(steps < ENOUGH_STEPS, "the start never ends");
    }
    for _ in 0..2 {
        world.drive(&provisioner, requested.user).await;
    }

    world.assert_ready(requested.user, 1).await;
    assert_eq!((world.runtime.made(), world.keys.made()), (1, 1));
}

#[tokio::test]
async fn a_new_process_goes_on_after_a_kill_at_any_step() {
    let world = World::new().await;
    let mut number = 0;
    loop {
        let requested = world.message_from(number).await;
        let killed = world.provisioner();
        killed.request(&requested).await.unwrap();
        let mut last = Progress::Advanced;
        for _ in 0..number {
            last = world.take_step(&killed, requested.user, 1).await;
        }
        drop(killed);

        assert!(world.drive(&world.provisioner(), requested.user).await);

        assert_eq!(
            world.row(requested.user).await.status.as_str(),
            "ready",
            "after {number} steps"
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
    assert!(number > 5, "only {number} steps were seen");
}

#[tokio::test]
async fn a_fault_after_any_step_leaves_nothing_behind() {
    for steps_before in 0.. {
        let world = World::new().await;
        let requested = world.message_from(1).await;
        let provisioner = world.provisioner();
        provisioner.request(&requested).await.unwrap();
        let mut last = Progress::Advanced;
        for _ in 0..steps_before {
            last = world.take_step(&provisioner, requested.user, 1).await;
        }
        if last == Progress::Done {
            assert!(steps_before > 5, "only {steps_before} steps were seen");
            break;
        }
        if world.row(requested.user).await.status.as_str() == "ready" {
            continue;
        }
        world.runtime.set_fault(Some(EngineFault::NoImage));
        world.probe.fix(Some(Readiness::Rejected));
        world.keys.refuse_to_mint(Some(401));

        world.drive(&provisioner, requested.user).await;

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
        world.take_step(&provisioner, requested.user, 1).await;
    }
    let sandbox = world.row(requested.user).await;

    for _ in 0..2 {
        provisioner
            .act(
                &sandbox.clone().into(),
                Step::GiveUp(FailureReason::StartTimeout),
            )
            .await
            .unwrap();
    }
    world.drive(&provisioner, requested.user).await;

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
    eventually("the request is stored", || async {
        let row = world.store.sandboxes().of_user(requested.user).await;
        row.unwrap().is_some()
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
async fn a_port_that_the_engine_holds_for_nobody_is_skipped_by_all_and_told_once() {
    let world = World::new().await;
    let first = *world.container_settings.ports.start();
    world.runtime.take_port(first);
    let provisioner = Arc::new(world.provisioner());
    let mut ports = Vec::new();

    for number in 0..3 {
        let requested = world.message_from(number).await;
        drive(&provisioner, &requested).await.unwrap();
        ports.push(world.row(requested.user).await.port.unwrap());
        world.clock.advance(TimeDelta::minutes(2));
    }

    assert_eq!(ports, [first + 1, first + 2, first + 3]);
    assert_eq!(
        world.runtime.made(),
        4,
        "only the first start tried the port"
    );
    assert_eq!(world.told().await, ["port_refused"]);
}

#[tokio::test]
async fn a_start_outlasts_an_engine_that_hangs() {
    let world = World::new().await;
    let requested = world.message_from(1).await;
    let provisioner = Arc::new(world.provisioner());
    let sandbox = provisioner.request(&requested).await.unwrap();
    world.runtime.set_fault(Some(EngineFault::Hangs));

    let driving = drive(&provisioner, &requested);
    tokio::task::yield_now().await;
    assert!(!driving.is_finished());
    world.runtime.set_fault(None);

    assert!(driving.await.unwrap());
    assert_eq!(sandbox.user, requested.user);
    world.assert_ready(requested.user, 1).await;
}

#[tokio::test]
async fn a_restart_goes_before_newcomers_and_who_is_waited_for_before_both() {
    let mut world = World::new().await;
    world.settings.starts_at_once = 1;
    let (dead, asked) = (world.ready(1).await, world.ready(2).await);
    let provisioner = Arc::new(world.provisioner());
    world.probe.fix(Some(Readiness::NotReady));
    let mut driving = vec![drive(&provisioner, &world.message_from(3).await)];
    eventually("a newcomer holds the permit", async || {
        world.runtime.containers().len() == 3
    })
    .await;

    driving.push(drive(&provisioner, &world.message_from(4).await));
    world.runtime.kill(&ContainerName::of(dead.id, 1));
    world.runtime.kill(&ContainerName::of(asked.id, 1));
    let mut reconciler = reconciler_of(Arc::clone(&provisioner));
    reconciler.pass(&CancellationToken::new()).await.unwrap();
    eventually("three starts wait", async || {
        provisioner.waiting_starts() == 3
    })
    .await;
    world.message(2, 2).await;
    reconciler.pass(&CancellationToken::new()).await.unwrap();
    world.probe.fix(Some(Readiness::Ready));
    for driven in driving {
        assert!(driven.await.unwrap());
    }
    reconciler.settle().await;

    let newcomer = world.row(world.message_from(4).await.user).await;
    let starts = world.runtime.started().split_off(3);
    assert_eq!(
        starts,
        [(asked.id, 2), (dead.id, 2), (newcomer.id, 1)]
            .map(|(sandbox, start)| ContainerName::of(sandbox, start).to_string())
    );
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
async fn nobody_waits_long_for_a_sandbox_that_never_becomes_ready() {
    let mut world = World::new().await;
    world.settings.starts_at_once = 1;
    let provisioner = Arc::new(world.provisioner());
    world.probe.fix(Some(Readiness::NotReady));
    let mut driving = vec![drive(&provisioner, &world.message_from(1).await)];
    eventually("the first is probed", || async { world.probe.count() > 0 }).await;
    driving.push(drive(&provisioner, &world.message_from(2).await));
    eventually("the second waits", async || {
        provisioner.waiting_starts() == 1
    })
    .await;

    // Half of the start limit.
    world.clock.advance(TimeDelta::seconds(90));

    eventually("the second starts", async || world.runtime.made() == 2).await;
    assert!(driving.iter().all(|driving| !driving.is_finished()));
    world.probe.fix(Some(Readiness::Ready));
    for driven in driving {
        assert!(driven.await.unwrap());
    }
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
