use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::Hash,
};

/// Queues of work by key: one item of a key runs at a time, many keys at once.
///
/// Bounded by the consumer's limit of unacknowledged events.
pub(crate) struct Lanes<K, W> {
    /// The waiting items of each key that has a running one.
    waiting: HashMap<K, VecDeque<W>>,
}

impl<K: Eq + Hash, W> Lanes<K, W> {
    pub(crate) fn new() -> Self {
        Self {
            waiting: HashMap::new(),
        }
    }

    /// Adds an item; returns it if it may start now, keeps it if its lane is busy.
    pub(crate) fn admit(&mut self, key: K, work: W) -> Option<W> {
        match self.waiting.entry(key) {
            Entry::Vacant(lane) => {
                lane.insert(VecDeque::new());
                Some(work)
            }
            Entry::Occupied(mut lane) => {
                lane.get_mut().push_back(work);
                None
            }
        }
    }

    /// Ends the running item of `key` and returns the next one, which may start now.
    pub(crate) fn finish(&mut self, key: &K) -> Option<W> {
        let next = self.waiting.get_mut(key).and_then(VecDeque::pop_front);
        if next.is_none() {
            self.waiting.remove(key);
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_items_of_a_key_run_in_order_and_one_at_a_time() {
        let mut lanes = Lanes::new();

        assert_eq!(lanes.admit("ada", 1), Some(1));
        assert_eq!(lanes.admit("ada", 2), None);
        assert_eq!(lanes.admit("ada", 3), None);
        assert_eq!(lanes.finish(&"ada"), Some(2));
        assert_eq!(lanes.finish(&"ada"), Some(3));
        assert_eq!(lanes.finish(&"ada"), None);
        assert_eq!(
            lanes.admit("ada", 4),
            Some(4),
            "an idle lane did not start its item"
        );
    }

    #[test]
    fn keys_do_not_wait_for_one_another() {
        let mut lanes = Lanes::new();

        assert_eq!(lanes.admit("ada", 1), Some(1));
        assert_eq!(lanes.admit("bob", 2), Some(2));
    }
}
