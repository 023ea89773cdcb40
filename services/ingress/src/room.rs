use axum::http::{HeaderMap, header::CONTENT_LENGTH};
use tokio::sync::{Semaphore, SemaphorePermit};

/// Bodies held at once, in KiB, so that a flood (of anyone: this is before the signature) costs at most
/// this much memory: 21 of the largest, or 16,384 ordinary ones.
const ROOM_KIB: usize = 64 * 1024;

/// What even the smallest request takes of that room, in KiB.
const LEAST_KIB: usize = 4;

/// The memory there is for bodies.
#[derive(Debug)]
pub(crate) struct Room {
    kib: Semaphore,
    largest_bytes: usize,
}

impl Room {
    /// Room for bodies of up to `largest_bytes` each.
    pub(crate) const fn new(largest_bytes: usize) -> Self {
        Self {
            kib: Semaphore::const_new(ROOM_KIB),
            largest_bytes,
        }
    }

    /// A place for the body these headers announce, or for the largest when they announce none. `None`
    /// when there is no room: waiting for it would take memory as well.
    pub(crate) fn for_body(&self, headers: &HeaderMap) -> Option<SemaphorePermit<'_>> {
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
    fn a_flood_of_the_largest_bodies_is_turned_away_and_room_comes_back() {
        let room = Room::new(LARGEST);
        let mut places: Vec<_> = (0..21)
            .map(|_| room.for_body(&announcing(LARGEST)).unwrap())
            .collect();

        assert!(room.for_body(&announcing(LARGEST)).is_none());
        assert!(
            room.for_body(&announcing(700)).is_some(),
            "ordinary ones still fit"
        );
        places.pop();
        assert!(room.for_body(&announcing(LARGEST)).is_some());
    }

    #[test]
    fn an_unannounced_body_counts_as_the_largest_and_an_absurd_one_no_more() {
        let room = Room::new(LARGEST);
        let absurd = announcing(usize::MAX);

        let places: Vec<_> = (0..21)
            .map(|turn| {
                if turn % 2 == 0 {
                    HeaderMap::new()
                } else {
                    absurd.clone()
                }
            })
            .map(|headers| room.for_body(&headers).unwrap())
            .collect();

        assert!(
            room.for_body(&HeaderMap::new()).is_none(),
            "{}",
            places.len()
        );
    }

    fn announcing(bytes: usize) -> HeaderMap {
        HeaderMap::from_iter([(CONTENT_LENGTH, bytes.to_string().parse().unwrap())])
    }
}
