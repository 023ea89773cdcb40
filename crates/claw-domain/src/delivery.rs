use serde::{Deserialize, Serialize};
use strum::{FromRepr, IntoStaticStr, VariantArray};

/// How far one sent piece of a reply has come. Reports arrive repeated and out of order (`read`
/// before `delivered` is common), so the state only ever moves forward.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    FromRepr,
    IntoStaticStr,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
#[repr(i16)]
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
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name in storage and metrics: the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

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
    pub const fn rank(self) -> i16 {
        self as i16
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
        for (rank, state) in (0..).zip(DeliveryState::ALL) {
            assert_eq!(state.rank(), rank);
            assert_eq!(DeliveryState::from_repr(rank), Some(*state));
        }
    }
}
