mod control;
mod sends;
mod setup;
mod webhooks;

use std::{path::Path, time::Duration};

use serde_json::{Value, json};

use super::*;
use setup::Setup;

const ALICE: &str = "4915112345678";

/// Longest time a test waits for a condition.
const LIMIT: Duration = Duration::from_secs(20);

/// A recorded payload; `None` if this machine has no recordings.
fn fixture_bytes(name: &str) -> Option<Vec<u8>> {
    let root = option_env!("CLAWKAKA_FIXTURES")?;
    std::fs::read(Path::new(root).join(name)).ok()
}

fn fixture(name: &str) -> Option<Value> {
    serde_json::from_slice(&fixture_bytes(name)?).ok()
}

/// Asserts that our payload has exactly the keys of the recorded one.
fn assert_same_shape(ours: &Value, name: &str) {
    let Some(theirs) = fixture(name) else { return };
    assert_eq!(shape(ours), shape(&theirs), "{name}");
}

fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}
