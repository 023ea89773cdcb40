use axum::http::{HeaderMap, header::CONTENT_LENGTH};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Memory for request bodies, in KiB: 21 of the largest or 16,384 ordinary ones. It is reserved before the
/// signature is checked, so that a flood of requests from anyone costs no more than this.
const BUDGET_KIB: usize = 64 * 1024;

/// The least that a request reserves, in KiB.
const LEAST_KIB: usize = 4;

/// Reserves memory for request bodies.
#[derive(Debug)]
pub(crate) struct BodyBudget {
    kib: Semaphore,
    largest_bytes: usize,
}

impl BodyBudget {
    /// A budget for bodies of up to `largest_bytes` each.
    pub(crate) const fn new(largest_bytes: usize) -> Self {
        Self {
            kib: Semaphore::const_new(BUDGET_KIB),
            largest_bytes,
        }
    }

    /// Reserves memory for a request with these headers: the length they announce, or the largest body if they
    /// announce none. `None` if it does not fit: requests that wait would take memory, too.
    pub(crate) fn reserve(&self, headers: &HeaderMap) -> Option<SemaphorePermit<'_>> {
        let announced = headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok());
        let bytes = announced
            .and_then(|length| length.parse().ok())
            .map_or(self.largest_bytes, |length: usize| {
                length.min(self.largest_bytes)
            });
        let kib = bytes.div_ceil(1024).max(LEAST_KIB);
        self.kib.try_acquire_many(u32::try_from(kib).ok()?).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LARGEST: usize = 3 * 1024 * 1024;

    #[test]
    fn when_large_bodies_use_up_the_budget_small_ones_still_fit_and_memory_is_given_back() {
        let budget = BodyBudget::new(LARGEST);
        let mut permits: Vec<_> = (0..21)
            .map(|_| budget.reserve(&announcing(LARGEST)).unwrap())
            .collect();

        assert!(budget.reserve(&announcing(LARGEST)).is_none());
        assert!(budget.reserve(&announcing(700)).is_some());
        permits.pop();
        assert!(budget.reserve(&announcing(LARGEST)).is_some());
    }

    #[test]
    fn a_body_of_unknown_or_absurd_length_reserves_as_much_as_the_largest() {
        let budget = BodyBudget::new(LARGEST);
        let headers = [HeaderMap::new(), announcing(usize::MAX)];

        let permits: Vec<_> = headers
            .iter()
            .cycle()
            .take(21)
            .map(|headers| budget.reserve(headers).unwrap())
            .collect();

        assert!(budget.reserve(&HeaderMap::new()).is_none());
        drop(permits);
    }

    fn announcing(bytes: usize) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_LENGTH, bytes.to_string().parse().unwrap())])
    }
}
