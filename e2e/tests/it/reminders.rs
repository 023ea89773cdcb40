//! Proactive messages of a real assistant: at a heartbeat, and when a reminder is due that it scheduled
//! with its own tool.

use std::time::Duration;

use e2e::harness::{Service, World};
use sim_openrouter::{Action, CompletionRequest};
use tokio::time::{sleep, timeout};

use crate::containers::hears;

/// The pause between two heartbeats, as `SANDBOX_HEARTBEAT_EVERY` states it.
pub(crate) const HEARTBEAT_EVERY: &str = "15s";

/// Longest time for any step. When a message arrives during a heartbeat, `OpenClaw` repeats the heartbeat only
/// after a minute, and not during another run.
const LIMIT: Duration = Duration::from_mins(2);

/// More than enough time for `OpenClaw` to write the model's answer to the transcript.
const TRANSCRIPT_PAUSE: Duration = Duration::from_secs(2);

/// Pause between two checks of the requests to the model.
const POLL_PAUSE: Duration = Duration::from_millis(100);

const PARCEL: &str = "Your parcel is here.";
const MUM: &str = "Time to call mum.";
const PLANTS: &str = "Time to water the plants.";
const PLANTS_PROMISED: &str = "I will remind you in 20 seconds to water the plants.";
const BYE: &str = "Bye.";

/// An alert at a heartbeat, a reminder, and a reminder due while no gateway runs: the phone receives each
/// once, in order with the answers. A heartbeat with nothing to say sends nothing.
pub(crate) async fn proactive_messages_arrive_once(world: &mut World, number: &str) {
    let heard_before = texts(world, number).len();

    ask(world, number, &format!("[[HEARTBEAT {PARCEL}]]"), PARCEL).await;
    let alert = asked(world, |request| says(request, PARCEL)).await;
    ask(world, number, "Remind me in 3 seconds to call mum", MUM).await;

    let wish = "Remind me in 20 seconds to water the plants";
    world.meta.write(number, wish).unwrap();
    asked(world, |request| says(request, PLANTS_PROMISED)).await;
    world.kill(Service::Gateway).await.unwrap();
    asked(world, |request| says(request, PLANTS)).await;
    sleep(TRANSCRIPT_PAUSE).await;
    world.restart(Service::Gateway).await.unwrap();
    hears(world, number, PLANTS, LIMIT).await;

    asked(world, |request| {
        request.key == alert.key && request.at_ms > alert.at_ms && says(request, "NO_REPLY")
    })
    .await;
    ask(world, number, &format!("[[SAY {BYE}]]"), BYE).await;
    assert_eq!(
        texts(world, number)[heard_before..],
        [
            "I will tell you when I next look around.",
            PARCEL,
            "I will remind you in 3 seconds to call mum.",
            MUM,
            PLANTS_PROMISED,
            PLANTS,
            BYE,
        ]
    );
}

/// Writes `words`, and waits for a message that contains `answer`.
async fn ask(world: &World, number: &str, words: &str, answer: &str) {
    world.meta.write(number, words).unwrap();
    hears(world, number, answer, LIMIT).await;
}

fn texts(world: &World, number: &str) -> Vec<String> {
    let chat = world.meta.chat(number);
    chat.received_texts()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

/// Waits until the model got a request for which `is_meant` holds.
pub(crate) async fn asked(
    world: &World,
    is_meant: impl Fn(&CompletionRequest) -> bool,
) -> CompletionRequest {
    let found = async {
        loop {
            if let Some(request) = requests(world).into_iter().find(&is_meant) {
                return request;
            }
            sleep(POLL_PAUSE).await;
        }
    };
    timeout(LIMIT, found)
        .await
        .expect("the model gets the request in time")
}

/// The requests to the model so far.
fn requests(world: &World) -> Vec<CompletionRequest> {
    world.openrouter.as_ref().unwrap().requests()
}

fn says(request: &CompletionRequest, words: &str) -> bool {
    request.answered == Action::Say(words.to_owned())
}
