use std::collections::BTreeMap;

use super::unit::Unit;

/// One incarnation of one replica: a process that lost its lease goes on under another id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct MemberId(String);

impl MemberId {
    /// `id` must be fit for a token of a key: letters and digits.
    pub(crate) fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What a live replica says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It takes its part.
    Staying,
    /// It is stopping: it gives back what it has and takes nothing more.
    Leaving,
}

impl Standing {
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

/// Who has a unit, as last written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Claim {
    /// `None` when it was given back.
    pub(crate) holder: Option<MemberId>,
    /// The revision of the key: the epoch.
    pub(crate) revision: u64,
}

/// One thing the bucket told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A replica lives; `None` when its key is gone.
    Member(MemberId, Option<Standing>),
    /// A unit was claimed or given back.
    Claim(Unit, Claim),
}

impl Change {
    /// Reads an entry of the bucket whose key is `key` without its group; no `value` means that the
    /// key is gone. `None` for keys that mean nothing to us.
    pub(crate) fn read(key: &str, value: Option<&[u8]>, revision: u64) -> Option<Self> {
        match key.split_once('.')? {
            ("m", id) => Some(Self::Member(MemberId::new(id), value.map(Standing::read))),
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

/// Who lives and who has what, as far as we were told.
#[derive(Debug, Default)]
pub(crate) struct View {
    members: BTreeMap<MemberId, Standing>,
    claims: BTreeMap<Unit, Claim>,
}

impl View {
    pub(crate) fn learn(&mut self, change: Change) {
        match change {
            Change::Member(id, Some(standing)) => {
                self.members.insert(id, standing);
            }
            Change::Member(id, None) => {
                self.members.remove(&id);
            }
            // Our own claims are known from their answer, before the bucket tells of them.
            Change::Claim(unit, claim) if self.revision_of(unit) <= claim.revision => {
                self.claims.insert(unit, claim);
            }
            Change::Claim(_, _) => {}
        }
    }

    pub(crate) fn lives(&self, id: &MemberId) -> bool {
        self.members.contains_key(id)
    }

    /// Those who take their part.
    pub(crate) fn staying(&self) -> impl Iterator<Item = &MemberId> {
        self.members
            .iter()
            .filter(|(_, standing)| **standing == Standing::Staying)
            .map(|(id, _)| id)
    }

    pub(crate) fn claim_of(&self, unit: Unit) -> Option<&Claim> {
        self.claims.get(&unit)
    }

    /// The revision of the last claim; 0 where there was none.
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
    fn keys_are_read_for_what_they_mean() {
        let read = |key, value: Option<&str>| Change::read(key, value.map(str::as_bytes), 7);

        assert_eq!(
            read("m.a", Some("leaving")),
            Some(Change::Member(MemberId::new("a"), Some(Standing::Leaving)))
        );
        assert_eq!(
            read("m.a", None),
            Some(Change::Member(MemberId::new("a"), None))
        );
        assert_eq!(
            read("u.3", Some("a")),
            Some(Change::Claim(Unit::Partition(3), claim(Some("a"), 7)))
        );
        for given_back in [Some(""), None] {
            assert_eq!(
                read("u.whole", given_back),
                Some(Change::Claim(Unit::Whole, claim(None, 7)))
            );
        }
        assert_eq!(read("epoch.gateway-messages", Some("gateway")), None);
        assert_eq!(read("u.99", Some("a")), None);
    }

    #[test]
    fn news_that_comes_late_does_not_undo_what_is_known() {
        let mut view = View::default();

        view.learn(Change::Claim(Unit::Whole, claim(Some("b"), 9)));
        view.learn(Change::Claim(Unit::Whole, claim(Some("a"), 8)));

        assert_eq!(view.claim_of(Unit::Whole), Some(&claim(Some("b"), 9)));
    }
}
