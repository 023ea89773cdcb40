use std::{collections::HashMap, fmt, hash::Hash, sync::Arc};

use parking_lot::Mutex;
use tokio::sync::watch;

/// Wakes the tasks that wait for a change of a key's state. A notification carries no value and is not kept
/// for later listeners: a task first listens, and then reads the state it waits for.
pub struct KeyedNotify<K: Eq + Hash>(Channels<K>);

type Channels<K> = Arc<Mutex<HashMap<K, watch::Sender<()>>>>;

impl<K: Eq + Hash + Clone> KeyedNotify<K> {
    /// Listens for notifications about `key`, from this call on.
    pub fn listen(&self, key: K) -> Listener<K> {
        let receiver = self.0.lock().entry(key.clone()).or_default().subscribe();
        Listener {
            channels: Arc::clone(&self.0),
            key,
            receiver: Some(receiver),
        }
    }

    /// Wakes every listener of `key`.
    pub fn notify(&self, key: &K) {
        if let Some(channel) = self.0.lock().get(key) {
            channel.send_replace(());
        }
    }

    /// Wakes every listener of every key.
    pub fn notify_all(&self) {
        for channel in self.0.lock().values() {
            channel.send_replace(());
        }
    }
}

impl<K: Eq + Hash> Default for KeyedNotify<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Eq + Hash> Clone for KeyedNotify<K> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<K: Eq + Hash> fmt::Debug for KeyedNotify<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyedNotify({} keys)", self.0.lock().len())
    }
}

/// Listens for notifications about one key until it is dropped.
pub struct Listener<K: Eq + Hash> {
    channels: Channels<K>,
    key: K,
    /// Always set, except while the listener is being dropped.
    receiver: Option<watch::Receiver<()>>,
}

impl<K: Eq + Hash> Listener<K> {
    /// Resolves once there has been a notification since the last call, or since the listener was created.
    pub async fn notified(&mut self) {
        if let Some(receiver) = &mut self.receiver {
            // The channel lives in the map for as long as this listener does.
            let _ = receiver.changed().await;
        }
    }
}

impl<K: Eq + Hash> Drop for Listener<K> {
    fn drop(&mut self) {
        let mut channels = self.channels.lock();
        drop(self.receiver.take());
        if channels
            .get(&self.key)
            .is_some_and(|channel| channel.receiver_count() == 0)
        {
            channels.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn a_notification_before_the_wait_is_not_missed() {
        let notify = KeyedNotify::default();
        let mut listener = notify.listen("a");

        notify.notify(&"a");
        notify.notify(&"b");

        assert!(listener.notified().now_or_never().is_some());
        assert!(listener.notified().now_or_never().is_none());
    }

    #[test]
    fn every_listener_of_a_key_is_woken_and_no_other() {
        let notify = KeyedNotify::default();
        let mut listeners = ["a", "a", "b"].map(|key| notify.listen(key));

        notify.notify(&"a");
        let woken = listeners
            .each_mut()
            .map(|listener| listener.notified().now_or_never().is_some());
        assert_eq!(woken, [true, true, false]);

        notify.notify_all();
        assert!(
            listeners
                .iter_mut()
                .all(|listener| listener.notified().now_or_never().is_some())
        );
    }

    #[test]
    fn a_key_is_removed_with_its_last_listener() {
        let notify = KeyedNotify::default();
        let (first, second) = (notify.listen("a"), notify.listen("a"));

        drop(first);
        assert_eq!(notify.0.lock().len(), 1);
        drop(second);

        assert!(notify.0.lock().is_empty());
    }
}
