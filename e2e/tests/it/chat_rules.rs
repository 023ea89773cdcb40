//! The rules of the chat: waiting messages, slow and failed turns, quiet hours, and the user's commands.

use std::{sync::Arc, time::Duration};

use e2e::harness::World;
use sim_meta::SimMeta;
use sim_openclaw::{Heartbeat, HeartbeatOutcome, SimOpenClaw};
use tokio::time::{Instant, sleep};

use crate::crowd::{Crowd, is_notice_of_waiting};

const ADA: &str = "491515550001";

/// Longest time until one expected message.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn messages_written_during_a_turn_form_one_turn_and_the_user_is_told_that_they_wait() {
    let ada =
        Conversation::with(&[("BACKLOG_MESSAGES", "3"), ("STILL_WORKING_SECONDS", "1")]).await;

    ada.write("[[SLOW 2500]] first");
    ada.hears("still working").await;
    for later in ["second", "third", "fourth"] {
        ada.write(later);
    }
    ada.hears("got all your messages").await;
    ada.hears("fourth").await;

    let turns = ada.heard_with("echo: ");
    assert_eq!(turns.len(), 2, "{turns:?}");
    assert_eq!(turns[1], "echo: second\n\nthird\n\nfourth");
    let notices = ada.heard_with("still working").len() + ada.heard_with("got all").len();
    assert_eq!(
        notices,
        2,
        "each notice comes once: {:?}",
        ada.heard_with("")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn stop_ends_the_turn_and_drops_the_waiting_messages() {
    let ada = Conversation::with(&[]).await;

    ada.write("[[SLOW 60000]] a long story");
    ada.is_at_work().await;
    ada.write("and another one");
    ada.write("Stop!");
    ada.hears("I've stopped").await;
    ada.write("hello again");
    ada.hears("echo: hello again").await;

    assert!(ada.heard_with("story").is_empty());
    assert!(ada.heard_with("another").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_failure_is_reported_in_our_own_words() {
    let ada = Conversation::with(&[]).await;

    ada.write("[[ERROR billing]]");
    ada.hears("spending limit").await;
    ada.write("[[ERROR server_error]]");
    ada.hears("overloaded").await;

    assert_eq!(ada.heard_with("").len(), 2, "{:?}", ada.heard_with(""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proactive_message_in_quiet_hours_is_held_and_then_delivered_once() {
    // All day but for one minute, so the test's time of day does not matter.
    let ada = Conversation::with(&[("QUIET_HOURS", "00:00-23:59")]).await;

    ada.trigger_alert("the plants are thirsty").await;
    ada.write("hello");
    ada.hears("echo: hello").await;
    assert!(
        ada.heard_with("thirsty").is_empty(),
        "delivered in quiet hours"
    );
    ada.write("quiet hours off");
    ada.hears("no quiet hours").await;
    ada.hears("thirsty").await;
    ada.write("good night");
    ada.hears("good night").await;

    assert_eq!(ada.heard_with("thirsty").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_stopped_updates_gets_only_answers_until_they_resume_updates() {
    let ada = Conversation::with(&[]).await;

    ada.write("stop updates");
    ada.hears("only write when you write to me").await;
    ada.trigger_alert("not now").await;
    ada.write("hello");
    ada.hears("echo: hello").await;
    ada.write("resume updates");
    ada.hears("Good to be back").await;
    ada.trigger_alert("the milk is out").await;
    ada.hears("the milk is out").await;

    assert!(ada.heard_with("not now").is_empty());
    assert!(
        ada.heard_with("echo: stop").is_empty(),
        "the assistant got a command"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn texts_of_megabytes_are_cut_and_hold_up_nobody() {
    let ada = Conversation::with(&[("QUIET_HOURS", "off")]).await;

    ada.write("[[LONG 3000000]]");
    ada.hears("the rest was too long").await;
    ada.trigger_alert(&"drink ".repeat(500_000)).await;
    ada.hears("drink drink").await;
    ada.write("hello again");
    ada.hears("echo: hello again").await;

    assert!(ada.heard_with("word1 ")[0].starts_with("word1 word2 "));
}

/// Ada's phone and her assistant.
struct Conversation {
    meta: Arc<SimMeta>,
    openclaw: Arc<SimOpenClaw>,
    world: World,
}

impl Conversation {
    /// Starts a world with these additional variables, and waits for Ada's first answer.
    async fn with(variables: &[(&'static str, &str)]) -> Self {
        let mut options = Crowd::options_of_gateways(1);
        for (name, value) in variables {
            options.variables.push((name, (*value).to_owned()));
        }
        let world = World::start(options).await.unwrap();
        let ada = Self {
            meta: Arc::clone(&world.meta),
            openclaw: world.openclaw.clone().unwrap(),
            world,
        };
        ada.write("hi");
        ada.hears("echo: hi").await;
        ada.world.assert_no_wait_ended_by_clock().await;
        ada
    }

    fn write(&self, text: &str) {
        self.meta.write(ADA, text).unwrap();
    }

    /// The messages Ada received that contain `words`, except the first answer. With empty `words`, notices of
    /// waiting are left out, because they depend on how busy the machine is.
    fn heard_with(&self, words: &str) -> Vec<String> {
        let chat = self.meta.chat(ADA);
        let heard = chat.received_texts().into_iter().filter(|text| {
            let is_asked_for = !words.is_empty() || !is_notice_of_waiting(text);
            text.contains(words) && is_asked_for && *text != "echo: hi"
        });
        heard.map(str::to_owned).collect()
    }

    async fn hears(&self, words: &str) {
        let deadline = Instant::now() + WAIT_LIMIT;
        let is_heard = || {
            let chat = self.meta.chat(ADA);
            chat.received_texts()
                .iter()
                .any(|text| text.contains(words))
        };
        while !is_heard() {
            assert!(
                Instant::now() < deadline,
                "{words:?} was not received: {:#?}\n{}",
                self.meta.chat(ADA).received_texts(),
                self.world.recent_warnings()
            );
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn is_at_work(&self) {
        while self.openclaw.busy().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Lets Ada's assistant write `text` at a heartbeat, and waits until the heartbeat is over.
    async fn trigger_alert(&self, text: &str) {
        let alert = Heartbeat::Alert(text.to_owned());
        for sandbox in self.openclaw.sandboxes() {
            assert_eq!(
                self.openclaw.heartbeat(&sandbox, &alert),
                HeartbeatOutcome::Began
            );
        }
        while !self.openclaw.busy().is_empty() {
            sleep(Duration::from_millis(20)).await;
        }
    }
}
