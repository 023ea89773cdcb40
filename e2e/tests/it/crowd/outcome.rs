//! The outcome of each message as the simulators saw it: when it was written, when the assistant got it, and
//! when the phone received the answer.

use std::{collections::HashMap, fmt, ops::RangeInclusive};

use e2e::harness::World;
use sim_meta::{MetaStats, Speaker};
use sim_openclaw::OpenClawStats;

use super::{Crowd, number};

/// Messages written in this time after an outage count as affected by the takeover.
const TAKEOVER_MS: i64 = 3_000;

/// The outcome of a crowd's messages.
pub struct Outcome {
    messages: Vec<MessageRecord>,
    out_of_order: usize,
    assistants: OpenClawStats,
    meta: MetaStats,
}

/// The times of one message, in milliseconds since 1970.
#[derive(Default)]
#[expect(clippy::struct_field_names, reason = "the unit is the suffix")]
struct MessageRecord {
    written_ms: i64,
    /// Each time the message was stored in the assistant's transcript.
    asked_ms: Vec<i64>,
    /// Each time the phone received an answer with the message's number.
    answered_ms: Vec<i64>,
}

/// Durations in milliseconds, sorted.
pub struct Times(Vec<i64>);

impl Outcome {
    /// Reads the outcome so far from the phones and the transcripts.
    pub(super) fn of(crowd: &Crowd, world: &World) -> Self {
        let mut outcome = Self {
            messages: Vec::new(),
            out_of_order: 0,
            assistants: world.openclaw.as_ref().unwrap().stats(),
            meta: world.meta.stats(),
        };
        for user in 0..crowd.users {
            let mut records = HashMap::new();
            for message in 0..crowd.messages_each {
                records.insert(crowd.token(user, message), MessageRecord::default());
            }
            read_phone(world, user, &mut records);
            outcome.out_of_order += order_violations(world, user);
            read_transcript(world, user, &mut records);
            outcome.messages.extend(records.into_values());
        }
        outcome
    }

    /// The number of messages without an answer.
    pub fn lost(&self) -> usize {
        let lost = |record: &&MessageRecord| record.answered_ms.is_empty();
        self.messages.iter().filter(lost).count()
    }

    /// The number of messages with more than one answer.
    pub fn doubled(&self) -> usize {
        let doubled = |record: &&MessageRecord| record.answered_ms.len() > 1;
        self.messages.iter().filter(doubled).count()
    }

    /// The number of messages that are in a transcript more than once.
    pub fn asked_again(&self) -> usize {
        let again = |record: &&MessageRecord| record.asked_ms.len() > 1;
        self.messages.iter().filter(again).count()
    }

    /// The time from each message to its answer.
    pub fn latencies(&self) -> Times {
        self.times(|_| true, MessageRecord::latency)
    }

    /// The latencies of messages written from 0 to 3 s after one of these moments.
    pub fn takeovers(&self, moments_ms: &[i64]) -> Times {
        let is_near = |record: &MessageRecord| {
            moments_ms
                .iter()
                .any(|at| (*at..=at + TAKEOVER_MS).contains(&record.written_ms))
        };
        self.times(is_near, MessageRecord::latency)
    }

    /// The time until the assistant got each message that was written in this period.
    pub fn waits(&self, written_ms: &RangeInclusive<i64>) -> Times {
        let is_in_range = |record: &MessageRecord| written_ms.contains(&record.written_ms);
        self.times(is_in_range, MessageRecord::wait)
    }

    pub(super) fn print(&self) {
        let (messages, lost) = (self.messages.len(), self.lost());
        eprintln!(
            "{} of {messages} messages answered: {lost} lost, {} doubled, {} out of order, {} asked \
             twice, {} runs overlapped; from message to answer {}",
            messages - lost,
            self.doubled(),
            self.out_of_order,
            self.asked_again(),
            self.assistants.overlaps,
            self.latencies()
        );
        for doubled in self.messages.iter().filter(|of| of.answered_ms.len() > 1) {
            eprintln!("a message was answered after {:?} ms", doubled.latencies());
        }
        eprintln!("Meta: {:?}\nassistants: {:?}", self.meta, self.assistants);
    }

