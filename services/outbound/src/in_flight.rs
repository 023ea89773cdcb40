use std::{collections::HashMap, time::Duration};

use claw_domain::{DeliveryId, Wamid};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The shortest time between two log messages that the operator is needed, however many replies wait.
const ALERT_INTERVAL: Duration = Duration::from_mins(1);

/// The state of pieces in flight that is not in the database. Losing it costs a wait, never a
/// message.
#[derive(Debug, Default)]
pub struct InFlight(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// Pieces that WhatsApp accepted and that could not be recorded because the database was away.
    accepted: HashMap<DeliveryId, Wamid>,
    /// The number of failed attempts of each piece that may still succeed.
    failures: HashMap<DeliveryId, u32>,
    alerted_at: Option<Instant>,
}

impl InFlight {
    /// Remembers that WhatsApp accepted this piece.
    pub fn remember(&self, piece: DeliveryId, wamid: &Wamid) {
        self.0.lock().accepted.insert(piece, wamid.clone());
    }

    /// WhatsApp's id of this piece, if WhatsApp accepted it and that is not recorded yet.
    pub fn remembered(&self, piece: DeliveryId) -> Option<Wamid> {
        self.0.lock().accepted.get(&piece).cloned()
    }

    /// Forgets a piece whose outcome is in the database.
    pub fn forget(&self, piece: DeliveryId) {
        let mut state = self.0.lock();
        state.accepted.remove(&piece);
        state.failures.remove(&piece);
    }

    /// Counts a refusal of this piece or a send of unknown outcome. Returns the count, 1 for the first.
    pub fn count_failure(&self, piece: DeliveryId) -> u32 {
        let mut state = self.0.lock();
        let failures = state.failures.entry(piece).or_default();
        *failures = failures.saturating_add(1);
        *failures
    }

    /// Whether to alert the operator now. At most one call per [`ALERT_INTERVAL`] returns `true`.
    pub fn should_alert(&self, now: Instant) -> bool {
        let mut state = self.0.lock();
        let is_due = state
            .alerted_at
            .is_none_or(|alerted| now >= alerted + ALERT_INTERVAL);
        if is_due {
            state.alerted_at = Some(now);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_about_a_piece_whose_outcome_is_recorded() {
        let in_flight = InFlight::default();
        let piece = DeliveryId::derived_from("p");
        in_flight.remember(piece, &Wamid::new("wamid.A"));
        assert_eq!(in_flight.count_failure(piece), 1);
        assert_eq!(in_flight.count_failure(piece), 2);

        in_flight.forget(piece);

        assert_eq!(in_flight.remembered(piece), None);
        assert_eq!(in_flight.count_failure(piece), 1);
    }

    #[test]
    fn a_thousand_waiting_replies_alert_the_operator_once_a_minute() {
        let in_flight = InFlight::default();
        let start = Instant::now();

        let alerts = |seconds: u64| {
            let now = start + Duration::from_secs(seconds);
            (0..1_000).filter(|_| in_flight.should_alert(now)).count()
        };

        assert_eq!((alerts(0), alerts(59), alerts(60)), (1, 0, 1));
    }
}
