use chrono::{DateTime, Utc};
use claw_runtime::{Clock, SystemClock};

/// The time in the simulated outside world, which is what the product's clocks are compared with.
pub(crate) fn now() -> DateTime<Utc> {
    SystemClock.now()
}

/// The same in milliseconds since 1970, as `OpenClaw` and our own records write it.
pub(crate) fn now_ms() -> i64 {
    now().timestamp_millis()
}
