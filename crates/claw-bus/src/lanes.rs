use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    hash::Hash,
    mem,
};

/// Queues of work by key: one item of a key runs at a time, many keys at once.
///
/// Bounded by the consumer's limit of unacknowledged events.
pub(crate) struct Lanes<K, W> {
    /// The lane of each key that has a running or a parked item.
    lanes: HashMap<K, Lane<W>>,
}

struct Lane<W> {
    is_running: bool,
    waiting: VecDeque<W>,
    /// Items that ran and have to run again, in their order. They let waiting ones pass until they are unparked.
    parked: VecDeque<W>,
}

impl<K: Eq + Hash, W> Lanes<K, W> {
    pub(crate) fn new() -> Self {
        Self {
            lanes: HashMap::new(),
        }
    }

    /// Adds an item; returns it if it may start now, keeps it if its lane is busy.
    pub(crate) fn admit(&mut self, key: K, work: W) -> Option<W> {
        match self.lanes.entry(key) {
            Entry::Vacant(lane) => {
                lane.insert(Lane {
                    is_running: true,
                    waiting: VecDeque::new(),
                    parked: VecDeque::new(),
                });
                Some(work)
            }
            Entry::Occupied(mut lane) => {
                let lane = lane.get_mut();
                if mem::replace(&mut lane.is_running, true) {
                    lane.waiting.push_back(work);
                    return None;
                }
                Some(work)
            }
        }
    }

    /// Ends the running item of `key` and returns the next one, which may start now.
    pub(crate) fn finish(&mut self, key: &K) -> Option<W> {
        let lane = self.lanes.get_mut(key)?;
        let next = lane.waiting.pop_front();
        lane.is_running = next.is_some();
        if next.is_none() && lane.parked.is_empty() {
            self.lanes.remove(key);
        }
        next
    }

    /// Parks the running item of `key`, which is then to be finished. Returns whether it is the only parked one.
    pub(crate) fn park(&mut self, key: &K, work: W) -> bool {
        let Some(lane) = self.lanes.get_mut(key) else {
            return false;
        };
        lane.parked.push_back(work);
        lane.parked.len() == 1
    }

    /// Puts the parked items of `key` before its waiting ones. Returns the first if it may start now.
    pub(crate) fn unpark(&mut self, key: &K) -> Option<W> {
        let lane = self.lanes.get_mut(key)?;
        let waiting = mem::take(&mut lane.waiting);
        lane.waiting = mem::take(&mut lane.parked);
        lane.waiting.extend(waiting);
        if lane.is_running {
            None
        } else {
            self.finish(key)
        }
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

    #[test]
    fn parked_items_let_others_pass_and_go_first_when_they_are_unparked() {
        let mut lanes = Lanes::new();
        lanes.admit("ada", 1);
        lanes.admit("ada", 2);

        assert!(lanes.park(&"ada", 1));
        assert_eq!(lanes.finish(&"ada"), Some(2));
        assert!(!lanes.park(&"ada", 2), "the second one waits for the first");
        assert_eq!(lanes.finish(&"ada"), None);
        assert_eq!(lanes.admit("ada", 3), Some(3), "a later one is tried");
        assert_eq!(lanes.admit("ada", 4), None);
        assert_eq!(lanes.unpark(&"ada"), None, "one item runs at a time");

        let order: Vec<_> = std::iter::from_fn(|| lanes.finish(&"ada")).collect();
        assert_eq!(order, [1, 2, 4]);
        assert_eq!(lanes.unpark(&"ada"), None);
        assert_eq!(lanes.admit("ada", 5), Some(5));
    }

    #[test]
    fn the_first_parked_item_starts_if_none_runs() {
        let mut lanes = Lanes::new();
        lanes.admit("ada", 1);
        lanes.park(&"ada", 1);
        lanes.finish(&"ada");

        assert_eq!(lanes.unpark(&"ada"), Some(1));
        assert_eq!(lanes.admit("ada", 2), None);
    }
}
