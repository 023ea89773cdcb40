use std::fmt;

use claw_events::PARTITIONS;

/// How replicas of a service share its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Share {
    /// Each replica holds some of the 64 partitions of users.
    Partitions,
    /// One replica holds all users, and the others stand by.
    Whole,
}

impl Share {
    /// All units of this kind of sharing.
    pub(crate) fn units(self) -> Vec<Unit> {
        match self {
            Self::Partitions => (0..PARTITIONS).map(Unit::Partition).collect(),
            Self::Whole => vec![Unit::Whole],
        }
    }
}

/// A piece of work that one replica holds at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unit {
    /// The users of the partition with this number, from 0.
    Partition(u16),
    /// All users, in a service that does not share its work.
    Whole,
}

impl Unit {
    /// Parses the output of [`fmt::Display`].
    pub(crate) fn read(text: &str) -> Option<Self> {
        if text == "whole" {
            return Some(Self::Whole);
        }
        let number = text.parse().ok();
        number
            .filter(|number| *number < PARTITIONS)
            .map(Self::Partition)
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(number) => write!(f, "{number}"),
            Self::Whole => f.write_str("whole"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_is_read_back_from_its_name() {
        for unit in [Share::Partitions.units(), Share::Whole.units()].concat() {
            assert_eq!(Unit::read(&unit.to_string()), Some(unit));
        }
        assert_eq!(Unit::read("64"), None);
    }
}
