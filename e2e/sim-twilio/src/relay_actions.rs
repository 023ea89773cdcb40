use serde_json::json;
use sim_kit::timeline::EntryKind;

use super::{
    line::{CallerAction, PendingAction},
    relay::RelaySession,
};

impl RelaySession<'_> {
    /// Performs an action of the caller, or holds it until the agent has finished speaking.
    pub(crate) async fn perform(&mut self, pending: PendingAction) {
        let interruptible = self.speech.interruptible();
        match pending.action.clone() {
            CallerAction::Say(text) => match interruptible {
                Some(by) if !by.speech && !self.settings.reports_input => self.held = Some(pending),
                _ => {
                    if interruptible.is_some_and(|by| by.speech) {
                        self.interrupt().await;
                    }
                    self.prompt(&text).await;
                    pending.succeeds();
                }
            },
            CallerAction::Key(_) if !self.settings.keys => {
                pending.fails("the relay does not detect keys");
            }
            CallerAction::Key(keys) => {
                if interruptible.is_some_and(|by| by.keys) {
                    self.interrupt().await;
                }
                self.interpreter.line.caller_waits();
                for key in keys.chars() {
                    self.send(json!({ "type": "dtmf", "digit": key.to_string() }))
                        .await;
                }
                pending.succeeds();
            }
            CallerAction::Silent => pending.fails("a relay does not detect silence"),
            CallerAction::DropSocket => {
                self.socket = None;
                pending.succeeds();
            }
        }
    }

    async fn interrupt(&mut self) {
        let Some((utterance, duration)) = self.speech.interrupt() else {
            return;
        };
        self.record(|| EntryKind::InterruptSent);
        let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        self.send(json!({
            "type": "interrupt",
            "utteranceUntilInterrupt": utterance,
            "durationUntilInterruptMs": ms,
        }))
        .await;
    }

    async fn prompt(&mut self, text: &str) {
        self.interpreter.line.caller_waits();
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
        self.record(|| EntryKind::UtteranceSent(text.to_owned()));
        self.send(prompt(text, true)).await;
    }
}
