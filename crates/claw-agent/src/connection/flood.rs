use std::time::Duration;

use strum::IntoStaticStr;
use tokio::time::Instant;

/// Frames and bytes that one connection may send per second, and what it may send at once after a pause.
///
/// A run sends its whole text so far with every piece, twice, up to seven times a second: an answer of 30,000 characters
/// that takes a minute is some 0.4 MB/s. Some versions send one of the two for every token.
const FRAMES_PER_SECOND: u32 = 500;
const FRAMES_AT_ONCE: u32 = 5_000;
const BYTES_PER_SECOND: u32 = 4 * 1024 * 1024;
const BYTES_AT_ONCE: u32 = 64 * 1024 * 1024;

/// Why a sandbox is cut off: no honest OpenClaw sends as much.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr, thiserror::Error)]
#[strum(serialize_all = "snake_case")]
pub enum Flood {
    /// More frames than a connection may send.
    #[error("the sandbox sends too many frames")]
    Frames,
    /// More bytes than a connection may send.
    #[error("the sandbox sends too many bytes")]
    Bytes,
    /// A message over 4 MiB.
    #[error("the sandbox sends a message that is too long")]
    LongMessage,
    /// A long message that does not arrive completely within ten seconds.
    #[error("the sandbox sends a long message too slowly")]
    SlowMessage,
    /// A page of more rows than we asked for.
    #[error("the sandbox sends more rows than we asked for")]
    Rows,
}

impl Flood {
    /// The name in metrics and events.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A token bucket: a number of units that may be used at once, and come back at a steady rate.
#[derive(Debug, Clone)]
pub struct Allowance {
    most: f64,
    per_second: f64,
    left: f64,
    as_of: Instant,
}

impl Allowance {
    /// `most` units, of which `per_second` come back each second.
    pub fn new(most: u32, per_second: u32, now: Instant) -> Self {
        Self {
            most: most.into(),
            per_second: per_second.into(),
            left: most.into(),
            as_of: now,
        }
    }

    /// Takes `units`. If fewer are left, none is taken, and the error is the time until there are as many.
    pub fn take(&mut self, units: u32, now: Instant) -> Result<(), Duration> {
        let elapsed = now.saturating_duration_since(self.as_of);
        self.left = (self.left + elapsed.as_secs_f64() * self.per_second).min(self.most);
        self.as_of = now;
        let missing = f64::from(units) - self.left;
        if missing > 0.0 {
            return Err(Duration::from_secs_f64(missing / self.per_second));
        }
        self.left -= f64::from(units);
        Ok(())
    }
}

/// What a connection has sent, against what it may send.
#[derive(Debug)]
pub(super) struct Traffic {
    frames: Allowance,
    bytes: Allowance,
}

impl Traffic {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            frames: Allowance::new(FRAMES_AT_ONCE, FRAMES_PER_SECOND, now),
            bytes: Allowance::new(BYTES_AT_ONCE, BYTES_PER_SECOND, now),
        }
    }

    /// Counts a frame with a payload of this length.
    pub(super) fn count(&mut self, payload_bytes: u64, now: Instant) -> Result<(), Flood> {
        let bytes = u32::try_from(payload_bytes).unwrap_or(u32::MAX);
        self.frames.take(1, now).map_err(|_| Flood::Frames)?;
        self.bytes.take(bytes, now).map_err(|_| Flood::Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units_come_back_at_a_steady_rate_up_to_the_most() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut allowance = Allowance::new(10, 2, start);

        assert_eq!(allowance.take(10, start), Ok(()));
        assert_eq!(allowance.take(4, start), Err(Duration::from_secs(2)));
        assert_eq!(allowance.take(4, after(2)), Ok(()));
        assert_eq!(
            allowance.take(11, after(1_000)),
            Err(Duration::from_millis(500))
        );
    }

    /// Both events of each piece of an answer carry the whole text so far.
    #[test]
    fn an_answer_of_thirty_thousand_characters_is_no_flood_even_if_every_token_is_sent() {
        const TOKENS: u64 = 7_500;
        let start = Instant::now();
        let mut traffic = Traffic::new(start);

        for token in 0..TOKENS {
            let now = start + Duration::from_millis(token * 5);
            assert_eq!(traffic.count(token * 4, now), Ok(()), "token {token}");
        }
    }

    #[test]
    fn a_final_every_millisecond_is_a_flood() {
        let start = Instant::now();
        let mut traffic = Traffic::new(start);

        let flood = (0..20_000).find_map(|number| {
            let now = start + Duration::from_millis(number);
            traffic.count(200, now).err()
        });

        assert_eq!(flood, Some(Flood::Frames));
    }

    #[test]
    fn a_thousand_messages_of_megabytes_are_a_flood() {
        let start = Instant::now();
        let mut traffic = Traffic::new(start);

        let flood = (0..1_000).find_map(|number| {
            let now = start + Duration::from_millis(number * 10);
            traffic.count(4 * 1024 * 1024, now).err()
        });

        assert_eq!(flood, Some(Flood::Bytes));
    }
}
