//! What all lanes share: how fast the one number may send.

use std::{
    num::NonZeroU32,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use claw_domain::Backoff;
use tokio::time::{Instant, sleep_until};
use tracing::warn;

/// The pauses of the number after WhatsApp throttled it. They grow while WhatsApp still throttles it
/// after a pause.
const REST: Backoff = Backoff {
    first: Duration::from_secs(1),
    longest: Duration::from_mins(1),
};

/// Lets sends through evenly spaced, and nobody while the number rests.
pub struct Gate(Mutex<Schedule>);

impl Gate {
    /// A gate that lets this many through in any second.
    pub fn new(messages_per_second: NonZeroU32, now: Instant) -> Self {
        Self(Mutex::new(Schedule {
            interval: Duration::from_secs(1) / messages_per_second.get(),
            next_free: now,
            resting_until: now,
            rests: 0,
        }))
    }

    /// Waits for its turn.
    pub async fn pass(&self) {
        let mut turn = self.schedule().reserve(Instant::now());
        loop {
            sleep_until(turn).await;
            // Who was already waiting when the number was sent to rest, waits on.
            match self.schedule().postponed(turn) {
                Some(later) => turn = later,
                None => return,
            }
        }
    }

    /// Sends the number to rest: WhatsApp found it too fast. Tells for how long.
    pub fn slow_down(&self) -> Duration {
        let pause = self.schedule().rest(Instant::now());
        warn!(
            pause_seconds = pause.as_secs_f32(),
            "WhatsApp finds our number too fast: all sends pause"
        );
        pause
    }

    /// WhatsApp took a message: the next rest is a short one again.
    pub fn went_well(&self) {
        self.schedule().recover(Instant::now());
    }

    /// Whether the number rests.
    pub fn is_resting(&self) -> bool {
        self.schedule().resting_until > Instant::now()
    }

    fn schedule(&self) -> MutexGuard<'_, Schedule> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The rule behind the gate, without a clock.
struct Schedule {
    interval: Duration,
    next_free: Instant,
    resting_until: Instant,
    /// Rests since WhatsApp last took a message.
    rests: u32,
}

impl Schedule {
    /// Takes the next free turn.
    fn reserve(&mut self, now: Instant) -> Instant {
        let turn = self.next_free.max(self.resting_until).max(now);
        self.next_free = turn + self.interval;
        turn
    }

    /// The new turn of who reserved one before the rest began.
    fn postponed(&mut self, turn: Instant) -> Option<Instant> {
        (turn < self.resting_until).then(|| self.reserve(turn))
    }

    fn rest(&mut self, now: Instant) -> Duration {
        let is_resting = self.resting_until > now;
        // Many lanes learn of the same excess at once: it counts once.
        if is_resting {
            return self.resting_until - now;
        }
        self.rests = self.rests.saturating_add(1);
        let pause = REST.delay(self.rests);
        self.resting_until = now + pause;
        self.next_free = self.resting_until;
        pause
    }

    fn recover(&mut self, now: Instant) {
        let is_resting = self.resting_until > now;
        if !is_resting {
            self.rests = 0;
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
            resting_until: start,
            rests: 0,
        }
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn turns_are_evenly_spaced_and_unused_ones_do_not_pile_up() {
        let start = Instant::now();
        let mut schedule = schedule(start);

        let turns: Vec<_> = (0..3).map(|_| schedule.reserve(start) - start).collect();

        assert_eq!(turns, [ms(0), ms(100), ms(200)]);
        let much_later = start + ms(60_000);
        assert_eq!(schedule.reserve(much_later), much_later);
        assert_eq!(schedule.reserve(much_later), much_later + ms(100));
    }

    #[test]
    fn a_rest_postpones_everyone_who_waits() {
        let start = Instant::now();
        let mut schedule = schedule(start);
        schedule.reserve(start);
        let waiting = schedule.reserve(start);

        schedule.rest(start);

        assert_eq!(schedule.postponed(waiting), Some(start + ms(1_000)));
        assert_eq!(schedule.reserve(start), start + ms(1_100));
        assert_eq!(schedule.postponed(start + ms(1_100)), None);
    }

    #[test]
    fn rests_grow_until_a_message_is_taken() {
        let start = Instant::now();
        let mut schedule = schedule(start);

        assert_eq!(schedule.rest(start), ms(1_000));
        assert_eq!(schedule.rest(start + ms(400)), ms(600), "the same excess");
        assert_eq!(schedule.rest(start + ms(2_000)), ms(2_000));
        schedule.recover(start + ms(3_000));
        assert_eq!(
            schedule.rest(start + ms(5_000)),
            ms(4_000),
            "taken during the rest"
        );
        schedule.recover(start + ms(10_000));
        assert_eq!(schedule.rest(start + ms(10_000)), ms(1_000));
    }

    #[test]
    fn a_rest_has_a_longest_length() {
        let start = Instant::now();
        let mut schedule = schedule(start);

        let longest = (0..20)
            .map(|hour| schedule.rest(start + ms(hour * 3_600_000)))
            .max();

        assert_eq!(longest, Some(REST.longest));
    }
}
