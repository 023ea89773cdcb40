use claw_domain::UserId;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// The number of partitions of each stream. The server spends CPU per consumer on every message, so the number is as
/// small as an even division among replicas allows. The streams must be drained before it is changed.
pub const PARTITIONS: u16 = 64;

/// The JetStream streams. The subjects of a stream begin with its [`family`](Stream::family).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Stream {
    /// Messages of users and steps of calls.
    Inbound,
    /// WhatsApp's reports on the delivery of our messages.
    Status,
    /// Replies to be sent to users.
    Outbound,
    /// Whether replies were delivered or failed.
    Receipts,
    /// Requests for sandboxes, and changes of their state.
    Sandbox,
    /// Dead letters, kept for an operator to inspect and replay.
    Dead,
    /// What operators must know, such as a restricted account.
    Operator,
}

impl Stream {
    /// Every stream, in the order of declaration.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The stream's name on the server. `FromStr` parses it.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The first token of the stream's subjects.
    pub const fn family(self) -> &'static str {
        match self {
            Self::Inbound => "in",
            Self::Status => "status",
            Self::Outbound => "out",
            Self::Receipts => "receipt",
            Self::Sandbox => "sandbox",
            Self::Dead => "dead",
            Self::Operator => "operator",
        }
    }
}

/// The partition of a user's events. It equals the partition in the stored subject, for which the server's
/// `partition()` takes the 32-bit FNV-1a hash of the token.
pub fn partition_of(user: UserId) -> u16 {
    let hash = user
        .to_string()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
    u16::try_from(hash % u32::from(PARTITIONS)).unwrap_or_default()
}

/// The partition in a stored subject (17 in `in.17.message.usr_…`), if there is a valid one.
pub fn partition_of_subject(stored: &str) -> Option<u16> {
    stored
        .split('.')
        .nth(1)?
        .parse()
        .ok()
        .filter(|partition| *partition < PARTITIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_subject_contains_its_partition() {
        assert_eq!(partition_of_subject("in.17.message.usr_0"), Some(17));
        assert_eq!(partition_of_subject("in.64.message.usr_0"), None);
        assert_eq!(partition_of_subject("in.message.usr_0"), None);
    }
}
