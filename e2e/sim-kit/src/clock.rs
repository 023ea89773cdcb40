//! The time in the simulated outside world, with which the clocks of our services are compared.

use chrono::{DateTime, Utc};
use claw_runtime::{Clock, SystemClock};

/// The current time of this machine's clock.
pub fn now() -> DateTime<Utc> {
    SystemClock.now()
}

/// The time in milliseconds since 1970, as OpenClaw and our own records write it.
pub fn now_ms() -> i64 {
    now().timestamp_millis()
}
