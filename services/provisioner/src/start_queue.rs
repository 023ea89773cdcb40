//! Decides who starts next. Pure.

use std::collections::BTreeMap;

use claw_domain::SandboxId;

/// Why a sandbox starts; the most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum StartClass {
    /// Somebody waits for the assistant they have had before, in the chat or on the phone.
    Awaited,
    /// A job of its assistant is due.
    Due,
    /// It was ready and ended by itself, or failed before.
    Restart,
    /// It has never been ready.
    Newcomer,
    /// A heartbeat of its assistant is due, which nobody waits for.
    Heartbeat,
    /// It is a spare one, for which nobody waits.
    Pool,
}

/// A place in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// The starts that wait for a permit: the most urgent class first, and within a class in the order of arrival.
#[derive(Debug)]
pub struct StartQueue {
    /// All permits, and those that are free.
    total: usize,
    permits: usize,
    waiting: BTreeMap<(StartClass, Ticket), SandboxId>,
    next: u64,
}

impl StartQueue {
    /// An empty queue with this many permits.
    pub const fn new(permits: usize) -> Self {
        Self {
            total: permits,
            permits,
            waiting: BTreeMap::new(),
            next: 0,
        }
    }

    /// Puts a start at the end of its class.
    pub fn enter(&mut self, sandbox: SandboxId, class: StartClass) -> Ticket {
        let ticket = Ticket(self.next);
        self.next += 1;
        self.waiting.insert((class, ticket), sandbox);
        ticket
    }

    /// Takes a start out of the queue, if it is still in it.
    pub fn leave(&mut self, ticket: Ticket) {
        self.waiting.retain(|(_, waiting), _| *waiting != ticket);
    }

    /// Moves a waiting start to this class, if that is more urgent.
    pub fn raise(&mut self, sandbox: SandboxId, class: StartClass) {
        let below = self.waiting.iter().find_map(|(place, waiting)| {
            (*waiting == sandbox && place.0 > class).then_some(*place)
        });
        if let Some(place) = below {
            self.waiting.remove(&place);
            self.waiting.insert((class, place.1), sandbox);
        }
    }

    /// Gives the next start a permit, if one is free. A start that nobody waits for leaves one permit free for others, unless
    /// there is only one.
    pub fn grant(&mut self) -> Option<Ticket> {
        let ((class, _), _) = self.waiting.first_key_value()?;
        let kept_free = match class {
            StartClass::Heartbeat | StartClass::Pool => self.total.saturating_sub(1).min(1),
            StartClass::Awaited | StartClass::Due | StartClass::Restart | StartClass::Newcomer => 0,
        };
        if self.permits <= kept_free {
            return None;
        }
        let ((_, ticket), _) = self.waiting.pop_first()?;
        self.permits -= 1;
        Some(ticket)
    }

    /// Takes a permit back.
    pub const fn give_back(&mut self) {
        self.permits += 1;
    }

    /// The number of starts that wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_urgent_start_is_next_and_within_a_class_the_first_that_came() {
        use StartClass::{Awaited, Due, Heartbeat, Newcomer, Pool, Restart};
        let mut queue = StartQueue::new(9);
        let entered: Vec<_> = [
            Heartbeat, Newcomer, Restart, Newcomer, Due, Awaited, Restart, Pool, Newcomer,
        ]
        .into_iter()
        .enumerate()
        .map(|(number, class)| queue.enter(sandbox(number), class))
        .collect();

        let granted: Vec<_> = std::iter::from_fn(|| queue.grant()).collect();

        let expected = [5, 4, 2, 6, 1, 3, 8, 0].map(|number: usize| entered[number]);
        assert_eq!(granted, expected);
    }

    #[test]
    fn no_more_starts_are_granted_than_there_are_permits() {
        let mut queue = StartQueue::new(1);
        for number in 0..3 {
            queue.enter(sandbox(number), StartClass::Restart);
        }

        assert!(queue.grant().is_some());
        assert_eq!(queue.grant(), None);
        queue.give_back();
        assert!(queue.grant().is_some());
    }

    #[test]
    fn a_start_that_somebody_begins_to_wait_for_overtakes_the_others() {
        let mut queue = StartQueue::new(3);
        let first = queue.enter(sandbox(1), StartClass::Restart);
        let second = queue.enter(sandbox(2), StartClass::Restart);

        queue.raise(sandbox(2), StartClass::Awaited);
        queue.raise(sandbox(2), StartClass::Newcomer);

        assert_eq!(queue.grant(), Some(second));
        assert_eq!(queue.grant(), Some(first));
    }

    #[test]
    fn a_start_that_left_is_not_granted() {
        let mut queue = StartQueue::new(1);
        let left = queue.enter(sandbox(1), StartClass::Awaited);
        let stays = queue.enter(sandbox(2), StartClass::Newcomer);

        queue.leave(left);

        assert_eq!(queue.grant(), Some(stays));
        assert_eq!(queue.waiting(), 0);
    }

    fn sandbox(number: usize) -> SandboxId {
        SandboxId::derived_from(&number.to_string())
    }
}
