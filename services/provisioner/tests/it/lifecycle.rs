//! One loop over the steps of a sandbox's life: none leaves anything behind if it fails or its process dies.

use claw_docker::{VolumeName, fake::EngineFault};
use claw_domain::{SandboxId, SandboxStatus};
use claw_runtime::Clock;
use claw_store::{Host, NewSandbox};
use provisioner::{Progress, Provisioner, Step};
use secrecy::SecretBox;
use tokio_util::sync::CancellationToken;

use crate::world::World;

/// What a sandbox goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Provision,
    Sleep,
    Wake,
    Remove,
    /// A start of a spare one.
    Fill,
    /// The removal of a spare one.
    Shrink,
}

/// What happens at a step.
#[derive(Debug, Clone, Copy)]
enum Interruption {
    Death,
    Refused,
    AnswerLost,
}

/// Each phase with the fewest steps that it has.
const PHASES: [(Phase, usize); 6] = [
    (Phase::Provision, 5),
    (Phase::Sleep, 2),
    (Phase::Wake, 4),
    (Phase::Remove, 1),
    (Phase::Fill, 5),
    (Phase::Shrink, 1),
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
                let sandbox = begin(&mut world, number, phase).await;
                let provisioner = world.provisioner();
                let mut last = Progress::Advanced;
                for _ in 0..steps_before {
                    // Taken twice: a repetition must have no further effect.
                    last = world.take_step_of(&provisioner, sandbox, 2).await;
                }
                if last != Progress::Done {
                    interrupt(&world, &provisioner, sandbox, interruption).await;
                }
                drop(provisioner);

                world.pass().await;

                let case = format!("{phase:?}, {interruption:?} after {steps_before} steps");
                assert_nothing_is_left_over(&world, sandbox, phase, &case).await;
                if last == Progress::Done {
                    assert!(steps_before > fewest_steps, "{case}");
                    break;
                }
            }
        }
    }
}

/// A sandbox that has the phase before it.
async fn begin(world: &mut World, number: u32, phase: Phase) -> SandboxId {
    if matches!(phase, Phase::Fill | Phase::Shrink) {
        return begin_with_spare(world, number, phase).await;
    }
    if phase == Phase::Provision {
        let requested = world.message_from(number).await;
        return world.provisioner().request(&requested).await.unwrap().id;
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
        return ready.id;
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
    ready.id
}

/// A spare sandbox that is to be started or, when it is ready, to be removed. The pool is as large as it is to be.
async fn begin_with_spare(world: &mut World, number: u32, phase: Phase) -> SandboxId {
    let (sandboxes, now) = (world.store.sandboxes(), world.clock.now());
    let id = SandboxId::derived_from(&format!("spare {number}"));
    let new = NewSandbox {
        id,
        host: Host {
            name: "local".to_owned(),
            engine: None,
        },
        container_name: VolumeName::of(id).to_string(),
        model: world.settings.model.clone(),
        gateway_token: "token".into(),
        device_seed: SecretBox::new(Box::new([7; 32])),
    };
    let added = sandboxes.add_spare(&new, 1_000, 0, &world.keyring, now);
    let spare = added.await.unwrap().unwrap();
    if phase == Phase::Fill {
        world.settings.pool_size += 1;
        return id;
    }
    let provisioner = world.provisioner();
    assert!(
        provisioner
            .drive(id, &CancellationToken::new())
            .await
            .unwrap()
    );
    assert!(sandboxes.discard(spare.current_start(), now).await.unwrap());
    id
}

/// Lets the next step fail, with or without its effect. A process that dies takes none.
async fn interrupt(
    world: &World,
    provisioner: &Provisioner,
    sandbox: SandboxId,
    interruption: Interruption,
) {
    let row = world.store.sandboxes().by_id(sandbox).await.unwrap();
    // Of a spare one that was removed, nothing is left to be done.
    let Some(sandbox) = row else { return };
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

async fn assert_nothing_is_left_over(world: &World, id: SandboxId, phase: Phase, case: &str) {
    let row = world.store.sandboxes().by_id(id).await.unwrap();
    let volume = VolumeName::of(id).to_string();
    let count = |names: Vec<String>, part: &str| {
        let ours = names.iter().filter(|name| name.contains(part));
        ours.count()
    };
    let left = (
        row.as_ref().map(|row| row.status),
        count(world.runtime.containers(), &volume),
        count(world.runtime.volumes(), &volume),
        count(world.keys.names(), &id.to_string()),
        row.is_some_and(|row| row.port.is_some()),
    );
    let expected = match phase {
        Phase::Provision | Phase::Wake | Phase::Fill => (Some(SandboxStatus::Ready), 1, 1, 1, true),
        Phase::Sleep => (Some(SandboxStatus::Asleep), 0, 1, 1, false),
        Phase::Remove => (Some(SandboxStatus::Removed), 0, 0, 0, false),
        Phase::Shrink => (None, 0, 0, 0, false),
    };
    assert_eq!(left, expected, "{case}");
}
