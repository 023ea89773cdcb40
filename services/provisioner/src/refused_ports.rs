use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, Utc};
use parking_lot::Mutex;

/// How long no sandbox is given a port that the engine refused.
const REFUSED_FOR: Duration = Duration::from_mins(10);

/// The ports that the engine refused although no process seemed to listen on them.
#[derive(Debug, Default)]
pub struct RefusedPorts {
    ports: Mutex<BTreeMap<u16, Refusal>>,
}

#[derive(Debug)]
struct Refusal {
    until: DateTime<Utc>,
    is_told: bool,
}

impl RefusedPorts {
    /// Records that the engine refused a port now.
    pub fn add(&self, port: u16, now: DateTime<Utc>) {
        let mut ports = self.ports.lock();
        let refusal = ports.entry(port).or_insert(Refusal {
            until: now,
            is_told: false,
        });
        refusal.until = now + REFUSED_FOR;
    }

    /// The ports that sandboxes must do without at this time.
    pub fn at(&self, now: DateTime<Utc>) -> Vec<u16> {
        let ports = self.ports.lock();
        let refused = ports.iter().filter(|(_, refusal)| refusal.until > now);
        refused.map(|(port, _)| *port).collect()
    }

    /// Returns the refused ports that were not reported to the operator yet, and marks them as reported.
    pub fn take_untold(&self) -> Vec<u16> {
        let mut ports = self.ports.lock();
        let untold = ports.iter_mut().filter(|(_, refusal)| !refusal.is_told);
        untold
            .map(|(port, refusal)| {
                refusal.is_told = true;
                *port
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_port_is_avoided_for_ten_minutes_and_told_once() {
        let refused = RefusedPorts::default();
        let now = DateTime::UNIX_EPOCH;

        refused.add(30_000, now);
        refused.add(30_000, now);

        assert_eq!(refused.take_untold(), [30_000]);
        assert!(refused.take_untold().is_empty());
        assert_eq!(refused.at(now + Duration::from_secs(599)), [30_000]);
        assert!(refused.at(now + Duration::from_mins(10)).is_empty());
    }
}
