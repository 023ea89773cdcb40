use std::{future::ready, time::Duration};

use claw_bus::Bus;
use claw_events::{CallInterrupted, Event};
use claw_runtime::Lifecycle;
use futures_util::StreamExt;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::people::People;

/// Pause before a lost watch is begun again.
const WATCH_PAUSE: Duration = Duration::from_secs(1);

/// Passes news about sandboxes on to those they concern. News is only a reason to look at the database
/// again, so what gets lost costs time and nothing else.
pub(crate) fn watch<E: Event>(
    lifecycle: &mut Lifecycle,
    name: &'static str,
    bus: &Bus,
    people: &People,
) {
    let (bus, people) = (bus.clone(), people.clone());
    lifecycle.spawn(name, move |stop: CancellationToken| async move {
        stop.run_until_cancelled(watch_for_ever::<E>(bus, people))
            .await;
    });
}

/// Passes on that callers speak over an answer. What gets lost costs the rest of a run nobody hears.
pub(crate) fn hear_interrupts(lifecycle: &mut Lifecycle, bus: &Bus, people: &People) {
    let (bus, people) = (bus.clone(), people.clone());
    lifecycle.spawn("interrupts", move |stop: CancellationToken| async move {
        let hear = async {
            loop {
                match bus.hear_signals::<CallInterrupted>(None).await {
                    Ok(interrupts) => {
                        interrupts
                            .for_each(|interrupted| {
                                people.interrupt(&interrupted);
                                ready(())
                            })
                            .await;
                    }
                    Err(error) => warn!(
                        error = &error as &dyn std::error::Error,
                        "interrupts of callers cannot be heard"
                    ),
                }
                sleep(WATCH_PAUSE).await;
            }
        };
        stop.run_until_cancelled(hear).await;
    });
}

async fn watch_for_ever<E: Event>(bus: Bus, people: People) {
    loop {
        match bus.watch::<E>().await {
            Ok(news) => {
                // What happened while nobody watched is in the database.
                people.look_around();
                news.for_each(|event| {
                    people.nudge(event.user());
                    ready(())
                })
                .await;
            }
            Err(error) => warn!(
                error = &error as &dyn std::error::Error,
                "news about sandboxes cannot be watched"
            ),
        }
        sleep(WATCH_PAUSE).await;
    }
}
