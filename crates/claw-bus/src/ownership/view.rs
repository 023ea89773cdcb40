use std::collections::BTreeMap;

use super::unit::Unit;

/// One membership of one replica. A process that loses its lease joins again under another id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(String);

impl MemberId {
    /// `id` must be a valid token of a key: letters and digits.
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The status a live replica announces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberStatus {
    /// It claims its share of the units.
    Staying,
    /// It is stopping: it releases its units and claims none.
    Leaving,
}

impl MemberStatus {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Staying => "staying",
            Self::Leaving => "leaving",
        }
    }

    fn read(value: &[u8]) -> Self {
        if value == Self::Leaving.as_str().as_bytes() {
            Self::Leaving
        } else {
            Self::Staying
        }
    }
}

/// The last claim of a unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// `None` if the unit was released.
    pub(crate) holder: Option<MemberId>,
    /// The revision of the key, which is the epoch.
    pub(crate) revision: u64,
}

/// One change in the bucket.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A replica renewed its lease; `None` if its key was deleted or expired.
    Member(MemberId, Option<MemberStatus>),
    /// A unit was claimed or released.
    Claim(Unit, Claim),
}

impl Change {
    /// Parses an entry of the bucket. `key` is without the service's prefix; `value` is `None` for a deleted key.
    /// Returns `None` for keys of another kind.
    pub(crate) fn read(key: &str, value: Option<&[u8]>, revision: u64) -> Option<Self> {
        match key.split_once('.')? {
            ("m", id) => Some(Self::Member(
                MemberId::new(id),
                value.map(MemberStatus::read),
            )),
            ("u", unit) => {
                let holder = value
                    .and_then(|value| std::str::from_utf8(value).ok())
                    .filter(|id| !id.is_empty())
                    .map(MemberId::new);
                Some(Self::Claim(Unit::read(unit)?, Claim { holder, revision }))
            }
            (_, _) => None,
        }
    }
}

/// The live replicas and the claims, as read from the bucket so far.
#[derive(Debug, Default)]
pub(crate) struct View {
    members: BTreeMap<MemberId, MemberStatus>,
    claims: BTreeMap<Unit, Claim>,
}

impl View {
    pub(crate) fn learn(&mut self, change: Change) {
        match change {
            Change::Member(id, Some(status)) => {
                self.members.insert(id, status);
            }
            Change::Member(id, None) => {
                self.members.remove(&id);
            }
            // Our own claims are known from their answers, before the watch delivers them.
            Change::Claim(unit, claim) if self.revision_of(unit) <= claim.revision => {
                self.claims.insert(unit, claim);
            }
            Change::Claim(_, _) => {}
        }
    }

    pub(crate) fn lives(&self, id: &MemberId) -> bool {
        self.members.contains_key(id)
    }

    /// The replicas that claim units.
    pub(crate) fn staying(&self) -> impl Iterator<Item = &MemberId> {
        self.members
            .iter()
            .filter(|(_, status)| **status == MemberStatus::Staying)
            .map(|(id, _)| id)
    }

    pub(crate) fn claim_of(&self, unit: Unit) -> Option<&Claim> {
        self.claims.get(&unit)
    }

    /// The revision of the last claim; 0 if there was none.
    pub(crate) fn revision_of(&self, unit: Unit) -> u64 {
        self.claims.get(&unit).map_or(0, |claim| claim.revision)
    }

    pub(crate) fn holds_any(&self, id: &MemberId) -> bool {
        self.claims
            .values()
            .any(|claim| claim.holder.as_ref() == Some(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(holder: Option<&str>, revision: u64) -> Claim {
        Claim {
            holder: holder.map(MemberId::new),
            revision,
        }
    }

    #[test]
    fn an_entry_is_parsed_as_a_lease_or_a_claim() {
        let read = |key, value: Option<&str>| Change::read(key, value.map(str::as_bytes), 7);

        assert_eq!(
            read("m.a", Some("leaving")),
            Some(Change::Member(
                MemberId::new("a"),
                Some(MemberStatus::Leaving)
            ))
        );
        assert_eq!(
            read("m.a", None),
            Some(Change::Member(MemberId::new("a"), None))
        );
        assert_eq!(
            read("u.3", Some("a")),
            Some(Change::Claim(Unit::Partition(3), claim(Some("a"), 7)))
        );
        for released in [Some(""), None] {
            assert_eq!(
                read("u.whole", released),
                Some(Change::Claim(Unit::Whole, claim(None, 7)))
            );
        }
        assert_eq!(read("epoch.gateway-messages", Some("gateway")), None);
        assert_eq!(read("u.99", Some("a")), None);
    }

    #[test]
    fn an_older_claim_does_not_replace_a_newer_one() {
        let mut view = View::default();

        view.learn(Change::Claim(Unit::Whole, claim(Some("b"), 9)));
        view.learn(Change::Claim(Unit::Whole, claim(Some("a"), 8)));

        assert_eq!(view.claim_of(Unit::Whole), Some(&claim(Some("b"), 9)));
    }
}
