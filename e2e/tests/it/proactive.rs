//! Proactive messages of simulated assistants: heartbeats and reminders.

use std::{collections::HashMap, time::Duration};

use e2e::harness::{Service, World};
use sim_meta::Speaker;
use sim_openclaw::{Heartbeat, HeartbeatOutcome, TranscriptRow};
use tokio::time::{Instant, sleep};

use crate::crowd::{Crowd, Times, is_answer, is_notice_of_waiting, number};

/// Longest time until the last message is on its phone.
const WAIT_LIMIT: Duration = Duration::from_secs(100);

/// Pause between two checks of all phones.
const POLL_PAUSE: Duration = Duration::from_millis(500);

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_simultaneous_heartbeats_are_each_delivered_once() {
    const CROWD: Crowd = Crowd::once_each(1_000, 200);
    let world = introduced(&CROWD, &[]).await;
    let openclaw = world.openclaw.clone().unwrap();

    let started = openclaw.heartbeat_all(|sandbox| alert(&format!("Alert for {sandbox}")));

    assert!(
        started
            .iter()
            .all(|(_, outcome)| *outcome == HeartbeatOutcome::Began)
    );
    let phones = everything_heard(&world, CROWD.users).await;
    let said = openclaw.stats().proactive;
    assert_eq!(said, u64::from(CROWD.users));
    let lags: Times = phones.iter().flat_map(Phone::lags).collect();
    eprintln!("from transcript to phone, {said} simultaneous alerts: {lags}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_with_nothing_to_say_sends_nothing() {
    const CROWD: Crowd = Crowd::once_each(20, 20);
    let world = introduced(&CROWD, &[]).await;
    let openclaw = world.openclaw.clone().unwrap();

    for quiet in [Heartbeat::NoReply, Heartbeat::HeartbeatOk] {
        openclaw.heartbeat_all(|_| quiet.clone());
        until_idle(&world).await;
    }
    // Rows are read in order: once this answer arrives, the heartbeats have been read.
    write_to_all(&world, CROWD.users, "afterwards");

    for phone in everything_heard(&world, CROWD.users).await {
        assert_eq!(phone.said.len(), 2, "{:?}", phone.said);
    }
    assert_eq!(openclaw.stats().heartbeats, 2 * u64::from(CROWD.users));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reminder_due_during_a_turn_is_delivered_once() {
    const CROWD: Crowd = Crowd::once_each(20, 20);
    let world = introduced(&CROWD, &[]).await;
    let openclaw = world.openclaw.clone().unwrap();

    write_to_all(&world, CROWD.users, "[[SLOW 1500]] slowly");
    sleep(Duration::from_millis(700)).await;
    for sandbox in openclaw.sandboxes() {
        assert!(openclaw.remind(&sandbox, &format!("Reminder for {sandbox}")));
    }

    for phone in everything_heard(&world, CROWD.users).await {
        assert_eq!(phone.said.len(), 3, "{:?}", phone.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn proactive_messages_written_while_no_gateway_runs_are_delivered_once_and_in_order() {
    const CROWD: Crowd = Crowd::once_each(100, 50);
    let mut world = introduced(&CROWD, &[]).await;
    let openclaw = world.openclaw.clone().unwrap();

    world.kill(Service::Gateway).await.unwrap();
    openclaw.heartbeat_all(|sandbox| alert(&format!("Alert for {sandbox}")));
    until_idle(&world).await;
    for sandbox in openclaw.sandboxes() {
        assert!(openclaw.remind(&sandbox, &format!("Reminder for {sandbox}")));
    }
    write_to_all(&world, CROWD.users, "in the meantime");
    world.restart(Service::Gateway).await.unwrap();

    for phone in everything_heard(&world, CROWD.users).await {
        assert_eq!(phone.said.len(), 4, "{:?}", phone.said);
        assert!(is_answer(&phone.said[3].0), "{:?}", phone.said);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_during_conversations_are_each_delivered_once_while_gateways_die() {
    const CROWD: Crowd = Crowd {
        users: 200,
        messages_each: 8,
        per_second: 100,
        copies: 1,
    };
    let mut world = Crowd::world_of_gateways(2).await;
    let (meta, openclaw) = (world.meta.clone(), world.openclaw.clone().unwrap());
    let outages = async {
        for round in 0..3 {
            sleep(Duration::from_secs(4)).await;
            let gateway = Service::Gateway.replica(round % 2);
            world.kill(gateway).await.unwrap();
            openclaw.heartbeat_all(|sandbox| alert(&format!("Alert {round} for {sandbox}")));
            world.restart(gateway).await.unwrap();
        }
    };

    tokio::join!(CROWD.write(&meta), outages);

    everything_heard(&world, CROWD.users).await;
    assert!(openclaw.stats().proactive > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn proactive_messages_beyond_the_daily_limit_are_held() {
    const CROWD: Crowd = Crowd::once_each(5, 5);
    let world = introduced(&CROWD, &[("PROACTIVE_PER_DAY", "2")]).await;
    let openclaw = world.openclaw.clone().unwrap();

    for round in 0..4 {
        openclaw.heartbeat_all(|sandbox| alert(&format!("Alert {round} for {sandbox}")));
        until_idle(&world).await;
    }
    write_to_all(&world, CROWD.users, "afterwards");

    for phone in phones_when(&world, CROWD.users, Phone::is_answered).await {
        let alerts = phone.heard.iter().filter(|(text, _)| !is_answer(text));
        assert_eq!(alerts.count(), 2, "{:?}", phone.heard);
    }
}

/// Starts a world with these additional variables, in which each assistant of the crowd has answered once.
async fn introduced(crowd: &Crowd, variables: &[(&'static str, &str)]) -> World {
    let mut options = Crowd::options_of_gateways(1);
    let further = variables
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    options.variables.extend(further);
    let world = World::start(options).await.unwrap();
    crowd.write(&world.meta).await;
    crowd.verify(&world).await;
    world
}

fn alert(text: &str) -> Heartbeat {
    Heartbeat::Alert(text.to_owned())
}

fn write_to_all(world: &World, users: u32, text: &str) {
    for user in 0..users {
        world.meta.write(&number(user), text).unwrap();
    }
}

/// Waits until no assistant is busy.
async fn until_idle(world: &World) {
    let openclaw = world.openclaw.as_ref().unwrap();
    while !openclaw.busy().is_empty() {
        sleep(Duration::from_millis(20)).await;
    }
}

/// The messages of one user's phone and of their assistant's transcript, with times in milliseconds since 1970.
#[derive(Debug)]
struct Phone {
    written: Vec<String>,
    heard: Vec<(String, i64)>,
    said: Vec<(String, i64)>,
    proactive: Vec<(String, i64)>,
}

impl Phone {
    fn of(world: &World, user: u32) -> Self {
        let chat = world.meta.chat(&number(user));
        let written = chat
            .written_texts()
            .into_iter()
            .map(str::to_owned)
            .collect();
        let by_us = chat
            .lines
            .into_iter()
            .filter(|line| line.from == Speaker::Business);
        let heard = by_us.filter(|line| !is_notice_of_waiting(&line.text));
        let assistant = world.assistant_of(&number(user)).unwrap();
        let rows = world.openclaw.as_ref().unwrap().transcript(&assistant);
        let said = rows.into_iter().filter(|row| row.role == "assistant");
        let said: Vec<TranscriptRow> = said.collect();
        let timed = |row: &TranscriptRow| (row.text.clone(), row.stored_at_ms);
        Self {
            written,
            heard: heard.map(|line| (line.text, line.at_ms)).collect(),
            proactive: said
                .iter()
                .filter(|row| row.is_proactive)
                .map(timed)
                .collect(),
            said: said.iter().map(timed).collect(),
        }
    }

    /// Whether every message of the user is in an answer.
    fn is_answered(&self) -> bool {
        let is_answered = |message: &String| {
            let mut heard = self.heard.iter();
            heard.any(|(text, _)| is_answer(text) && text.contains(message))
        };
        self.written.iter().all(is_answered)
    }

    /// Whether the phone also received exactly what the assistant said, in the same order.
    fn is_complete(&self) -> bool {
        let heard = self.heard.iter().map(|(text, _)| text);
        self.is_answered() && heard.eq(self.said.iter().map(|(text, _)| text))
    }

    /// The time from the transcript to the phone of each proactive message.
    fn lags(&self) -> Vec<i64> {
        let heard: HashMap<&str, i64> = texts(&self.heard).collect();
        let lags = texts(&self.proactive).filter_map(|(text, at)| Some(heard.get(text)? - at));
        lags.collect()
    }
}

fn texts(of: &[(String, i64)]) -> impl Iterator<Item = (&str, i64)> {
    of.iter().map(|(text, at)| (text.as_str(), *at))
}

/// Waits until every phone received exactly what its assistant said, in the same order.
async fn everything_heard(world: &World, users: u32) -> Vec<Phone> {
    phones_when(world, users, Phone::is_complete).await
}

/// Waits until no assistant is busy and `is_done` holds for all phones.
async fn phones_when(world: &World, users: u32, is_done: fn(&Phone) -> bool) -> Vec<Phone> {
    let deadline = Instant::now() + WAIT_LIMIT;
    loop {
        until_idle(world).await;
        let phones: Vec<Phone> = (0..users).map(|of| Phone::of(world, of)).collect();
        let Some(wrong) = phones.iter().find(|phone| !is_done(phone)) else {
            return phones;
        };
        assert!(
            Instant::now() < deadline,
            "after {WAIT_LIMIT:?} this phone is incomplete: {wrong:#?}\n{}",
            world.recent_warnings()
        );
        sleep(POLL_PAUSE).await;
    }
}
