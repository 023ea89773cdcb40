use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use claw_domain::{DeliveryId, Wamid};
use tokio::time::Instant;

/// How often the log says that the operator is needed, however many replies wait.
const TOLD_AT_MOST_EVERY: Duration = Duration::from_mins(1);

/// What this process knows of pieces under way and the database does not. Losing it costs a wait, never
/// a message.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// Taken by WhatsApp, and not recorded because the database was away at that moment.
    taken: HashMap<DeliveryId, Wamid>,
    /// How often WhatsApp refused what it may take later.
    troubles: HashMap<DeliveryId, u32>,
    operator_told: Option<Instant>,
}

impl Memory {
    /// WhatsApp took this piece.
    pub fn remember(&self, piece: DeliveryId, wamid: &Wamid) {
        self.known().taken.insert(piece, wamid.clone());
    }

    /// The id WhatsApp gave this piece, if that is still to be recorded.
    pub fn remembered(&self, piece: DeliveryId) -> Option<Wamid> {
        self.known().taken.get(&piece).cloned()
    }

    /// The piece's fate is in the database.
    pub fn forget(&self, piece: DeliveryId) {
        let mut known = self.known();
        known.taken.remove(&piece);
        known.troubles.remove(&piece);
    }

    /// Counts a refusal or a doubtful send of this piece: 1 for the first.
    pub fn count_trouble(&self, piece: DeliveryId) -> u32 {
        let mut known = self.known();
        let troubles = known.troubles.entry(piece).or_default();
        *troubles = troubles.saturating_add(1);
        *troubles
    }

    /// Whether the operator should be told again.
    pub fn is_time_to_tell(&self, now: Instant) -> bool {
        let mut known = self.known();
        let is_time = known
            .operator_told
            .is_none_or(|told| now >= told + TOLD_AT_MOST_EVERY);
        if is_time {
            known.operator_told = Some(now);
        }
        is_time
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_of_a_piece_whose_fate_is_recorded() {
        let memory = Memory::default();
        let piece = DeliveryId::derived_from("p");
        memory.remember(piece, &Wamid::new("wamid.A"));
        assert_eq!(memory.count_trouble(piece), 1);
        assert_eq!(memory.count_trouble(piece), 2);

        memory.forget(piece);

        assert_eq!(memory.remembered(piece), None);
        assert_eq!(memory.count_trouble(piece), 1);
    }

    #[test]
    fn a_thousand_waiting_replies_tell_the_operator_once_a_minute() {
        let memory = Memory::default();
        let start = Instant::now();

        let told = |seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            (0..1_000).filter(|_| memory.is_time_to_tell(now)).count()
        };

        assert_eq!((told(0), told(59), told(60)), (1, 0, 1));
    }
}
