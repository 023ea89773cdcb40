//! The real provisioner at a simulated engine: what people notice when containers and the engine fail.

mod runtime;
mod sleeping;
mod storm;

use std::{collections::BTreeSet, time::Duration};

use claw_testkit::eventually;
use e2e::harness::{Options, Sandboxes, World};
use sim_docker::{ContainerStatus, EngineFaults, SimDocker, SimDockerConfig, Starts};

use crate::{
    containers::hears,
    crowd::{Crowd, is_answer, number},
};

/// Longest time until an answer, on a busy machine.
const ANSWER_LIMIT: Duration = Duration::from_mins(1);

/// A message whose answer takes so long that its assistant can be killed meanwhile.
const STORY: &str = "[[SLOW 600]] tell me a story";

#[tokio::test(flavor = "multi_thread")]
async fn everyone_is_answered_once_by_a_container_of_their_own_whatever_the_engine_does() {
    let world = World::start(options()).await.unwrap();
    let engine = world.engine.as_ref().unwrap();
    let people = [0, 1, 2, 3, 4].map(number);
    let [ada, bob, cyd, dan, eve] = people.each_ref().map(String::as_str);

    is_answered(&world, ada, "hi").await;

    engine.set_faults(EngineFaults {
        failing: Some(true),
        ..EngineFaults::default()
    });
    world.meta.write(bob, "hello").unwrap();
    let is_refused = async || engine.stats().requests_refused > 3;
    eventually("the engine was asked while it failed", is_refused).await;
    engine.clear_faults();
    is_heard(&world, bob, "hello").await;

    let phantoms = above(&engine.ports());
    engine.set_faults(EngineFaults {
        phantom_ports: Some(phantoms.clone()),
        ..EngineFaults::default()
    });
    is_answered(&world, cyd, "hi").await;
    assert!(
        engine.stats().ports_refused > 0,
        "no phantom port was tried"
    );
    assert!(engine.ports().iter().all(|port| !phantoms.contains(port)));

    engine.set_faults(EngineFaults {
        lost_answers: Some(3),
        ..EngineFaults::default()
    });
    is_answered(&world, dan, "hi").await;

    engine.go_down().await;
    world.meta.write(eve, "good morning").unwrap();
    // Nobody who has an assistant needs the engine.
    is_answered(&world, ada, "still there").await;
    engine.come_up().await.unwrap();
    is_heard(&world, eve, "good morning").await;

    assert_own_containers(&world, engine, &people).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_dies_during_a_turn_is_replaced_and_gives_one_answer() {
    let world = World::start(options()).await.unwrap();
    let engine = world.engine.as_ref().unwrap();
    let openclaw = world.openclaw.as_ref().unwrap();
    let ada = number(0);
    is_answered(&world, &ada, "hi").await;
    let volume = world.volume_of(&ada).await.unwrap().unwrap();

    world.meta.write(&ada, STORY).unwrap();
    let is_at_work = async || openclaw.busy().contains(&volume);
    eventually("the assistant is at work", is_at_work).await;
    assert!(engine.crash(&volume, 137).await);

    is_heard(&world, &ada, STORY).await;
    is_answered(&world, &ada, "goodbye").await;
    assert_eq!(answers_with(&world, &ada, STORY), 1);
    assert_eq!(engine.starts_of(&volume), 2);
    assert_own_containers(&world, engine, &[ada]).await;
}

/// People write to simulated containers, which take half a second to start.
fn options() -> Options {
    let mut options = Crowd::options();
    options.sandboxes = Sandboxes::SimulatedEngine(SimDockerConfig {
        starts: Starts::Run {
            listen_ms: 300,
            ready_ms: 200,
        },
        ..SimDockerConfig::default()
    });
    options
        .variables
        .push(("RECONCILE_SECONDS", "1".to_owned()));
    options
}

async fn is_answered(world: &World, person: &str, text: &str) {
    world.meta.write(person, text).unwrap();
    is_heard(world, person, text).await;
}

async fn is_heard(world: &World, person: &str, text: &str) {
    hears(world, person, &format!("echo: {text}"), ANSWER_LIMIT).await;
    assert_eq!(answers_with(world, person, text), 1);
}

fn answers_with(world: &World, person: &str, text: &str) -> usize {
    let chat = world.meta.chat(person);
    let texts = chat.received_texts().into_iter();
    texts
        .filter(|said| is_answer(said) && said.contains(text))
        .count()
}

/// The ports above those in use, of which the provisioner takes the lowest next.
fn above(ports: &[u16]) -> BTreeSet<u16> {
    let last = ports.iter().max().copied().unwrap_or_default();
    (last + 1..last + 4).collect()
}

/// Each of these people, and nobody else, has one volume, one running container on it, and one model key.
async fn assert_own_containers(world: &World, engine: &SimDocker, people: &[String]) {
    let openclaw = world.openclaw.as_ref().unwrap();
    let mut wanted = BTreeSet::new();
    for person in people {
        let volume = world.volume_of(person).await.unwrap().unwrap();
        let transcript = openclaw.transcript(&volume);
        assert!(!transcript.is_empty(), "{person} has a transcript");
        wanted.insert(volume);
    }
    let containers = engine.containers();
    let running = containers
        .iter()
        .filter(|container| container.status == ContainerStatus::Running);
    let used: Vec<String> = running.map(|container| container.volume.clone()).collect();
    assert_eq!(used.iter().cloned().collect::<BTreeSet<_>>(), wanted);
    assert_eq!(used.len(), containers.len(), "{containers:#?}");
    assert_eq!(
        engine.volumes().into_iter().collect::<BTreeSet<_>>(),
        wanted
    );
    assert_eq!(engine.stats().shared_volumes, []);
    let keys = world.openrouter.as_ref().unwrap().key_names();
    assert_eq!(keys.len(), people.len(), "{keys:?}");
}
