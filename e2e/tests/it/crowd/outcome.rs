//! What became of each message, as the simulators saw it: when its words were written, put to the
//! assistant and heard on the phone.

use std::{collections::HashMap, fmt, ops::RangeInclusive};

use e2e::harness::World;
use sim_meta::{MetaStats, Speaker};
use sim_openclaw::GatewayStats;

use super::{Crowd, number};

/// After a process died or stood still, messages of this time count for the takeover.
const TAKEOVER_MS: i64 = 3_000;

/// What became of a crowd's messages.
pub struct Outcome {
    messages: Vec<Fate>,
    out_of_order: usize,
    assistants: GatewayStats,
    meta: MetaStats,
}

/// What became of one message, and when.
#[derive(Default)]
#[expect(clippy::struct_field_names, reason = "units stand last")]
struct Fate {
    /// When the person wrote it. This and the others in milliseconds since 1970.
    written_ms: i64,
    /// When it was stored in the assistant's transcript.
    asked_ms: Vec<i64>,
    /// When the business said it back.
    answered_ms: Vec<i64>,
}

/// How long something took, over many.
pub struct Times(Vec<i64>);

impl Outcome {
    /// What is to be seen now.
    pub(super) fn of(crowd: &Crowd, world: &World) -> Self {
        let mut outcome = Self {
            messages: Vec::new(),
            out_of_order: 0,
            assistants: world.openclaw.as_ref().unwrap().stats(),
            meta: world.meta.stats(),
        };
        for person in 0..crowd.people {
            let mut fates = HashMap::new();
            for message in 0..crowd.messages_each {
                fates.insert(crowd.token(person, message), Fate::default());
            }
            read_phone(world, person, &mut fates);
            outcome.out_of_order += descents(world, person);
            read_transcript(world, person, &mut fates);
            outcome.messages.extend(fates.into_values());
        }
        outcome
    }

    /// Messages whose words nobody heard back.
    pub fn lost(&self) -> usize {
        let lost = |fate: &&Fate| fate.answered_ms.is_empty();
        self.messages.iter().filter(lost).count()
    }

    /// Messages whose words were heard back more than once.
    pub fn doubled(&self) -> usize {
        let doubled = |fate: &&Fate| fate.answered_ms.len() > 1;
        self.messages.iter().filter(doubled).count()
    }

    /// Messages that stand in a transcript more than once.
    pub fn asked_again(&self) -> usize {
        let again = |fate: &&Fate| fate.asked_ms.len() > 1;
        self.messages.iter().filter(again).count()
    }

    /// From each message to its answer.
    pub fn latencies(&self) -> Times {
        self.times(|_| true, Fate::latency)
    }

    /// The same for messages written from 0 to 3 s after one of these moments.
    pub fn takeovers(&self, moments_ms: &[i64]) -> Times {
        let is_near = |fate: &Fate| {
            moments_ms
                .iter()
                .any(|at| (*at..=at + TAKEOVER_MS).contains(&fate.written_ms))
        };
        self.times(is_near, Fate::latency)
    }

    /// From each message written in this time until it was put to its assistant.
    pub fn waits(&self, written_ms: &RangeInclusive<i64>) -> Times {
        let is_of_then = |fate: &Fate| written_ms.contains(&fate.written_ms);
        self.times(is_of_then, Fate::wait)
    }

    pub(super) fn print(&self) {
        let (messages, lost) = (self.messages.len(), self.lost());
        eprintln!(
            "{} of {messages} messages answered: {lost} lost, {} doubled, {} out of order, {} put \
             twice, {} runs overlapped; from message to answer {}",
            messages - lost,
            self.doubled(),
            self.out_of_order,
            self.asked_again(),
            self.assistants.overlaps,
            self.latencies()
        );
        eprintln!("Meta: {:?}\nassistants: {:?}", self.meta, self.assistants);
    }

    pub(super) fn check(&self) {
        assert_eq!(self.lost(), 0, "messages without an answer");
        assert_eq!(self.doubled(), 0, "messages answered twice");
        assert_eq!(self.out_of_order, 0, "answers in another order");
        assert_eq!(self.asked_again(), 0, "messages put twice");
        let assistants = &self.assistants;
        assert_eq!(
            assistants.overlaps, 0,
            "a run was begun while another was open"
        );
        assert_eq!(assistants.answered_again, 0, "a message was put twice");
        let unasked = assistants.resumed + assistants.lost + assistants.heartbeats;
        let asked = usize::try_from(assistants.turns - unasked).unwrap();
        assert!(
            asked <= self.messages.len(),
            "{asked} turns for the messages"
        );
        assert_eq!(self.meta.duplicate_trackers, 0, "a piece was sent twice");
        assert_eq!(self.meta.untracked, 0);
    }

    fn times(&self, counts: impl Fn(&Fate) -> bool, time: impl Fn(&Fate) -> Option<i64>) -> Times {
        let counted = self.messages.iter().filter(|fate| counts(fate));
        counted.filter_map(time).collect()
    }
}

impl Fate {
    fn latency(&self) -> Option<i64> {
        let answered = self.answered_ms.first()?;
        Some(answered - self.written_ms)
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
    /// The time that this share of all, in percent, did not exceed; 0 of none. In milliseconds.
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

fn read_phone(world: &World, person: u32, fates: &mut HashMap<u32, Fate>) {
    for line in world.meta.chat(&number(person)).lines {
        for token in tokens(&line.text) {
            let Some(fate) = fates.get_mut(&token) else {
                continue;
            };
            match line.from {
                Speaker::User => fate.written_ms = line.at_ms,
                Speaker::Business => fate.answered_ms.push(line.at_ms),
            }
        }
    }
}

fn read_transcript(world: &World, person: u32, fates: &mut HashMap<u32, Fate>) {
    let assistant = world.assistant_of(&number(person)).unwrap();
    let transcript = world.openclaw.as_ref().unwrap().transcript(&assistant);
    for row in transcript.iter().filter(|row| row.role == "user") {
        for token in tokens(&row.text) {
            if let Some(fate) = fates.get_mut(&token) {
                fate.asked_ms.push(row.stored_at_ms);
            }
        }
    }
}

/// How often a person heard of an earlier message after a later one. Tokens grow with each message.
fn descents(world: &World, person: u32) -> usize {
    let chat = world.meta.chat(&number(person));
    let texts = chat.received_texts();
    let heard: Vec<u32> = texts.iter().flat_map(|text| tokens(text)).collect();
    heard.windows(2).filter(|pair| pair[0] > pair[1]).count()
}

/// The numbers of the messages whose words are in `text`: several, when a turn took several.
fn tokens(text: &str) -> Vec<u32> {
    let words = text.split_whitespace();
    words
        .filter_map(|word| word.strip_prefix("m-")?.parse().ok())
        .collect()
}
