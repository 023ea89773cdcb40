use std::{future::ready, time::Duration};

use claw_bus::Bus;
use claw_events::{
    CallInterrupted, Event, SandboxAsleep, SandboxFailed, SandboxOrder, SandboxOrdered,
    SandboxQueued, SandboxReady,
};
use claw_runtime::Lifecycle;
use futures_util::StreamExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::actors::UserActors;

/// Pause before a watch that ended is begun again.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// Tells actors what has become of their users' sandboxes.
pub(crate) fn watch_sandboxes(lifecycle: &mut Lifecycle, bus: &Bus, actors: &UserActors) {
    watch::<SandboxReady>(lifecycle, "sandbox-ready", bus, actors, |actors, ready| {
        actors.sandbox_changed(ready.user);
    });
    watch::<SandboxFailed>(
        lifecycle,
        "sandbox-failed",
        bus,
        actors,
        |actors, failed| {
            actors.sandbox_changed(failed.user);
        },
    );
    watch::<SandboxQueued>(
        lifecycle,
        "sandbox-queued",
        bus,
        actors,
        |actors, queued| {
            actors.sandbox_changed(queued.user);
        },
    );
    watch::<SandboxAsleep>(
        lifecycle,
        "sandbox-asleep",
        bus,
        actors,
        |actors, asleep| {
            actors.sandbox_sleeps(asleep.user);
        },
    );
    watch::<SandboxOrdered>(
        lifecycle,
        "sandbox-ordered",
        bus,
        actors,
        |actors, ordered| {
            // The provisioner carries out the other orders.
            if ordered.order == SandboxOrder::Sleep {
                actors.order_sleep(ordered.user);
            }
        },
    );
}

/// Calls `tell` with each event `E` about a sandbox. Most events only prompt an actor to read the database, so a lost one
/// delays the user's answer, or the sandbox's sleep, and does no other harm. An order to sleep is in no row, and is lost
/// with its event.
fn watch<E: Event>(
    lifecycle: &mut Lifecycle,
    name: &'static str,
    bus: &Bus,
    actors: &UserActors,
    tell: fn(&UserActors, &E),
) {
    let (bus, actors) = (bus.clone(), actors.clone());
    lifecycle.spawn(name, move |stop: CancellationToken| async move {
        stop.run_until_cancelled(watch_for_ever(bus, actors, tell))
            .await;
    });
}

/// Tells actors that a caller spoke over an answer. If the signal is lost, the assistant finishes a run
/// that nobody hears.
pub(crate) fn watch_interruptions(lifecycle: &mut Lifecycle, bus: &Bus, actors: &UserActors) {
    let (bus, actors) = (bus.clone(), actors.clone());
    lifecycle.spawn("interrupts", move |stop: CancellationToken| async move {
        let hear = async {
            loop {
                match bus.hear_signals::<CallInterrupted>(None).await {
                    Ok(interrupts) => {
                        interrupts
                            .for_each(|interrupted| {
                                actors.interrupt(&interrupted);
                                ready(())
                            })
                            .await;
                    }
                    Err(error) => warn!(
                        error = &error as &dyn std::error::Error,
                        "could not subscribe to interruptions by callers; trying again"
                    ),
                }
                sleep(WATCH_PAUSE).await;
            }
        };
        stop.run_until_cancelled(hear).await;
    });
}

async fn watch_for_ever<E: Event>(bus: Bus, actors: UserActors, tell: fn(&UserActors, &E)) {
    loop {
        match bus.watch::<E>().await {
            Ok(news) => {
                // The database shows what happened while there was no watch.
                actors.wake_all();
                news.for_each(|event| {
                    tell(&actors, &event);
                    ready(())
                })
                .await;
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "could not watch events about sandboxes; trying again"
            ),
        }
        sleep(WATCH_PAUSE).await;
    }
}
