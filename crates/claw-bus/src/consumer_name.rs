use crate::Unit;

/// Whose consumer it is: of a unit, under an epoch, the how-manieth of that epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConsumerName {
    pub(crate) unit: Unit,
    /// The epoch of the claim.
    pub(crate) epoch: u64,
    /// 1 for the first consumer of this epoch; one more whenever one was interrupted.
    pub(crate) number: u32,
}

impl ConsumerName {
    /// The place to take after this one, under what the epoch is by then.
    pub(crate) fn next_under(self, epoch: u64) -> Self {
        let number = if epoch == self.epoch {
            self.number + 1
        } else {
            1
        };
        Self {
            epoch,
            number,
            ..self
        }
    }

    /// `<purpose>-p<partition>-e<epoch>`, or `<purpose>-e<epoch>` for everything, with `-<number>`
    /// after it from the second on.
    pub(crate) fn name(self, purpose: &str) -> String {
        let unit = match self.unit {
            Unit::Partition(partition) => format!("p{partition}-"),
            Unit::Whole => String::new(),
        };
        let number = match self.number {
            1 => String::new(),
            number => format!("-{number}"),
        };
        format!("{purpose}-{unit}e{}{number}", self.epoch)
    }

    /// Reads a consumer's name; `None` when it is not of this purpose.
    pub(crate) fn read(name: &str, purpose: &str) -> Option<Self> {
        let rest = name.strip_prefix(purpose)?.strip_prefix('-')?;
        let (unit, rest) = match rest.strip_prefix('p') {
            Some(rest) => {
                let (partition, rest) = rest.split_once('-')?;
                (Unit::Partition(partition.parse().ok()?), rest)
            }
            None => (Unit::Whole, rest),
        };
        let rest = rest.strip_prefix('e')?;
        let (epoch, number) = match rest.split_once('-') {
            Some((epoch, number)) => (epoch, number.parse().ok()?),
            None => (rest, 1),
        };
        let epoch = epoch.parse().ok()?;
        Some(Self {
            unit,
            epoch,
            number,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(unit: Unit, epoch: u64, number: u32) -> ConsumerName {
        ConsumerName {
            unit,
            epoch,
            number,
        }
    }

    #[test]
    fn a_place_is_read_back_from_its_consumer_s_name() {
        for (name, expected) in [
            ("replies-p7-e12", place(Unit::Partition(7), 12, 1)),
            ("replies-p7-e12-3", place(Unit::Partition(7), 12, 3)),
            ("replies-e12", place(Unit::Whole, 12, 1)),
        ] {
            assert_eq!(ConsumerName::read(name, "replies"), Some(expected));
            assert_eq!(expected.name("replies"), name);
        }
    }

    #[test]
    fn another_purpose_s_consumer_is_none_of_ours() {
        for name in ["replies-late-e1", "reports-e1", "replies", "replies-p7-x1"] {
            assert_eq!(ConsumerName::read(name, "replies"), None, "{name}");
        }
    }

    #[test]
    fn an_interrupted_consumer_is_followed_by_another_of_its_epoch() {
        let first = place(Unit::Whole, 0, 0).next_under(7);

        assert_eq!(first, place(Unit::Whole, 7, 1));
        assert_eq!(first.next_under(7), place(Unit::Whole, 7, 2));
        assert_eq!(first.next_under(7).next_under(9), place(Unit::Whole, 9, 1));
    }

    #[test]
    fn a_later_epoch_wins_and_within_it_the_later_consumer() {
        let unit = Unit::Partition(1);

        assert!(place(unit, 10, 1) > place(unit, 9, 5));
        assert!(place(unit, 10, 2) > place(unit, 10, 1));
    }
}
