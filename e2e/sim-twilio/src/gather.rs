use std::sync::Arc;

use super::{
    Silence,
    form::{self, Fields, pairs},
    interpreter::{CallResult, Interpreter, WaitOutcome},
    line::{CallerAction, PendingAction},
    page::resolve_url,
    twiml::Gather,
    view::{CallView, EndReason, RequestKind},
    webhook::{self, Post},
};

/// Seconds of silence that end the caller's speech with `speechTimeout="auto"`.
const FIRST_PAUSE_SECONDS: f64 = 0.7;

impl Interpreter {
    /// Executes a Gather. Returns the fields for its action, or `None` to continue with the next verb.
    pub(crate) async fn gather(
        &mut self,
        gather: &Gather,
        url: &str,
    ) -> CallResult<Option<Fields>> {
        let mut next = self.prompt(gather).await?;
        loop {
            let pending = match next.take() {
                Some(pending) => pending,
                None => match self.listen(gather).await? {
                    Some(pending) => pending,
                    None => return Ok(self.no_input(gather)),
                },
            };
            match pending.action.clone() {
                CallerAction::Say(text) if gather.speech => {
                    return self.speech(gather, url, &text, pending).await.map(Some);
                }
                CallerAction::Key(keys) if gather.keys => {
                    let fields = self.keys(gather, keys, pending).await?;
                    return Ok(fields.or_else(|| self.no_input(gather)));
                }
                CallerAction::Silent => {
                    let pace = self.world.config.pace;
                    let timeout = pace.of_seconds(gather.timeout_seconds);
                    self.line.caller_is_prompted();
                    if let WaitOutcome::HungUp = self.wait(Some(timeout), false).await {
                        return Err(EndReason::CallerHungUp);
                    }
                    pending.succeeds();
                    return Ok(self.no_input(gather));
                }
                CallerAction::Say(_) => pending.fails("the Gather takes no speech"),
                CallerAction::Key(_) => pending.fails("the Gather takes no keys"),
                CallerAction::DropSocket => pending.fails("there is no relay session"),
            }
        }
    }

    /// Speaks the nested verbs until the caller speaks or presses a key (barge-in).
    async fn prompt(&mut self, gather: &Gather) -> CallResult<Option<PendingAction>> {
        for spoken in &gather.prompt {
            match self.play(spoken, true).await {
                WaitOutcome::Elapsed => {}
                WaitOutcome::HungUp => return Err(EndReason::CallerHungUp),
                WaitOutcome::Action(pending) => return Ok(Some(pending)),
            }
        }
        Ok(self.pending_silence.take())
    }

    async fn listen(&mut self, gather: &Gather) -> CallResult<Option<PendingAction>> {
        self.line.set_doing(CallView::GATHERING);
        self.line.caller_is_prompted();
        let pace = self.world.config.pace;
        let timeout = match self.world.config.silence {
            Silence::AsTimed => Some(pace.of_seconds(gather.timeout_seconds)),
            Silence::WhenTold => None,
        };
        match self.wait(timeout, true).await {
            WaitOutcome::Elapsed => Ok(None),
            WaitOutcome::HungUp => Err(EndReason::CallerHungUp),
            WaitOutcome::Action(pending) => Ok(Some(pending)),
        }
    }

    async fn speech(
        &mut self,
        gather: &Gather,
        url: &str,
        text: &str,
        pending: PendingAction,
    ) -> CallResult<Fields> {
        self.line.set_doing("listening to the caller");
        self.line.caller_waits();
        self.partial(gather, url, text);
        let pause = gather.speech_timeout_seconds;
        let pace = self.world.config.pace;
        let pause = pace.of_seconds(pause.unwrap_or(FIRST_PAUSE_SECONDS));
        if let WaitOutcome::HungUp = self.wait(Some(pause), false).await {
            return Err(EndReason::CallerHungUp);
        }
        pending.succeeds();
        Ok(pairs(&[
            ("SpeechResult", text),
            ("Confidence", "0.9128386"),
            ("Language", &gather.language),
        ]))
    }

    /// Reports the first half of the caller's words, if the Gather wants partial results. The answer is
    /// ignored.
    fn partial(&self, gather: &Gather, url: &str, text: &str) {
        let Some(partial_url) = &gather.partial_url else {
            return;
        };
        let half = text.chars().count() / 2;
        let stable: String = text.chars().take(half).collect();
        let unstable: String = text.chars().skip(half).collect();
        let mut fields = form::of_call(&self.world, &self.line, &self.line.status());
        fields.extend(pairs(&[
            ("SequenceNumber", "0"),
            ("StableSpeechResult", &stable),
            ("UnstableSpeechResult", &unstable),
            ("Stability", "0.9"),
        ]));
        let post = Post {
            kind: RequestKind::Partial,
            url: resolve_url(url, partial_url),
            fields,
        };
        let (world, line) = (Arc::clone(&self.world), Arc::clone(&self.line));
        self.world.tasks.spawn(webhook::deliver(world, line, post));
    }

    /// Collects keys until the finishing key, the number of keys or a pause ends them.
    async fn keys(
        &mut self,
        gather: &Gather,
        keys: String,
        pending: PendingAction,
    ) -> CallResult<Option<Fields>> {
        self.line.set_doing("collecting keys");
        self.line.caller_waits();
        let mut digits = String::new();
        let mut finished_on = String::new();
        let (mut keys, mut pending) = (keys, pending);
        loop {
            let mut pressed = keys.chars();
            let mut is_done = false;
            while !is_done && let Some(key) = pressed.next() {
                if Some(key) == gather.finish_on_key {
                    finished_on = key.to_string();
                    is_done = true;
                } else {
                    digits.push(key);
                    is_done = gather.digits == Some(digits.len());
                }
            }
            if pressed.next().is_some() {
                pending.fails("the Gather was done before the last key");
            } else {
                pending.succeeds();
            }
            if is_done {
                break;
            }
            match self.more_keys(gather).await? {
                Some((more, with)) => (keys, pending) = (more, with),
                None => break,
            }
        }
        let fields = pairs(&[("Digits", &digits), ("FinishedOnKey", &finished_on)]);
        Ok(Some(fields).filter(|_| !digits.is_empty()))
    }

    async fn more_keys(&mut self, gather: &Gather) -> CallResult<Option<(String, PendingAction)>> {
        let pause = self.world.config.pace.of_seconds(gather.timeout_seconds);
        loop {
            match self.wait(Some(pause), true).await {
                WaitOutcome::Elapsed => return Ok(None),
                WaitOutcome::HungUp => return Err(EndReason::CallerHungUp),
                WaitOutcome::Action(pending) => match pending.action.clone() {
                    CallerAction::Key(keys) => return Ok(Some((keys, pending))),
                    CallerAction::Say(_) | CallerAction::Silent | CallerAction::DropSocket => {
                        pending.fails("the Gather is collecting keys");
                    }
                },
            }
        }
    }

    /// Counts a Gather without input; returns the fields for its action, or `None` to continue with the
    /// next verb.
    fn no_input(&self, gather: &Gather) -> Option<Fields> {
        self.line.update(|view| view.silences += 1);
        if !gather.action_on_empty_result {
            return None;
        }
        Some(if gather.speech {
            pairs(&[("SpeechResult", ""), ("Confidence", "0.0")])
        } else {
            pairs(&[("Digits", "")])
        })
    }
}
