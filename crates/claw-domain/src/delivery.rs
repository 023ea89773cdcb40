use serde::{Deserialize, Serialize};
use strum::{FromRepr, IntoStaticStr, VariantArray};

/// The delivery state of one piece of a reply. The channel repeats its reports and sends them out of order (`read`
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
    /// Recorded, but not sent to the channel yet.
    Pending,
    /// Sent to the channel, which has not answered: the piece may or may not have gone out.
    Sending,
    /// The channel accepted the piece (HTTP 200).
    Accepted,
    /// The piece has left the channel's servers.
    Sent,
    /// The channel refused the piece or reported a failure. Replaced only by a report that the user has the piece.
    Failed,
    /// The piece is on the user's device.
    Delivered,
    /// The user opened the chat and saw the piece.
    Read,
    /// The user played the piece, a voice message.
    Played,
}

impl DeliveryState {
    /// Every state, in order of rank.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The name in storage and metrics, which is the same as on the wire.
    pub fn as_str(self) -> &'static str {
        self.into()
    }

    /// The state after `report`: whichever of the two has the higher rank. `Failed` ranks above `Accepted` and `Sent`,
    /// and below every state in which the user has the piece.
    #[must_use]
    pub fn advanced_by(self, report: Self) -> Self {
        if report.rank() > self.rank() {
            report
        } else {
            self
        }
    }

    /// The position in the order of progress. It is stored beside the name so that SQL can compare states.
    pub const fn rank(self) -> i16 {
        self as i16
    }

    /// Whether it is certain that the channel accepted or refused the piece.
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
    fn a_failure_does_not_replace_a_report_that_the_user_has_the_piece() {
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