    pub(super) fn check(&self) {
        self.check_answers();
        assert_eq!(
            self.asked_again(),
            0,
            "messages that the assistant got twice"
        );
        let assistants = &self.assistants;
        assert_eq!(assistants.overlaps, 0, "a run began during another");
        assert_eq!(assistants.answered_again, 0, "a message was answered again");
        let proactive = assistants.resumed + assistants.lost + assistants.heartbeats;
        let asked = usize::try_from(assistants.turns - proactive).unwrap();
        assert!(
            asked <= self.messages.len(),
            "{asked} turns are more than the messages"
        );
    }

    /// Checks what the phones received.
    pub(super) fn check_answers(&self) {
        assert_eq!(self.lost(), 0, "messages without an answer");
        assert_eq!(self.doubled(), 0, "messages answered twice");
        assert_eq!(self.out_of_order, 0, "answers out of order");
        assert_eq!(self.meta.duplicate_trackers, 0, "a piece was sent twice");
        assert_eq!(self.meta.untracked, 0);
    }

    fn times(
        &self,
        counts: impl Fn(&MessageRecord) -> bool,
        time: impl Fn(&MessageRecord) -> Option<i64>,
    ) -> Times {
        let counted = self.messages.iter().filter(|record| counts(record));
        counted.filter_map(time).collect()
    }
}

impl MessageRecord {
    fn latency(&self) -> Option<i64> {
        self.latencies().first().copied()
    }

    /// The time until each answer; several if the message was answered several times.
    fn latencies(&self) -> Vec<i64> {
        let answered = self.answered_ms.iter();
        answered
            .map(|answered| answered - self.written_ms)
            .collect()
    }

    fn wait(&self) -> Option<i64> {
        let asked = self.asked_ms.first()?;
        Some(asked - self.written_ms)
    }
}

impl FromIterator<i64> for Times {
    fn from_iter<T: IntoIterator<Item = i64>>(times: T) -> Self {
        let mut times: Vec<i64> = times.into_iter().collect();
        times.sort_unstable();
        Self(times)
    }
}

impl Times {
    /// The percentile in milliseconds; 0 if nothing was measured.
    pub fn percentile(&self, percent: usize) -> i64 {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied().unwrap_or_default()
    }
}

impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "p50 {} ms, p95 {} ms, p99 {} ms, longest {} ms ({} measured)",
            self.percentile(50),
            self.percentile(95),
            self.percentile(99),
            self.percentile(100),
            self.0.len()
        )
    }
}

fn read_phone(world: &World, user: u32, records: &mut HashMap<u32, MessageRecord>) {
    for line in world.meta.chat(&number(user)).lines {
        for token in tokens(&line.text) {
            let Some(record) = records.get_mut(&token) else {
                continue;
            };
            match line.from {
                Speaker::User => record.written_ms = line.at_ms,
                Speaker::Business => record.answered_ms.push(line.at_ms),
            }
        }
    }
}

fn read_transcript(world: &World, user: u32, records: &mut HashMap<u32, MessageRecord>) {
    let assistant = world.assistant_of(&number(user)).unwrap();
    let transcript = world.openclaw.as_ref().unwrap().transcript(&assistant);
    for row in transcript.iter().filter(|row| row.role == "user") {
        for token in tokens(&row.text) {
            if let Some(record) = records.get_mut(&token) {
                record.asked_ms.push(row.stored_at_ms);
            }
        }
    }
}

/// How often an earlier message was answered after a later one. Tokens grow with each message.
fn order_violations(world: &World, user: u32) -> usize {
    let chat = world.meta.chat(&number(user));
    let texts = chat.received_texts();
    let heard: Vec<u32> = texts.iter().flat_map(|text| tokens(text)).collect();
    heard.windows(2).filter(|pair| pair[0] > pair[1]).count()
}

/// The numbers of the messages in `text`: several if one turn answered several messages.
fn tokens(text: &str) -> Vec<u32> {
    let words = text.split_whitespace();
    words
        .filter_map(|word| word.strip_prefix("m-")?.parse().ok())
        .collect()
}
