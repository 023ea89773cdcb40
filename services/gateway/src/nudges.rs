use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use claw_domain::UserId;
use tokio::sync::Notify;

/// Wakes those who wait for news about a person's sandbox. News is only a reason to look at the
/// database again, so a lost one costs time and nothing else.
#[derive(Clone, Default)]
pub(crate) struct Nudges {
    waiting: Arc<Mutex<HashMap<UserId, Arc<Notify>>>>,
}

impl Nudges {
    /// Begins to listen for news about `user`; whatever comes from now on is heard.
    pub(crate) fn listen(&self, user: UserId) -> Listener {
        let notify = Arc::clone(self.lock().entry(user).or_default());
        Listener {
            nudges: self.clone(),
            user,
            notify,
        }
    }

    /// There is news about `user`.
    pub(crate) fn nudge(&self, user: UserId) {
        if let Some(notify) = self.lock().get(&user) {
            notify.notify_one();
        }
    }

    /// There may be news about anyone.
    pub(crate) fn nudge_all(&self) {
        for notify in self.lock().values() {
            notify.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<UserId, Arc<Notify>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One who waits; a person has one lane, hence at most one.
pub(crate) struct Listener {
    nudges: Nudges,
    user: UserId,
    notify: Arc<Notify>,
}

impl Listener {
    /// Returns at the next news, or at once when there was some since the last call.
    pub(crate) async fn news(&self) {
        self.notify.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.nudges.lock().remove(&self.user);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn news_that_comes_between_two_looks_is_not_missed() {
        let nudges = Nudges::default();
        let ada = UserId::derived_from("ada");
        let listener = nudges.listen(ada);

        nudges.nudge(ada);

        listener.news().await;
    }

    #[test]
    fn nobody_who_left_is_remembered() {
        let nudges = Nudges::default();
        drop(nudges.listen(UserId::derived_from("ada")));

        assert!(nudges.lock().is_empty());
    }
}
