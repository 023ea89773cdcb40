mod application;
mod control;
mod delivery;
mod documents;
mod gather;
mod relay;
mod relay_faults;
mod server;
mod status_callbacks;

use std::{path::Path, time::Duration};

use super::*;
use server::{Reply, Server};

const ALICE: &str = "+14155550101";

/// Longest time a test waits for a condition.
const LIMIT: Duration = Duration::from_secs(20);

/// Speech so slow that a caller who interrupts always cuts it off.
const SLOW: Pace = Pace {
    characters_per_second: 1.0,
    time_factor: 1.0,
};

/// A number that is answered by `server`.
fn number_at(server: &Server) -> SimTwilioConfig {
    SimTwilioConfig {
        voice_url: server.url("/voice"),
        ..SimTwilioConfig::default()
    }
}

/// A Twilio whose number is answered by `server`.
async fn sim_at(server: &Server) -> SimTwilio {
    SimTwilio::start(number_at(server)).await.unwrap()
}

/// The field names of a recorded form; `None` if this machine has no recordings.
fn names_of_fixture(name: &str) -> Option<Vec<String>> {
    let root = option_env!("CLAWKAKA_FIXTURES")?;
    let form = std::fs::read(Path::new(root).join("twilio").join(name)).unwrap();
    let mut names: Vec<String> = form_urlencoded::parse(&form)
        .map(|(name, _)| name.into_owned())
        .collect();
    names.sort();
    Some(names)
}

/// Asserts that the request has exactly the fields of the recorded form.
fn assert_same_names(request: &RequestView, fixture: &str) {
    let Some(theirs) = names_of_fixture(fixture) else {
        return;
    };
    let ours: Vec<String> = request.fields.keys().cloned().collect();
    assert_eq!(ours, theirs, "{fixture}");
}
