//! Strangers who want assistants: too many of them, guessers of invite codes, and blocked numbers.

use std::{collections::BTreeMap, time::Duration};

use claw_chat::Notice;
use claw_domain::{InviteCode, UserId};
use claw_metrics::{BLOCKED, NEWCOMERS, OPERATOR_EVENTS};
use claw_runtime::{Clock, SystemClock};
use claw_store::{AccessList, Invite, Store};
use claw_testkit::eventually;
use e2e::harness::{Service, World, user_of};
use sim_twilio::EndReason;
use tokio::time::interval;

use crate::crowd::{Crowd, is_answer, number};

/// Strangers who write within some seconds, and how many of them come in on one day.
const STRANGERS: u32 = 1_000;
const PLACES: u32 = 100;

/// Wrong codes from one number. 10,000 are tried on the database in claw-store.
const GUESSES: u32 = 300;

const PER_SECOND: u32 = 200;

/// Longest time until a stranger has an answer.
const WAIT_LIMIT: Duration = Duration::from_secs(100);

#[tokio::test(flavor = "multi_thread")]
async fn a_rush_of_strangers_gets_no_more_assistants_than_allowed_and_is_told_once() {
    let world = world(&[
        ("ADMISSION_PER_HOUR", "100000"),
        ("ADMISSION_PER_DAY", &PLACES.to_string()),
    ])
    .await;

    write(&world, 0..STRANGERS, "hi").await;

    for stranger in 0..STRANGERS {
        let number = number(stranger);
        let answered = world.meta.wait_received(&number, 1, WAIT_LIMIT);
        answered.await.unwrap();
    }
    eventually("everybody is answered or refused", || async {
        let texts = texts_of_strangers(&world);
        texts.iter().all(|texts| texts.iter().any(is_final))
    })
    .await;
    let full = [Notice::FullToday.text()];
    let texts = texts_of_strangers(&world);
    let is_refused = |user: &u32| texts[*user as usize] == full;
    let refused: Vec<u32> = (0..STRANGERS).filter(is_refused).collect();
    assert_eq!(refused.len(), (STRANGERS - PLACES) as usize);
    let before = settled_rows(&world).await;
    assert_eq!(before["user"], PLACES);
    assert_eq!(before["sandbox"], PLACES);
    assert_eq!(before["refusal"], STRANGERS - PLACES);
    let events = metric(&world, OPERATOR_EVENTS.name()).await;
    assert!((0.5..1.5).contains(&events), "the operator is told once");

    let seen = metric(&world, NEWCOMERS.name()).await;
    write(&world, refused.iter().copied(), "hello?").await;
    eventually("the strangers are refused again", || async {
        metric(&world, NEWCOMERS.name()).await - seen >= f64::from(STRANGERS - PLACES)
    })
    .await;
    assert_eq!(rows(&world).await, before);
    for user in &refused {
        let chat = world.meta.chat(&number(*user));
        assert_eq!(chat.received_texts(), full, "user {user}");
    }

    // As soon as there is room, they come in.
    let lists = store(&world).await.access_lists();
    let friend = refused[0];
    let put = lists.put(user(friend), AccessList::Allow, "", SystemClock.now());
    put.await.unwrap();
    write(&world, [friend], "and now?").await;
    eventually("the friend is answered", || async {
        let chat = world.meta.chat(&number(friend));
        chat.received_texts()
            .iter()
            .any(|text| text.contains("and now?"))
    })
    .await;
    let chat = world.meta.chat(&number(friend));
    assert!(
        !chat
            .received_texts()
            .iter()
            .any(|text| text.contains("hello?"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guesser_of_invite_codes_does_not_come_in_and_a_friend_does() {
    let world = world(&[("ADMISSION", "invite")]).await;
    let code = InviteCode::from_random([7; InviteCode::BYTES]);
    let invite = Invite {
        id: code.id(),
        note: String::new(),
        uses: 1,
        used: 0,
        expires_at: SystemClock.now() + Duration::from_hours(1),
        created_at: SystemClock.now(),
    };
    store(&world).await.invites().create(&invite).await.unwrap();
    let (guesser, friend, other) = (1, 2, 3);

    for guess in 0..GUESSES {
        let guess = InviteCode::from_random([guess.to_le_bytes()[0]; InviteCode::BYTES]);
        if guess != code {
            write(&world, [guesser], guess.expose()).await;
        }
    }
    // In a pause, even the right code is not tried.
    write(&world, [guesser], code.expose()).await;
    write(
        &world,
        [friend],
        &format!("Hi! {} What is new?", code.expose()),
    )
    .await;

    eventually("the friend is answered", || async {
        texts_of(&world, friend).iter().any(|text| is_answer(text))
    })
    .await;
    eventually("every guess is handled", || async {
        metric(&world, NEWCOMERS.name()).await >= f64::from(GUESSES)
    })
    .await;
    write(&world, [other], code.expose()).await;
    write(&world, [other], "please").await;
    eventually("a used code is refused", || async {
        !texts_of(&world, other).is_empty()
    })
    .await;

    let unknown = Notice::UnknownInvite.text();
    let unknown = unknown.as_str();
    let answers = texts_of(&world, friend);
    let answer = answers.iter().find(|text| is_answer(text)).unwrap();
    assert!(answer.contains("Hi! What is new?"), "{answer}");
    assert!(!answer.contains("CLAW"), "{answer}");
    assert_eq!(texts_of(&world, guesser), [unknown; 3]);
    assert_eq!(texts_of(&world, other), [unknown]);
    let rows = rows(&world).await;
    assert_eq!((rows["user"], rows["refusal"]), (1, 2));
    let dump = world.postgres.dump().await.unwrap();
    assert!(!dump.contains(code.expose()), "the code is stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blocked_number_costs_nothing_and_gets_nothing() {
    let world = world(&[]).await;
    let (known, stranger, witness) = (1, 2, 3);
    write(&world, [known, witness], "hi").await;
    eventually("they have assistants", || async {
        let answers = [known, witness].map(|user| texts_of(&world, user));
        answers
            .iter()
            .all(|texts| texts.iter().any(|text| is_answer(text)))
    })
    .await;
    let lists = store(&world).await.access_lists();
    for blocked in [known, stranger] {
        let put = lists.put(user(blocked), AccessList::Block, "spam", SystemClock.now());
        put.await.unwrap();
    }
    let before = settled_rows(&world).await;
    let heard = texts_of(&world, known);

    for _ in 0..20 {
        write(&world, [known, stranger], "let me in").await;
    }
    for blocked in [known, stranger] {
        let call = world.twilio.call(format!("+{}", number(blocked)).as_str());
        let ended = call.ended(Duration::from_secs(20)).await.unwrap();
        assert_eq!(ended.why, EndReason::Hangup);
    }

    eventually("everything is dropped", || async {
        metric(&world, BLOCKED.name()).await >= 42.0
    })
    .await;
    write(&world, [witness], "bye").await;
    eventually("others are answered", || async {
        texts_of(&world, witness)
            .iter()
            .any(|text| text.contains("bye"))
    })
    .await;
    let mut expected = before;
    // The witness's question and answer, and the answer's delivery.
    *expected.get_mut("message").unwrap() += 2;
    *expected.get_mut("delivery").unwrap() += 1;
    assert_eq!(settled_rows(&world).await, expected);
    assert_eq!(texts_of(&world, known), heard);
    assert_eq!(texts_of(&world, stranger), [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_assistant_of_a_blocked_user_is_stopped_and_goes_on_after_the_block() {
    let world = world(&[]).await;
    let openclaw = world.openclaw.clone().unwrap();
    let (known, witness) = (1, 2);
    write(&world, [known], "hi").await;
    eventually("there is an assistant", || async {
        texts_of(&world, known).iter().any(|text| is_answer(text))
    })
    .await;
    let assistant = world.assistant_of(&number(known)).unwrap();
    write(&world, [known], "[[SLOW 6000]] first").await;
    eventually("the turn runs", async || {
        openclaw.busy().contains(&assistant)
    })
    .await;
    write(&world, [known], "second").await;
    let messages = store(&world).await.messages();
    eventually("the second message waits", || async {
        let waiting = messages.waiting(user(known), 10).await.unwrap();
        waiting
            .iter()
            .any(|message| message.content.expose().contains("second"))
    })
    .await;
    let heard = texts_of(&world, known);

    let e164 = format!("+{}", number(known));
    world.command(&["person", "block", &e164]).await.unwrap();

    eventually("no turn runs", async || openclaw.busy().is_empty()).await;
    write(&world, [known], "third").await;
    write(&world, [witness], "hi").await;
    eventually("others are answered", || async {
        texts_of(&world, witness).iter().any(|text| is_answer(text))
    })
    .await;
    assert_eq!(texts_of(&world, known), heard);
    let transcript = openclaw.transcript(&assistant);
    let mut asked = transcript.iter().filter(|row| row.role == "user");
    assert!(asked.all(|row| !row.text.contains("second")));

    world.command(&["person", "unblock", &e164]).await.unwrap();

    for text in ["first", "second"] {
        eventually(&format!("{text} is answered"), || async {
            let texts = texts_of(&world, known);
            texts.iter().any(|it| is_answer(it) && it.contains(text))
        })
        .await;
    }
    let texts = texts_of(&world, known);
    assert!(!texts.iter().any(|text| text.contains("third")));
    assert!(!texts.contains(&Notice::Suspended.text()));
}

async fn world(settings: &[(&'static str, &str)]) -> World {
    let mut options = Crowd::options();
    let settings = settings
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    options.variables.extend(settings);
    World::start(options).await.unwrap()
}

/// Writes the same text from each number.
async fn write(world: &World, users: impl IntoIterator<Item = u32>, text: &str) {
    let mut ticks = interval(Duration::from_secs(1) / PER_SECOND);
    for user in users {
        ticks.tick().await;
        world.meta.write(&number(user), text).unwrap();
    }
}

fn texts_of(world: &World, user: u32) -> Vec<String> {
    let chat = world.meta.chat(&number(user));
    chat.received_texts()
        .into_iter()
        .map(str::to_owned)
        .collect()
}

fn texts_of_strangers(world: &World) -> Vec<Vec<String>> {
    (0..STRANGERS).map(|user| texts_of(world, user)).collect()
}

/// Whether a text is not a notice that the answer takes long.
fn is_final(text: &String) -> bool {
    is_answer(text) || *text == Notice::FullToday.text()
}

fn user(number: u32) -> UserId {
    user_of(&self::number(number)).unwrap()
}

/// The rows of each table, when nobody waits for an answer.
async fn settled_rows(world: &World) -> BTreeMap<String, u32> {
    eventually("every message is answered", || async {
        let dump = world.postgres.dump().await.unwrap();
        !dump.contains("'received'")
    })
    .await;
    rows(world).await
}

async fn rows(world: &World) -> BTreeMap<String, u32> {
    let dump = world.postgres.dump().await.unwrap();
    let mut rows = BTreeMap::new();
    for line in dump.lines() {
        if let Some(row) = line.strip_prefix("INSERT INTO public.") {
            let table = row.split(' ').next().unwrap_or_default();
            *rows.entry(table.trim_matches('"').to_owned()).or_default() += 1;
        }
    }
    rows
}

async fn metric(world: &World, name: &str) -> f64 {
    let value = world.metric_of(Service::Gateway, name).await;
    value.unwrap_or_default()
}

async fn store(world: &World) -> Store {
    let url = world.postgres.url().into();
    Store::connect(&url, 1).await.unwrap()
}
