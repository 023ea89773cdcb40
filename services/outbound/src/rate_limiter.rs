//! The rate limit of our WhatsApp number, shared by all lanes.

use std::{num::NonZeroU32, time::Duration};

use claw_domain::Backoff;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// The pauses after WhatsApp throttled the number. They grow while WhatsApp still throttles it after a pause.
const PAUSES: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_mins(1),
};

/// Gives out evenly spaced slots for sends, and none during a pause.
pub struct RateLimiter(Mutex<Schedule>);

impl RateLimiter {
    /// A limiter that gives out at most this many slots in any second.
    pub fn new(messages_per_second: NonZeroU32, now: Instant) -> Self {
        Self(Mutex::new(Schedule {
            interval: Duration::from_secs(1) / messages_per_second.get(),
            next_free: now,
            paused_until: now,
            pauses: 0,
        }))
    }

    /// Waits for a slot.
    pub async fn acquire(&self) {
        let mut slot = self.0.lock().reserve(Instant::now());
        loop {
            sleep_until(slot).await;
            // A pause may have begun meanwhile.
            match self.0.lock().postponed(slot) {
                Some(later) => slot = later,
                None => return,
            }
        }
    }

    /// Takes a slot if one is free now.
    pub fn try_acquire(&self) -> bool {
        self.0.lock().try_reserve(Instant::now())
    }

    /// Pauses all sends because WhatsApp throttled the number. Returns the length of the pause.
    pub fn pause(&self) -> Duration {
        let pause = self.0.lock().pause(Instant::now());
        warn!(
            pause_seconds = pause.as_secs_f32(),
            "WhatsApp throttles our number: all sends pause"
        );
        pause
    }

    /// Notes that WhatsApp accepted a message, after which the next pause is a short one again.
    pub fn note_success(&self) {
        self.0.lock().note_success(Instant::now());
    }

    /// Whether sends are paused.
    pub fn is_paused(&self) -> bool {
        self.0.lock().paused_until > Instant::now()
    }
}

/// The limiter's state and rules, without a clock.
struct Schedule {
    interval: Duration,
    next_free: Instant,
    paused_until: Instant,
    /// Pauses since WhatsApp last accepted a message.
    pauses: u32,
}

impl Schedule {
    /// Takes the next free slot.
    fn reserve(&mut self, now: Instant) -> Instant {
        let slot = self.next_free.max(self.paused_until).max(now);
        self.next_free = slot + self.interval;
        slot
    }

    fn try_reserve(&mut self, now: Instant) -> bool {
        let is_free = self.next_free.max(self.paused_until) <= now;
        if is_free {
            self.reserve(now);
        }
        is_free
    }

    /// A new slot in place of one that a pause has overtaken.
    fn postponed(&mut self, slot: Instant) -> Option<Instant> {
        (slot < self.paused_until).then(|| self.reserve(slot))
    }

    fn pause(&mut self, now: Instant) -> Duration {
        let is_paused = self.paused_until > now;
        // Many lanes report the same throttling at once; it counts once.
        if is_paused {
            return self.paused_until - now;
        }
        self.pauses = self.pauses.saturating_add(1);
        let pause = PAUSES.delay(self.pauses);
        self.paused_until = now + pause;
        self.next_free = self.paused_until;
        pause
    }

    fn note_success(&mut self, now: Instant) {
        let is_paused = self.paused_until > now;
        if !is_paused {
            self.pauses = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(start: Instant) -> Schedule {
        Schedule {
            interval: Duration::from_millis(100),
            next_free: start,
            paused_until: start,
            pauses: 0,
        }
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn slots_are_evenly_spaced_and_unused_ones_do_not_accumulate() {
        let start = Instant::now();
        let mut schedule = schedule(start);

        let slots: Vec<_> = (0..3).map(|_| schedule.reserve(start) - start).collect();

        assert_eq!(slots, [ms(0), ms(100), ms(200)]);
        let much_later = start + ms(60_000);
        assert_eq!(schedule.reserve(much_later), much_later);
        assert_eq!(schedule.reserve(much_later), much_later + ms(100));
    }

    #[test]
    fn a_slot_is_free_only_if_nobody_waits_and_sends_are_not_paused() {
        let start = Instant::now();
        let mut schedule = schedule(start);

        assert!(schedule.try_reserve(start));
        assert!(!schedule.try_reserve(start + ms(99)));
        assert!(schedule.try_reserve(start + ms(100)));
        schedule.pause(start + ms(200));
        assert!(!schedule.try_reserve(start + ms(1_100)));
        assert!(schedule.try_reserve(start + ms(1_200)));
    }

    #[test]
    fn a_pause_postpones_every_reserved_slot() {
        let start = Instant::now();
        let mut schedule = schedule(start);
        schedule.reserve(start);
        let waiting = schedule.reserve(start);

        schedule.pause(start);

        assert_eq!(schedule.postponed(waiting), Some(start + ms(1_000)));
        assert_eq!(schedule.reserve(start), start + ms(1_100));
        assert_eq!(schedule.postponed(start + ms(1_100)), None);
    }

    #[test]
    fn pauses_grow_until_a_message_is_accepted() {
        let start = Instant::now();
        let mut schedule = schedule(start);

        assert_eq!(schedule.pause(start), ms(1_000));
        assert_eq!(
            schedule.pause(start + ms(400)),
            ms(600),
            "the same throttling counts once"
        );
        assert_eq!(schedule.pause(start + ms(2_000)), ms(2_000));
        schedule.note_success(start + ms(3_000));
        assert_eq!(
            schedule.pause(start + ms(5_000)),
            ms(4_000),
            "a message accepted during a pause does not shorten the next"
        );
        schedule.note_success(start + ms(10_000));
        assert_eq!(schedule.pause(start + ms(10_000)), ms(1_000));
    }

    #[test]
    fn pauses_do_not_grow_beyond_the_longest() {
        let start = Instant::now();
        let mut schedule = schedule(start);

        let longest = (0..20)
            .map(|hour| schedule.pause(start + ms(hour * 3_600_000)))
            .max();

        assert_eq!(longest, Some(PAUSES.longest));
    }
}
