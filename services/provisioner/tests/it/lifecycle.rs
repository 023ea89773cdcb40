//! One loop over the steps of a sandbox's life: none leaves anything behind if it fails or its process dies.

use claw_docker::{VolumeName, fake::EngineFault};
use claw_domain::{SandboxStatus, UserId};
use claw_store::{Host, Sandbox};
use provisioner::{Progress, Provisioner, Step};

use crate::world::World;

/// What a sandbox goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Provision,
    Sleep,
    Wake,
    Remove,
}

/// What happens at a step.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    Death,
    Refused,
    AnswerLost,
}

/// Each phase with the fewest steps that it has.
const PHASES: [(Phase, usize); 4] = [
    (Phase::Provision, 5),
    (Phase::Sleep, 2),
    (Phase::Wake, 4),
    (Phase::Remove, 1),
];

#[tokio::test]
async fn no_step_leaves_anything_behind_if_it_fails_or_its_process_dies() {
    let mut world = World::new().await;
    world.settings.cap = 1_000;
    let mut number = 0;
    for (phase, fewest_steps) in PHASES {
        for interruption in [
            Interruption::Death,
            Interruption::Refused,
            Interruption::AnswerLost,
        ] {
            for steps_before in 0.. {
                number += 1;
                let user = begin(&world, number, phase).await;
                let provisioner = world.provisioner();
                let mut last = Progress::Advanced;
                for _ in 0..steps_before {
                    // Taken twice: a repetition must have no further effect.
                    last = world.take_step(&provisioner, user, 2).await;
                }
                if last != Progress::Done {
                    interrupt(&world, &provisioner, user, interruption).await;
                }
                drop(provisioner);

                world.pass().await;

                let case = format!("{phase:?}, {interruption:?} after {steps_before} steps");
                assert_nothing_is_left_over(&world, &world.row(user).await, phase, &case);
                if last == Progress::Done {
                    assert!(steps_before > fewest_steps, "{case}");
                    break;
                }
            }
        }
    }
}

/// A user whose sandbox has the phase before it.
async fn begin(world: &World, number: u32, phase: Phase) -> UserId {
    if phase == Phase::Provision {
        let requested = world.message_from(number).await;
        world.provisioner().request(&requested).await.unwrap();
        return requested.user;
    }
    let ready = world.ready(number).await;
    let sandboxes = world.store.sandboxes();
    if phase == Phase::Remove {
        let here = Host {
            name: "local".to_owned(),
            engine: ready.engine.clone(),
        };
        let begun = sandboxes.order_removal(ready.current_start(), &here, ready.updated_at);
        assert!(begun.await.unwrap());
        return ready.user;
    }
    let asleep = sandboxes.fall_asleep(
        ready.current_start(),
        None,
        ready.updated_at,
        ready.updated_at,
    );
    assert!(asleep.await.unwrap());
    if phase == Phase::Wake {
        assert!(world.drive(&world.provisioner(), ready.user).await);
        let requested = world.message(number, 2).await;
        world.provisioner().request(&requested).await.unwrap();
        world.answer(&requested).await;
    }
    ready.user
}

/// Lets the next step fail, with or without its effect. A process that dies takes none.
async fn interrupt(
    world: &World,
    provisioner: &Provisioner,
    user: UserId,
    interruption: Interruption,
) {
    let sandbox = world.row(user).await;
    let observed = provisioner.observe(&sandbox, 0).await.unwrap();
    let step = provisioner.decide(&sandbox, &observed);
    match interruption {
        Interruption::Death => return,
        Interruption::Refused => {
            world.runtime.set_fault(Some(EngineFault::Failing));
            world.keys.refuse_to_mint(Some(503));
        }
        Interruption::AnswerLost => {
            world.runtime.set_fault(Some(EngineFault::LosesAnswers));
            if step == Step::MintKey {
                world.keys.lose_next_answer();
            }
        }
    }
    drop(provisioner.act(&sandbox, step).await);
    world.runtime.set_fault(None);
    world.keys.refuse_to_mint(None);
}

fn assert_nothing_is_left_over(world: &World, sandbox: &Sandbox, phase: Phase, case: &str) {
    let volume = VolumeName::of(sandbox.id).to_string();
    let count = |names: Vec<String>, part: &str| {
        let ours = names.iter().filter(|name| name.contains(part));
        ours.count()
    };
    let left = (
        sandbox.status,
        count(world.runtime.containers(), &volume),
        count(world.runtime.volumes(), &volume),
        count(world.keys.names(), &sandbox.id.to_string()),
        sandbox.port.is_some(),
    );
    let expected = match phase {
        Phase::Provision | Phase::Wake => (SandboxStatus::Ready, 1, 1, 1, true),
        Phase::Sleep => (SandboxStatus::Asleep, 0, 1, 1, false),
        Phase::Remove => (SandboxStatus::Removed, 0, 0, 0, false),
    };
    assert_eq!(left, expected, "{case}");
}
