use serde::{Deserialize, Serialize};

/// How far one sent piece of a reply has come. Reports arrive repeated and out of order (`read`
/// before `delivered` is common), so the state only ever moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// Written down, not yet handed to the channel.
    Pending,
    /// Handed over, outcome not yet known: it may or may not have gone out.
    Sending,
    /// The channel took it (HTTP 200).
    Accepted,
    /// It left the channel's servers.
    Sent,
    /// It will not arrive. Final unless something better had been reported.
    Failed,
    /// It is on the person's device.
    Delivered,
    /// It was seen.
    Read,
    /// It was listened to.
    Played,
}

impl DeliveryState {
    /// Every state, in order of rank.
    pub const ALL: [Self; 8] = [
        Self::Pending,
        Self::Sending,
        Self::Accepted,
        Self::Sent,
        Self::Failed,
        Self::Delivered,
        Self::Read,
        Self::Played,
    ];

    /// The state after `report`: the further of the two. `Failed` outranks what the channel merely
    /// took, and yields to any sign that the person has it.
    #[must_use]
    pub fn advanced_by(self, report: Self) -> Self {
        if report.rank() > self.rank() {
            report
        } else {
            self
        }
    }

    /// Position in the order of progress; stored beside the name so that the database can compare.
    pub fn rank(self) -> i16 {
        match self {
            Self::Pending => 0,
            Self::Sending => 1,
            Self::Accepted => 2,
            Self::Sent => 3,
            Self::Failed => 4,
            Self::Delivered => 5,
            Self::Read => 6,
            Self::Played => 7,
        }
    }

    /// The state of this rank, if there is one.
    pub fn from_rank(rank: i16) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.rank() == rank)
    }

    /// Whether the channel has it for certain (or refused it for certain).
    pub fn is_settled(self) -> bool {
        self.rank() >= Self::Accepted.rank()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_in_any_order_end_at_the_furthest_one() {
        use DeliveryState::{Accepted, Delivered, Read, Sent};
        for order in [
            [Sent, Delivered, Read],
            [Read, Delivered, Sent],
            [Delivered, Read, Sent],
        ] {
            let end = order.into_iter().fold(Accepted, DeliveryState::advanced_by);
            assert_eq!(end, Read, "{order:?}");
        }
    }

    #[test]
    fn a_failure_counts_only_while_nothing_better_was_seen() {
        use DeliveryState::{Accepted, Delivered, Failed, Sent};
        assert_eq!(Accepted.advanced_by(Failed), Failed);
        assert_eq!(Failed.advanced_by(Sent), Failed);
        assert_eq!(Failed.advanced_by(Delivered), Delivered);
        assert_eq!(Delivered.advanced_by(Failed), Delivered);
    }

    #[test]
    fn every_state_is_found_again_by_its_rank() {
        for state in DeliveryState::ALL {
            assert_eq!(DeliveryState::from_rank(state.rank()), Some(state));
        }
    }
}
