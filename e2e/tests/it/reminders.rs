//! What a real assistant says unasked: at a heartbeat, and when a reminder is due that it scheduled
//! through its own tool.

use std::time::Duration;

use e2e::harness::{Service, World};
use sim_openrouter::{Action, CompletionRequest};
use tokio::time::{sleep, timeout};

use crate::containers::hears;

/// How often assistants look around.
pub(crate) const HEARTBEAT_EVERY: &str = "15s";

/// How long anything may take. `OpenClaw` looks around again only after a minute when a message came
/// while it did, and then not while anything else runs.
const LIMIT: Duration = Duration::from_mins(2);

/// The transcript has what the model said well within this.
const WRITTEN: Duration = Duration::from_secs(2);

/// Between two looks at what the model was asked.
const PAUSE: Duration = Duration::from_millis(100);

const PARCEL: &str = "Your parcel is here.";
const MUM: &str = "Time to call mum.";
const PLANTS: &str = "Time to water the plants.";
const PLANTS_PROMISED: &str = "I will remind you in 20 seconds to water the plants.";
const BYE: &str = "Bye.";

/// An alert at a heartbeat, a reminder, and a reminder that comes while no gateway runs: each is on
/// the phone once, in order with the answers. A heartbeat with nothing to say sends nothing.
pub(crate) async fn proactive_messages_arrive_once(world: &mut World, number: &str) {
    let heard_before = texts(world, number).len();

    tell(world, number, &format!("[[HEARTBEAT {PARCEL}]]"), PARCEL).await;
    let alert = asked(world, |request| says(request, PARCEL)).await;
    tell(world, number, "Remind me in 3 seconds to call mum", MUM).await;

    let wish = "Remind me in 20 seconds to water the plants";
    world.meta.write(number, wish).unwrap();
    asked(world, |request| says(request, PLANTS_PROMISED)).await;
    world.kill(Service::Gateway).await.unwrap();
    asked(world, |request| says(request, PLANTS)).await;
    sleep(WRITTEN).await;
    world.restart(Service::Gateway).await.unwrap();
    hears(world, number, PLANTS, LIMIT).await;

    asked(world, |request| {
        request.key == alert.key && request.at_ms > alert.at_ms && says(request, "NO_REPLY")
    })
    .await;
    tell(world, number, &format!("[[SAY {BYE}]]"), BYE).await;
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
async fn tell(world: &World, number: &str, words: &str, answer: &str) {
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

/// Waits until the model was asked something like this.
pub(crate) async fn asked(
    world: &World,
    is_meant: impl Fn(&CompletionRequest) -> bool,
) -> CompletionRequest {
    let found = async {
        loop {
            if let Some(request) = requests(world).into_iter().find(&is_meant) {
                return request;
            }
            sleep(PAUSE).await;
        }
    };
    timeout(LIMIT, found)
        .await
        .expect("the model was not asked")
}

/// What the model was asked so far.
fn requests(world: &World) -> Vec<CompletionRequest> {
    world.openrouter.as_ref().unwrap().requests()
}

fn says(request: &CompletionRequest, words: &str) -> bool {
    request.answered == Action::Say(words.to_owned())
}
