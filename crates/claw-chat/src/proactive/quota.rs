/// Quota for proactive messages: a number of texts, and of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// The number of texts.
    pub texts: u32,
    /// The bytes of all texts together.
    pub bytes: u64,
}

impl Quota {
    /// What is stored of one user's proactive messages within a day, whether they are sent, held or withheld. An assistant
    /// that looks after its user every half hour writes 48. What is beyond it is not stored; the assistant still has it
    /// in its transcript.
    pub const PER_DAY: Self = Self {
        texts: 300,
        bytes: 2 * 1024 * 1024,
    };

    /// What is held for one user. Beyond it the oldest are withheld.
    pub const HELD: Self = Self {
        texts: 100,
        bytes: 512 * 1024,
    };

    /// What is left of the quota when this much is used.
    #[must_use]
    pub const fn without(self, used: Self) -> Self {
        Self {
            texts: self.texts.saturating_sub(used.texts),
            bytes: self.bytes.saturating_sub(used.bytes),
        }
    }

    /// How many texts fit, and their bytes. The lengths are in bytes, and those that matter most come first.
    #[must_use]
    pub fn fit(self, lengths: impl IntoIterator<Item = usize>) -> Self {
        let mut used = Self { texts: 0, bytes: 0 };
        for length in lengths {
            let next = Self {
                texts: used.texts + 1,
                bytes: used.bytes.saturating_add(length as u64),
            };
            if next.texts > self.texts || next.bytes > self.bytes {
                break;
            }
            used = next;
        }
        used
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota {
        texts: 3,
        bytes: 10,
    };

    #[test]
    fn texts_fit_until_one_does_not() {
        let fit = |lengths: &[usize]| QUOTA.fit(lengths.iter().copied()).texts;

        assert_eq!(fit(&[]), 0);
        assert_eq!(fit(&[1, 1, 1, 1]), 3);
        assert_eq!(fit(&[6, 5, 1]), 1);
        assert_eq!(fit(&[11]), 0);
    }

    #[test]
    fn what_is_used_leaves_less_and_never_less_than_nothing() {
        let used = QUOTA.fit([4, 4]);

        assert_eq!(QUOTA.without(used), Quota { texts: 1, bytes: 2 });
        assert_eq!(used.without(QUOTA), Quota { texts: 0, bytes: 0 });
    }
}
