use serde_json::json;
use sim_kit::moments::Note;

use super::{
    line::{Act, What},
    relay::Session,
};

impl Session<'_> {
    /// The caller acts.
    pub(crate) async fn take(&mut self, act: Act) {
        let interruptible = self.voice.interruptible();
        match act.what.clone() {
            What::Say(text) => match interruptible {
                Some(by) if !by.speech && !self.settings.reports_input => self.held = Some(act),
                _ => {
                    if interruptible.is_some_and(|by| by.speech) {
                        self.interrupt().await;
                    }
                    self.prompt(&text).await;
                    act.succeeds();
                }
            },
            What::Key(_) if !self.settings.keys => act.fails("the relay does not detect keys"),
            What::Key(keys) => {
                if interruptible.is_some_and(|by| by.keys) {
                    self.interrupt().await;
                }
                self.phone.line.caller_waits();
                for key in keys.chars() {
                    self.send(json!({ "type": "dtmf", "digit": key.to_string() }))
                        .await;
                }
                act.succeeds();
            }
            What::Silent => act.fails("a relay does not wait for the caller's silence"),
            What::DropSocket => {
                self.socket = None;
                act.succeeds();
            }
        }
    }

    async fn interrupt(&mut self) {
        let Some((utterance, duration)) = self.voice.interrupt() else {
            return;
        };
        self.notes(|| Note::SpokenOver);
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.send(json!({
            "type": "interrupt",
            "utteranceUntilInterrupt": utterance,
            "durationUntilInterruptMs": ms,
        }))
        .await;
    }

    async fn prompt(&mut self, text: &str) {
        self.phone.line.caller_waits();
        let language = self.settings.language.clone();
        let prompt = |text: &str, last: bool| {
            let lang = &language;
            json!({ "type": "prompt", "voicePrompt": text, "lang": lang, "last": last })
        };
        if self.settings.partial_prompts {
            let half = text.chars().count() / 2;
            let begun: String = text.chars().take(half).collect();
            self.send(prompt(&begun, false)).await;
        }
        self.notes(|| Note::Said(text.to_owned()));
        self.send(prompt(text, true)).await;
    }
}
