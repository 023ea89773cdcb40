use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{sync::OnceCell, time::Instant};

/// How long a document is kept for Twilio's repetition of a request, which comes within its time limits
/// of 15 s each, five times at most.
const KEPT: Duration = Duration::from_mins(2);

/// Most documents kept: some 64 MB of the largest, and 2 MB of ordinary ones.
const MOST: usize = 1_000;

/// What we answered lately, under the token by which Twilio's repetitions are known. A repetition that comes
/// while the first is still being answered waits for the same answer.
#[derive(Default)]
pub(crate) struct Recent(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    answers: HashMap<String, Answer>,
    order: VecDeque<(Instant, String)>,
}

type Answer = Arc<OnceCell<Arc<str>>>;

impl Recent {
    /// The document answered to a request with this token before, or what `make` makes of it now.
    pub(crate) async fn answer<F>(&self, token: Option<&str>, make: F) -> Arc<str>
    where
        F: Future<Output = Arc<str>>,
    {
        match token {
            Some(token) => {
                let place = self.place(token, Instant::now());
                Arc::clone(place.get_or_init(|| make).await)
            }
            None => make.await,
        }
    }

    fn place(&self, token: &str, now: Instant) -> Answer {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some((at, oldest)) = kept.order.front()
            && (*at + KEPT < now || kept.order.len() >= MOST)
        {
            let oldest = oldest.clone();
            kept.answers.remove(&oldest);
            kept.order.pop_front();
        }
        if let Some(known) = kept.answers.get(token) {
            return Arc::clone(known);
        }
        let place = Answer::default();
        kept.order.push_back((now, token.to_owned()));
        kept.answers.insert(token.to_owned(), Arc::clone(&place));
        place
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_repetition_gets_the_same_document_and_nothing_runs_twice() {
        let recent = Recent::default();

        let first = recent.answer(Some("a"), async { "one".into() }).await;
        let again = recent.answer(Some("a"), async { "two".into() }).await;
        let other = recent.answer(Some("b"), async { "three".into() }).await;

        assert_eq!([&*first, &*again, &*other], ["one", "one", "three"]);
    }

    #[tokio::test]
    async fn requests_without_a_token_are_not_taken_for_one_another() {
        let recent = Recent::default();

        recent.answer(None, async { "one".into() }).await;

        assert_eq!(&*recent.answer(None, async { "two".into() }).await, "two");
    }

    #[tokio::test(start_paused = true)]
    async fn documents_are_kept_for_a_while_and_not_without_end() {
        let recent = Recent::default();
        let kept = |token: String| {
            recent.place(&token, Instant::now());
            recent.0.lock().unwrap().answers.len()
        };

        for number in 0..=MOST {
            assert!(kept(number.to_string()) <= MOST);
        }
        tokio::time::advance(KEPT * 2).await;
        assert_eq!(kept("late".to_owned()), 1);
    }
}
