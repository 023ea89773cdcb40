use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::{sync::OnceCell, time::Instant};

/// How long a document is kept. Twilio repeats a request at most five times, each within its limit of 15 s.
const KEPT_FOR: Duration = Duration::from_mins(2);

/// Most documents kept: 64 MB of the largest, or 2 MB of ordinary ones.
const MAX_DOCUMENTS: usize = 1_000;

/// The latest documents, by the idempotency token of Twilio's request. A repetition that arrives while the
/// first request is being answered waits for the same document.
#[derive(Default)]
pub(crate) struct ResponseCache(Mutex<Documents>);

#[derive(Default)]
struct Documents {
    by_token: HashMap<String, Cell>,
    order: VecDeque<(Instant, String)>,
}

type Cell = Arc<OnceCell<Arc<str>>>;

impl ResponseCache {
    /// The document for this token, or else the result of `make`. Requests without a token are not cached.
    pub(crate) async fn get_or_make<F>(&self, token: Option<&str>, make: F) -> Arc<str>
    where
        F: Future<Output = Arc<str>>,
    {
        match token {
            Some(token) => {
                let cell = self.cell(token, Instant::now());
                Arc::clone(cell.get_or_init(|| make).await)
            }
            None => make.await,
        }
    }

    fn cell(&self, token: &str, now: Instant) -> Cell {
        let mut documents = self.0.lock();
        while let Some((at, oldest)) = documents.order.front()
            && (*at + KEPT_FOR < now || documents.order.len() >= MAX_DOCUMENTS)
        {
            let oldest = oldest.clone();
            documents.by_token.remove(&oldest);
            documents.order.pop_front();
        }
        if let Some(known) = documents.by_token.get(token) {
            return Arc::clone(known);
        }
        let cell = Cell::default();
        documents.order.push_back((now, token.to_owned()));
        documents
            .by_token
            .insert(token.to_owned(), Arc::clone(&cell));
        cell
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_repeated_request_gets_the_same_document_and_runs_nothing_twice() {
        let cache = ResponseCache::default();

        let first = cache.get_or_make(Some("a"), async { "one".into() }).await;
        let again = cache.get_or_make(Some("a"), async { "two".into() }).await;
        let other = cache.get_or_make(Some("b"), async { "three".into() }).await;

        assert_eq!([&*first, &*again, &*other], ["one", "one", "three"]);
    }

    #[tokio::test]
    async fn requests_without_a_token_are_distinct() {
        let cache = ResponseCache::default();

        cache.get_or_make(None, async { "one".into() }).await;

        let second = cache.get_or_make(None, async { "two".into() }).await;
        assert_eq!(&*second, "two");
    }

    #[tokio::test(start_paused = true)]
    async fn documents_are_limited_in_age_and_number() {
        let cache = ResponseCache::default();
        let count_with = |token: String| {
            cache.cell(&token, Instant::now());
            cache.0.lock().by_token.len()
        };

        for number in 0..=MAX_DOCUMENTS {
            assert!(count_with(number.to_string()) <= MAX_DOCUMENTS);
        }
        tokio::time::advance(KEPT_FOR * 2).await;
        assert_eq!(count_with("late".to_owned()), 1);
    }
}
