use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Recorded deaths after which an event is given up. The first death of an event happens before anything is recorded
/// about it, so this is the third one.
pub(crate) const FATAL_DEATHS: u32 = 2;

/// What is known about the suspects of one unit in one purpose. Stored as JSON, and written only while there are
/// suspects.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The epoch of the claim under which it was written.
    pub(super) epoch: u64,
    /// The process that wrote it.
    pub(super) process: String,
    /// The last sequence that was delivered before a death. Later events are no suspects.
    until: u64,
    /// The suspects that are being handled.
    in_flight: BTreeSet<u64>,
    /// The number of processes that died while they handled an event, by sequence; only of events that killed or
    /// may have killed one.
    deaths: BTreeMap<u64, u32>,
}

/// A takeover of a unit.
#[derive(Debug, Clone)]
pub(super) struct Takeover<'a> {
    pub(super) epoch: u64,
    pub(super) process: &'a str,
    /// Whether the previous holder has probably died.
    pub(super) follows_death: bool,
    /// Every event up to this sequence is acknowledged.
    pub(super) floor: u64,
    /// The last sequence that was delivered to the previous holder.
    pub(super) delivered: u64,
}

/// How a suspect is handled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It was perhaps being handled at a death, like others: handled beside a few other suspects.
    Unproven,
    /// A process died while it handled this event and few others: handled while no other suspect is.
    Accused,
    /// A process died again while it handled this event and no other suspect: not handled again.
    Fatal,
}

impl Record {
    /// The record after a takeover: what was being handled when the previous holder died is held against it.
    pub(super) fn taken_over(self, takeover: &Takeover<'_>) -> Self {
        // A process that lost its lease and took its unit back has not died.
        let is_death = takeover.follows_death && self.process != takeover.process;
        let mut deaths = self.deaths;
        if is_death {
            for sequence in self.in_flight {
                *deaths.entry(sequence).or_default() += 1;
            }
        }
        deaths.retain(|sequence, _| *sequence > takeover.floor);
        let delivered = if takeover.follows_death {
            takeover.delivered
        } else {
            0
        };
        let until = self.until.max(delivered);
        Self {
            epoch: takeover.epoch,
            process: takeover.process.to_owned(),
            until: if until > takeover.floor { until } else { 0 },
            in_flight: BTreeSet::new(),
            deaths,
        }
    }

    /// Whether it says the same as `other` about the events.
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        (self.until, &self.in_flight, &self.deaths)
            == (other.until, &other.in_flight, &other.deaths)
    }

    /// Whether the event may have been in progress at a death.
    pub(super) const fn suspects(&self, sequence: u64) -> bool {
        sequence <= self.until
    }

    /// Whether there is any suspect.
    pub(super) const fn has_suspects(&self) -> bool {
        self.until > 0
    }

    pub(super) fn standing(&self, sequence: u64) -> Standing {
        match self.deaths_of(sequence) {
            0 => Standing::Unproven,
            deaths if deaths < FATAL_DEATHS => Standing::Accused,
            _ => Standing::Fatal,
        }
    }

    /// The deaths held against the event.
    pub(super) fn deaths_of(&self, sequence: u64) -> u32 {
        self.deaths.get(&sequence).copied().unwrap_or_default()
    }

    /// The events with deaths held against them.
    pub(super) fn accused(&self) -> impl Iterator<Item = (u64, u32)> {
        self.deaths
            .iter()
            .map(|(sequence, deaths)| (*sequence, *deaths))
    }

    pub(super) fn begin(&mut self, sequence: u64) {
        self.in_flight.insert(sequence);
    }

    /// The process has survived the event.
    pub(super) fn survive(&mut self, sequence: u64) {
        self.in_flight.remove(&sequence);
        self.deaths.remove(&sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EVENT: u64 = 7;

    fn takeover(process: &str) -> Takeover<'_> {
        Takeover {
            epoch: 1,
            process,
            follows_death: true,
            floor: 0,
            delivered: 10,
        }
    }

    #[test]
    fn an_event_that_ends_three_processes_is_fatal() {
        let mut record = Record::default().taken_over(&takeover("b"));
        assert_eq!(record.standing(EVENT), Standing::Unproven);

        record.begin(EVENT);
        let mut record = record.taken_over(&takeover("c"));
        assert_eq!(record.standing(EVENT), Standing::Accused);

        record.begin(EVENT);
        let record = record.taken_over(&takeover("d"));
        assert_eq!(record.standing(EVENT), Standing::Fatal);
    }

    #[test]
    fn only_events_delivered_before_a_death_are_suspects() {
        let record = Record::default().taken_over(&takeover("b"));

        assert!(record.suspects(10) && !record.suspects(11));
        let clean = Takeover {
            follows_death: false,
            ..takeover("b")
        };
        assert!(!Record::default().taken_over(&clean).has_suspects());
        let idle = Takeover {
            floor: 10,
            ..takeover("b")
        };
        assert!(!Record::default().taken_over(&idle).has_suspects());
    }

    #[test]
    fn a_hand_over_passes_suspects_and_deaths_on_and_holds_nothing_against_running_events() {
        let mut record = Record::default().taken_over(&takeover("b"));
        record.begin(EVENT);
        let mut record = record.taken_over(&takeover("c"));
        record.begin(EVENT);
        record.begin(EVENT + 1);

        let record = record.taken_over(&Takeover {
            follows_death: false,
            delivered: 20,
            ..takeover("d")
        });

        assert_eq!(record.standing(EVENT), Standing::Accused);
        assert_eq!(record.standing(EVENT + 1), Standing::Unproven);
        assert!(record.suspects(10) && !record.suspects(11));
    }

    #[test]
    fn a_process_that_takes_its_own_unit_back_has_not_died() {
        let mut record = Record::default().taken_over(&takeover("b"));
        record.begin(EVENT);

        let record = record.taken_over(&takeover("b"));

        assert_eq!(record.standing(EVENT), Standing::Unproven);
    }

    #[test]
    fn a_survived_event_and_an_acknowledged_one_are_innocent() {
        let mut record = Record::default().taken_over(&takeover("b"));
        record.begin(EVENT);
        record.begin(EVENT + 1);
        let mut record = record.taken_over(&takeover("c"));

        record.survive(EVENT);
        let record = record.taken_over(&Takeover {
            floor: EVENT + 1,
            ..takeover("d")
        });

        assert_eq!(record.standing(EVENT), Standing::Unproven);
        assert_eq!(record.standing(EVENT + 1), Standing::Unproven);
    }

    #[test]
    fn a_death_while_an_accused_event_waits_is_not_held_against_it() {
        let mut record = Record::default().taken_over(&takeover("b"));
        record.begin(EVENT);
        let mut record = record.taken_over(&takeover("c"));

        for process in ["d", "e", "f"] {
            record = record.taken_over(&takeover(process));
        }

        assert_eq!(record.standing(EVENT), Standing::Accused);
    }
}
