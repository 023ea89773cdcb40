use crate::Unit;

/// The name of a consumer on the server: its unit, its epoch and its number within the epoch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConsumerName {
    pub(crate) unit: Unit,
    /// The epoch of the claim.
    pub(crate) epoch: u64,
    /// 1 for the first consumer of the epoch, one more after each interruption.
    pub(crate) number: u32,
}

impl ConsumerName {
    /// The name of the consumer that follows this one, under the current epoch.
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

    /// `<purpose>-p<partition>-e<epoch>`, or `<purpose>-e<epoch>` for all partitions; from the second consumer of
    /// an epoch on with `-<number>` at the end.
    pub(crate) fn on_server(self, purpose: &str) -> String {
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

    /// Parses a name; `None` if it is of another purpose.
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

    fn name(unit: Unit, epoch: u64, number: u32) -> ConsumerName {
        ConsumerName {
            unit,
            epoch,
            number,
        }
    }

    #[test]
    fn a_name_is_parsed_back() {
        for (name, expected) in [
            ("replies-p7-e12", name(Unit::Partition(7), 12, 1)),
            ("replies-p7-e12-3", name(Unit::Partition(7), 12, 3)),
            ("replies-e12", name(Unit::Whole, 12, 1)),
        ] {
            assert_eq!(ConsumerName::read(name, "replies"), Some(expected));
            assert_eq!(expected.on_server("replies"), name);
        }
    }

    #[test]
    fn the_name_of_another_purpose_is_not_parsed() {
        for name in ["replies-late-e1", "reports-e1", "replies", "replies-p7-x1"] {
            assert_eq!(ConsumerName::read(name, "replies"), None, "{name}");
        }
    }

    #[test]
    fn an_interrupted_consumer_is_followed_by_another_of_its_epoch() {
        let first = name(Unit::Whole, 0, 0).next_under(7);

        assert_eq!(first, name(Unit::Whole, 7, 1));
        assert_eq!(first.next_under(7), name(Unit::Whole, 7, 2));
        assert_eq!(first.next_under(7).next_under(9), name(Unit::Whole, 9, 1));
    }

    #[test]
    fn names_are_ordered_by_epoch_and_then_by_number() {
        let unit = Unit::Partition(1);

        assert!(name(unit, 10, 1) > name(unit, 9, 5));
        assert!(name(unit, 10, 2) > name(unit, 10, 1));
    }
}
