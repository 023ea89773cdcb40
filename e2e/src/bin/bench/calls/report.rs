use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use e2e::harness::{Service, VoiceMode, World};
use sim_kit::timeline::Entry;
use sim_openclaw::GatewayStats;
use tokio::time::{sleep, timeout};

use super::{
    person::{REPLY_PREFIX, TURNS, Talk},
    spent::Spent,
    turns::{Turn, turns_of},
};
use crate::{bare::Beats, figures::Times, people::number};

/// How long assistants may still be busy with what was said at last.
const STRAGGLERS: Duration = Duration::from_secs(20);

/// Between two looks whether they are.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// What many calls at once came to.
pub(super) struct Report {
    voice: VoiceMode,
    people: usize,
    rows: Vec<Row>,
    talks: Talk,
    broken: usize,
    stats: GatewayStats,
    spent: Spent,
    memory: Vec<(Service, u64)>,
    load: String,
}

/// A line of the table.
struct Row {
    what: &'static str,
    took: Times,
    wanted: Option<Wanted>,
}

/// What a time is to be.
#[derive(Clone, Copy)]
struct Wanted {
    words: &'static str,
    /// Of how many it is told that they were within this.
    limit: Duration,
}

const SHARE: Wanted = Wanted {
    words: "p50 ≤ 20, p99 ≤ 60",
    limit: Duration::from_millis(60),
};

const FIRST_WORD: Wanted = Wanted {
    words: "p50 ≤ 20, p99 ≤ 60; ≤ 20",
    limit: Duration::from_millis(20),
};

const LAST_WORD: Wanted = Wanted {
    words: "≤ 50",
    limit: Duration::from_millis(50),
};

