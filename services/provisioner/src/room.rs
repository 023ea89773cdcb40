//! Decides how many sandboxes may be awake at the same time. Pure.

use std::{collections::HashMap, time::Duration};

use chrono::{DateTime, Utc};
use claw_domain::SandboxId;

/// The containers that a Linux bridge takes.
const BRIDGE_PORTS: u32 = 1_023;

/// The places that are assumed until the engine has reported its host's memory.
const PLACES_UNTOLD: u32 = 16;

/// How long a sandbox that was asked to sleep is not asked again.
const ASKED_FOR: Duration = Duration::from_mins(1);

/// What a host has for sandboxes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capacity {
    /// The host's memory, in bytes; `None` while it is unknown.
    pub(crate) memory: Option<u64>,
    /// The memory that is kept for everything else, in bytes.
    pub(crate) reserve: u64,
    /// The memory that one sandbox uses, in bytes.
    pub(crate) per_sandbox: u64,
    /// The ports on which sandboxes may be published.
    pub(crate) ports: u32,
}

/// What limits the number of sandboxes that are awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The memory of the host.
    Memory,
    /// The range of ports.
    Ports,
    /// The bridge network.
    Bridge,
    /// The operator's setting.
    Setting,
}

/// How many sandboxes may be awake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Room {
    limits: [(Limit, u32); 4],
}

impl Limit {
    /// The name in the log and in the metric.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Ports => "ports",
            Self::Bridge => "bridge",
            Self::Setting => "setting",
        }
    }
}

impl Room {
    /// The room of a host under the operator's limit `cap`. There is always room for one sandbox, unless `cap` is 0.
    pub(crate) fn of(capacity: &Capacity, cap: u32) -> Self {
        let by_memory = capacity.memory.map_or(u64::from(PLACES_UNTOLD), |memory| {
            memory.saturating_sub(capacity.reserve) / capacity.per_sandbox.max(1)
        });
        let by_memory = u32::try_from(by_memory).unwrap_or(u32::MAX).max(1);
        Self {
            limits: [
                (Limit::Setting, cap),
                (Limit::Memory, by_memory),
                (Limit::Ports, capacity.ports),
                (Limit::Bridge, BRIDGE_PORTS),
            ],
        }
    }

    /// The number of sandboxes that may be awake.
    pub(crate) fn places(&self) -> u32 {
        self.binding().1
    }

    /// The lowest limit.
    pub(crate) fn binding(&self) -> (Limit, u32) {
        let [first, others @ ..] = self.limits;
        let lower = |lowest: (Limit, u32), next: (Limit, u32)| {
            if next.1 < lowest.1 { next } else { lowest }
        };
        others.into_iter().fold(first, lower)
    }

    /// Every limit with its number of sandboxes.
    pub(crate) const fn limits(&self) -> [(Limit, u32); 4] {
        self.limits
    }
}

/// The sandboxes that were asked to sleep, because places are short.
#[derive(Debug, Default)]
pub(crate) struct AskedToSleep {
    at: HashMap<SandboxId, DateTime<Utc>>,
}

impl AskedToSleep {
    /// Those that were asked within the last minute.
    pub(crate) fn recently(&mut self, now: DateTime<Utc>) -> Vec<SandboxId> {
        self.at.retain(|_, at| *at + ASKED_FOR > now);
        self.at.keys().copied().collect()
    }

    /// Records that this one is asked now.
    pub(crate) fn record(&mut self, sandbox: SandboxId, now: DateTime<Utc>) {
        self.at.insert(sandbox, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GB: u64 = 1 << 30;

    #[test]
    fn the_lowest_limit_decides_how_many_sandboxes_may_be_awake() {
        use Limit::{Bridge, Memory, Ports, Setting};
        const NONE: u32 = u32::MAX;
        let cases = [
            // memory, ports, setting: places, and what limits them
            (Some(24 * GB), 5_001, NONE, 17, Memory),
            (Some(64 * GB), 5_001, NONE, 51, Memory),
            (Some(4 * GB), 5_001, NONE, 1, Memory),
            (Some(0), 5_001, NONE, 1, Memory),
            (None, 5_001, NONE, 16, Memory),
            (None, 5_001, 3, 3, Setting),
            (Some(24 * GB), 5_001, 16, 16, Setting),
            (Some(24 * GB), 5_001, 17, 17, Setting),
            (Some(24 * GB), 5_001, 100, 17, Memory),
            (Some(24 * GB), 5_001, 0, 0, Setting),
            (Some(24 * GB), 10, NONE, 10, Ports),
            (Some(4_096 * GB), 500, NONE, 500, Ports),
            (Some(4_096 * GB), 5_001, NONE, 1_023, Bridge),
            (Some(u64::MAX), NONE, NONE, 1_023, Bridge),
        ];
        for (memory, ports, cap, places, limit) in cases {
            let capacity = Capacity {
                memory,
                reserve: 4 * GB,
                per_sandbox: 1_200 << 20,
                ports,
            };
            let room = Room::of(&capacity, cap);

            assert_eq!(
                room.binding(),
                (limit, places),
                "{capacity:?}, at most {cap}"
            );
        }
    }

    #[test]
    fn a_sandbox_is_asked_to_sleep_at_most_once_a_minute() {
        let mut asked = AskedToSleep::default();
        let sandbox = SandboxId::derived_from("s");
        let at = |seconds| DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(seconds);

        asked.record(sandbox, at(0));

        assert_eq!(asked.recently(at(59)), [sandbox]);
        assert_eq!(asked.recently(at(60)), []);
    }
}
