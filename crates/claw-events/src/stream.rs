use claw_domain::UserId;
use strum::{EnumString, IntoStaticStr, VariantArray};

/// How many partitions each stream is divided into. The server spends CPU per consumer on every
/// message, so this is as small as failover in fair shares allows. Changing it means draining first.
pub const PARTITIONS: u16 = 64;

/// The streams, each with its family of subjects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EnumString, IntoStaticStr, VariantArray)]
#[strum(serialize_all = "SCREAMING_SNAKE_CASE")]
pub enum Stream {
    /// What people and channels told us.
    Inbound,
    /// What is to be said to people.
    Outbound,
    /// What became of what was said.
    Receipts,
    /// The lives of sandboxes.
    Sandbox,
    /// What could not be handled; kept for people to look at and replay.
    Dead,
}

impl Stream {
    /// Every stream.
    pub const ALL: &[Self] = Self::VARIANTS;

    /// The stream's name on the server; `parse` reads it back.
    pub fn name(self) -> &'static str {
        self.into()
    }

    /// The first token of its subjects.
    pub const fn family(self) -> &'static str {
        match self {
            Self::Inbound => "in",
            Self::Outbound => "out",
            Self::Receipts => "receipt",
            Self::Sandbox => "sandbox",
            Self::Dead => "dead",
        }
    }
}

/// The partition of a person's events, as the server works it out for the stored subject: its
/// `partition()` takes the FNV-1a hash, of 32 bits, of the token.
pub fn partition_of(user: UserId) -> u16 {
    let hash = user
        .to_string()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| {
            (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
        });
    u16::try_from(hash % u32::from(PARTITIONS)).unwrap_or_default()
}

/// The partition in a stored subject (`in.17.message.usr_…` is 17), if it has one.
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
    fn a_stored_subject_tells_its_partition() {
        assert_eq!(partition_of_subject("in.17.message.usr_0"), Some(17));
        assert_eq!(partition_of_subject("in.64.message.usr_0"), None);
        assert_eq!(partition_of_subject("in.message.usr_0"), None);
    }
}