impl Report {
    pub(super) async fn of(
        world: &World,
        voice: VoiceMode,
        talks: &[Talk],
        timeline: &[Entry],
        beats: Beats,
        spent: Spent,
    ) -> Result<Self> {
        let openclaw = world.openclaw.as_ref().context("a world of simulators")?;
        let load = std::fs::read_to_string("/proc/loadavg")?;
        let settled = async {
            while !openclaw.busy().is_empty() {
                sleep(LOOK_AGAIN).await;
            }
        };
        timeout(STRAGGLERS, settled).await.ok();
        let turns = turns(world, talks.len(), timeline)?;
        let mut rows = rows_of(voice, &turns)?;
        rows.extend([
            Row::beside("beside it: an event stored by bare JetStream", beats.stored),
            Row::beside("beside it: a row written by Postgres", beats.written),
            Row::beside("beside it: a signal through bare NATS", beats.signalled),
        ]);
        let memory_of = |service| Ok((service, world.memory_of(service)?));
        let memory = [Service::Ingress, Service::Gateway].into_iter();
        Ok(Self {
            voice,
            people: talks.len(),
            rows,
            talks: sum(talks),
            broken: talks.iter().filter(|talk| talk.broke.is_some()).count(),
            stats: openclaw.stats(),
            spent,
            memory: memory.map(memory_of).collect::<Result<_>>()?,
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }

    pub(super) fn print(&self) {
        let per_second = f64::from(self.talks.asked) / self.spent.seconds();
        println!(
            "\n{} calls at once, {:?}: {TURNS} turns each, {per_second:.0} turns a second, the assistants thinking for 300 to 800 ms:",
            self.people, self.voice
        );
        println!(
            "  {:<58} {:>5} {:>8} {:>8} {:>8}   wanted, in ms",
            "", "n", "p50", "p99", "longest"
        );
        for row in &self.rows {
            row.print();
        }
        let Talk {
            asked,
            answered,
            spoken_over,
            warnings,
            broke,
        } = &self.talks;
        println!(
            "  {asked} turns, {answered} answers heard to their end, {spoken_over} spoken over; {} calls broke off, {warnings} warnings of Twilio",
            self.broken
        );
        if let Some(broke) = broke {
            println!("  the first that broke off: {broke}");
        }
        let stats = &self.stats;
        println!(
            "  overlaps {}, answered again {}, sent again {}",
            stats.overlaps,
            stats.answered_again,
            stats.repeated_in_flight + stats.repeated_done
        );
        self.spent.print();
        println!("  load of this machine at the end {}", self.load);
        for (service, bytes) in &self.memory {
            println!("  memory of {} {} MB", service.name(), bytes >> 20);
        }
    }
}

impl Row {
    fn of(
        what: &'static str,
        turns: &[Turn],
        time: fn(&Turn) -> Option<Duration>,
        wanted: Option<Wanted>,
    ) -> Result<Self> {
        let mut took = Times::none()?;
        turns
            .iter()
            .filter_map(time)
            .for_each(|time| took.add(time));
        Ok(Self { what, took, wanted })
    }

    const fn beside(what: &'static str, took: Times) -> Self {
        let wanted = None;
        Self { what, took, wanted }
    }

    fn print(&self) {
        let took = &self.took;
        let wanted = self.wanted.map_or_else(String::new, |wanted| {
            let within = took.percent_within(wanted.limit);
            let limit = wanted.limit.as_millis();
            format!("{} ({within:.1} % ≤ {limit})", wanted.words)
        });
        println!(
            "  {:<58} {:>5} {:>8.1} {:>8.1} {:>8.1}   {wanted}",
            self.what,
            took.count(),
            took.milliseconds(0.5),
            took.milliseconds(0.99),
            took.longest()
        );
    }
}

fn rows_of(voice: VoiceMode, turns: &[Turn]) -> Result<Vec<Row>> {
    let share = Some(SHARE);
    let row = |what, time, wanted| Row::of(what, turns, time, wanted);
    match voice {
        VoiceMode::Gather => [
            row(
                "webhook → chat.send",
                Turn::to_assistant as fn(&Turn) -> _,
                share,
            ),
            row(
                "final → document (a second request, if it took over 1.5 s)",
                Turn::to_document,
                None,
            ),
        ]
        .into_iter()
        .collect(),
        VoiceMode::Relay => [
            row(
                "prompt → chat.send",
                Turn::to_assistant as fn(&Turn) -> _,
                share,
            ),
            row(
                "first delta → first token",
                Turn::to_first_token,
                Some(FIRST_WORD),
            ),
            row(
                "interrupt → last token (0 if none came)",
                Turn::to_last_token,
                Some(LAST_WORD),
            ),
            row("interrupt → chat.abort", Turn::to_stop, None),
            row(
                "prompt over an answer → chat.send",
                Turn::to_stopped_assistant,
                None,
            ),
        ]
        .into_iter()
        .collect(),
    }
}

/// The turns of everybody, from the notes of their phones and of their assistants.
fn turns(world: &World, people: usize, timeline: &[Entry]) -> Result<Vec<Turn>> {
    let mut by_whom: HashMap<&str, usize> = HashMap::new();
    let mut names = Vec::new();
    for person in 0..people {
        let number = number(u32::try_from(person)?);
        let assistant = world.assistant_of(&number)?;
        names.push((format!("+{number}"), assistant));
    }
    for (person, (phone, assistant)) in names.iter().enumerate() {
        by_whom.insert(phone, person);
        by_whom.insert(assistant, person);
    }
    let mut sorted: Vec<Vec<&Entry>> = vec![Vec::new(); people];
    for entry in timeline {
        if let Some(&person) = by_whom.get(entry.subject.as_str()) {
            sorted[person].push(entry);
        }
    }
    let turns = sorted
        .into_iter()
        .flat_map(|entries| turns_of(entries, REPLY_PREFIX));
    Ok(turns.collect())
}

fn sum(talks: &[Talk]) -> Talk {
    let mut sum = Talk::default();
    for talk in talks {
        sum.asked += talk.asked;
        sum.answered += talk.answered;
        sum.spoken_over += talk.spoken_over;
        sum.warnings += talk.warnings;
        sum.broke = sum.broke.or_else(|| talk.broke.clone());
    }
    sum
}
