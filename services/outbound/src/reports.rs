use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use claw_domain::DeliveryId;
use tokio::sync::Notify;

/// Wakes whoever waits for a report about a piece. Only a nudge: the truth is in the database.
#[derive(Debug, Clone, Default)]
pub struct Reports(Arc<Mutex<HashMap<DeliveryId, Arc<Notify>>>>);

impl Reports {
    /// Listens for reports about this piece, from this call on. Each piece has one listener, its lane.
    pub fn listen(&self, piece: DeliveryId) -> Listener {
        let news = Arc::clone(self.map().entry(piece).or_default());
        Listener {
            reports: self.clone(),
            piece,
            news,
        }
    }

    /// A report about this piece is in the database.
    pub fn announce(&self, piece: DeliveryId) {
        if let Some(news) = self.map().get(&piece) {
            news.notify_one();
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<DeliveryId, Arc<Notify>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Someone who waits for reports about one piece.
#[derive(Debug)]
pub struct Listener {
    reports: Reports,
    piece: DeliveryId,
    news: Arc<Notify>,
}

impl Listener {
    /// Resolves when there was a report since the last call.
    pub async fn heard(&self) {
        self.news.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.reports.map().remove(&self.piece);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_report_between_two_looks_is_not_missed() {
        let reports = Reports::default();
        let piece = DeliveryId::derived_from("p");
        let listener = reports.listen(piece);

        reports.announce(piece);
        reports.announce(DeliveryId::derived_from("other"));

        assert!(listener.heard().now_or_never().is_some());
        assert!(listener.heard().now_or_never().is_none());
    }

    #[test]
    fn nothing_is_kept_for_those_who_left() {
        let reports = Reports::default();
        let piece = DeliveryId::derived_from("p");

        drop(reports.listen(piece));
        reports.announce(piece);

        assert!(reports.map().is_empty());
    }
}
