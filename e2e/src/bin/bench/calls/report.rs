use std::{collections::HashMap, time::Duration};

use anyhow::{Context, Result};
use e2e::harness::{Service, VoiceMode, World};
use sim_kit::timeline::Entry;
use sim_openclaw::OpenClawStats;
use tokio::time::{sleep, timeout};

use super::{
    caller::{CallResult, REPLY_PREFIX, TURNS},
    turns::{Turn, turns_of},
};
use crate::{baseline::Baseline, figures::Times, processor_use::ProcessorUse, users::number};

/// Longest time until the assistants have finished the last turns.
const IDLE_LIMIT: Duration = Duration::from_secs(20);

/// Pause between two checks whether an assistant is busy.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// The result of many simultaneous calls.
pub(super) struct Report {
    voice: VoiceMode,
    users: usize,
    rows: Vec<Row>,
    results: CallResult,
    broken: usize,
    stats: OpenClawStats,
    spent: ProcessorUse,
    memory: Vec<(Service, u64)>,
    load: String,
}

/// A row of the printed table.
struct Row {
    what: &'static str,
    took: Times,
    target: Option<Target>,
}

/// The target for a time.
#[derive(Clone, Copy)]
struct Target {
    words: &'static str,
    /// The table shows the share of times within this limit.
    limit: Duration,
}

const DISPATCH_TARGET: Target = Target {
    words: "p50 ≤ 20, p99 ≤ 60",
    limit: Duration::from_millis(60),
};

const FIRST_TOKEN_TARGET: Target = Target {
    words: "p50 ≤ 20, p99 ≤ 60; ≤ 20",
    limit: Duration::from_millis(20),
};

const LAST_TOKEN_TARGET: Target = Target {
    words: "≤ 50",
    limit: Duration::from_millis(50),
};

impl Report {
    pub(super) async fn of(
        world: &World,
        voice: VoiceMode,
        results: &[CallResult],
        timeline: &[Entry],
        baseline: Baseline,
        spent: ProcessorUse,
    ) -> Result<Self> {
        let openclaw = world
            .openclaw
            .as_ref()
            .context("the sandboxes are not simulated")?;
        let load = std::fs::read_to_string("/proc/loadavg")?;
        let settled = async {
            while !openclaw.busy().is_empty() {
                sleep(POLL_PAUSE).await;
            }
        };
        timeout(IDLE_LIMIT, settled).await.ok();
        let turns = turns(world, results.len(), timeline)?;
        let mut rows = rows_of(voice, &turns)?;
        rows.extend([
            Row::baseline(
                "baseline: an event stored by bare JetStream",
                baseline.stored,
            ),
            Row::baseline("baseline: a row written by Postgres", baseline.written),
            Row::baseline("baseline: a signal through bare NATS", baseline.signalled),
        ]);
        let memory_of = |service| Ok((service, world.memory_of(service)?));
        let memory = [Service::Ingress, Service::Gateway].into_iter();
        Ok(Self {
            voice,
            users: results.len(),
            rows,
            results: sum(results),
            broken: results
                .iter()
                .filter(|result| result.failure.is_some())
                .count(),
            stats: openclaw.stats(),
            spent,
            memory: memory.map(memory_of).collect::<Result<_>>()?,
            load: load.split(' ').next().unwrap_or_default().to_owned(),
        })
    }

    pub(super) fn print(&self) {
        let per_second = f64::from(self.results.asked) / self.spent.seconds();
        println!(
            "\n{} calls at once, {:?}: {TURNS} turns each, {per_second:.0} turns a second, the assistants thinking for 300 to 800 ms:",
            self.users, self.voice
        );
        println!(
            "  {:<58} {:>5} {:>8} {:>8} {:>8}   target, in ms",
            "", "n", "p50", "p99", "longest"
        );
        for row in &self.rows {
            row.print();
        }
        let CallResult {
            asked,
            answered,
            interrupted,
            warnings,
            failure,
        } = &self.results;
        println!(
            "  {asked} turns, {answered} answers heard to their end, {interrupted} interrupted; {} calls ended early, {warnings} warnings of Twilio",
            self.broken
        );
        if let Some(failure) = failure {
            println!("  the first of them: {failure}");
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
        target: Option<Target>,
    ) -> Result<Self> {
        let mut took = Times::none()?;
        turns
            .iter()
            .filter_map(time)
            .for_each(|time| took.add(time));
        Ok(Self { what, took, target })
    }

    const fn baseline(what: &'static str, took: Times) -> Self {
        let target = None;
        Self { what, took, target }
    }

    fn print(&self) {
        let took = &self.took;
        let target = self.target.map_or_else(String::new, |target| {
            let within = took.percent_within(target.limit);
            let limit = target.limit.as_millis();
            format!("{} ({within:.1} % ≤ {limit})", target.words)
        });
        println!(
            "  {:<58} {:>5} {:>8.1} {:>8.1} {:>8.1}   {target}",
            self.what,
            took.count(),
            took.milliseconds(0.5),
            took.milliseconds(0.99),
            took.longest()
        );
    }
}

fn rows_of(voice: VoiceMode, turns: &[Turn]) -> Result<Vec<Row>> {
    let dispatch = Some(DISPATCH_TARGET);
    let row = |what, time, target| Row::of(what, turns, time, target);
    match voice {
        VoiceMode::Gather => [
            row(
                "webhook → chat.send",
                Turn::to_assistant as fn(&Turn) -> _,
                dispatch,
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
                dispatch,
            ),
            row(
                "first delta → first token",
                Turn::to_first_token,
                Some(FIRST_TOKEN_TARGET),
            ),
            row(
                "interrupt → last token (0 if none came)",
                Turn::to_last_token,
                Some(LAST_TOKEN_TARGET),
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

/// The turns of all users, from the timeline entries of their phones and assistants.
fn turns(world: &World, users: usize, timeline: &[Entry]) -> Result<Vec<Turn>> {
    let mut user_of: HashMap<&str, usize> = HashMap::new();
    let mut names = Vec::new();
    for user in 0..users {
        let number = number(u32::try_from(user)?);
        let assistant = world.assistant_of(&number)?;
        names.push((format!("+{number}"), assistant));
    }
    for (user, (phone, assistant)) in names.iter().enumerate() {
        user_of.insert(phone, user);
        user_of.insert(assistant, user);
    }
    let mut sorted: Vec<Vec<&Entry>> = vec![Vec::new(); users];
    for entry in timeline {
        if let Some(&user) = user_of.get(entry.subject.as_str()) {
            sorted[user].push(entry);
        }
    }
    let turns = sorted
        .into_iter()
        .flat_map(|entries| turns_of(entries, REPLY_PREFIX));
    Ok(turns.collect())
}

fn sum(results: &[CallResult]) -> CallResult {
    let mut sum = CallResult::default();
    for result in results {
        sum.asked += result.asked;
        sum.answered += result.answered;
        sum.interrupted += result.interrupted;
        sum.warnings += result.warnings;
        sum.failure = sum.failure.or_else(|| result.failure.clone());
    }
    sum
}
