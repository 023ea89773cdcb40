use std::sync::Arc;

use super::{
    Silence,
    fetch::joined,
    form::{self, Fields, pairs},
    line::{Act, What},
    run::{Event, Phone, Step},
    twiml::Gather,
    view::{RequestKind, Why},
    webhook::{self, Post},
};

/// Seconds of silence that end speech with `speechTimeout="auto"`.
const FIRST_PAUSE_SECONDS: f64 = 0.7;

impl Phone {
    /// Listens as a Gather says; the fields of its action, or nothing if the next verb is due.
    pub(crate) async fn gather(&mut self, gather: &Gather, url: &str) -> Step<Option<Fields>> {
        let mut next = self.prompt(gather).await?;
        loop {
            let act = match next.take() {
                Some(act) => act,
                None => match self.listen(gather).await? {
                    Some(act) => act,
                    None => return Ok(self.nothing(gather)),
                },
            };
            match act.what.clone() {
                What::Say(text) if gather.speech => {
                    return self.speech(gather, url, &text, act).await.map(Some);
                }
                What::Key(keys) if gather.keys => {
                    let fields = self.keys(gather, keys, act).await?;
                    return Ok(fields.or_else(|| self.nothing(gather)));
                }
                What::Silent => {
                    let pace = self.world.config.pace;
                    let timeout = pace.of_seconds(gather.timeout_seconds);
                    self.line.caller_is_asked();
                    if let Event::HungUp = self.wait(Some(timeout), false).await {
                        return Err(Why::CallerHungUp);
                    }
                    act.succeeds();
                    return Ok(self.nothing(gather));
                }
                What::Say(_) => act.fails("the Gather takes no speech"),
                What::Key(_) => act.fails("the Gather takes no keys"),
                What::DropSocket => act.fails("there is no relay session"),
            }
        }
    }

    /// Speaks what is nested, until the caller speaks or keys (barge-in).
    async fn prompt(&mut self, gather: &Gather) -> Step<Option<Act>> {
        for spoken in &gather.prompt {
            match self.utter(spoken, true).await {
                Event::Elapsed => {}
                Event::HungUp => return Err(Why::CallerHungUp),
                Event::Act(act) => return Ok(Some(act)),
            }
        }
        Ok(self.told_silent.take())
    }

    async fn listen(&mut self, gather: &Gather) -> Step<Option<Act>> {
        self.line.does("gathers");
        self.line.caller_is_asked();
        let pace = self.world.config.pace;
        let timeout = match self.world.config.silence {
            Silence::AsTimed => Some(pace.of_seconds(gather.timeout_seconds)),
            Silence::WhenTold => None,
        };
        match self.wait(timeout, true).await {
            Event::Elapsed => Ok(None),
            Event::HungUp => Err(Why::CallerHungUp),
            Event::Act(act) => Ok(Some(act)),
        }
    }

    async fn speech(&mut self, gather: &Gather, url: &str, text: &str, act: Act) -> Step<Fields> {
        self.line.does("hears the caller out");
        self.line.caller_waits();
        self.partial(gather, url, text);
        let pause = gather.speech_timeout_seconds;
        let pace = self.world.config.pace;
        let pause = pace.of_seconds(pause.unwrap_or(FIRST_PAUSE_SECONDS));
        if let Event::HungUp = self.wait(Some(pause), false).await {
            return Err(Why::CallerHungUp);
        }
        act.succeeds();
        Ok(pairs(&[
            ("SpeechResult", text),
            ("Confidence", "0.9128386"),
            ("Language", &gather.language),
        ]))
    }

    /// Reports the first half of what is said, to nobody's command: the answer is ignored.
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
            url: joined(url, partial_url),
            fields,
        };
        let (world, line) = (Arc::clone(&self.world), Arc::clone(&self.line));
        self.world.tasks.spawn(webhook::deliver(world, line, post));
    }

    /// Takes keys until one of them, their number or a pause ends them.
    async fn keys(&mut self, gather: &Gather, keys: String, act: Act) -> Step<Option<Fields>> {
        self.line.does("takes keys");
        self.line.caller_waits();
        let mut digits = String::new();
        let mut finished_on = String::new();
        let (mut keys, mut act) = (keys, act);
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
                act.fails("the Gather was done before the last key");
            } else {
                act.succeeds();
            }
            if is_done {
                break;
            }
            match self.more_keys(gather).await? {
                Some((more, with)) => (keys, act) = (more, with),
                None => break,
            }
        }
        let fields = pairs(&[("Digits", &digits), ("FinishedOnKey", &finished_on)]);
        Ok(Some(fields).filter(|_| !digits.is_empty()))
    }

    async fn more_keys(&mut self, gather: &Gather) -> Step<Option<(String, Act)>> {
        let pause = self.world.config.pace.of_seconds(gather.timeout_seconds);
        loop {
            match self.wait(Some(pause), true).await {
                Event::Elapsed => return Ok(None),
                Event::HungUp => return Err(Why::CallerHungUp),
                Event::Act(act) => match act.what.clone() {
                    What::Key(keys) => return Ok(Some((keys, act))),
                    What::Say(_) | What::Silent | What::DropSocket => {
                        act.fails("the Gather takes keys at the moment");
                    }
                },
            }
        }
    }

    fn nothing(&self, gather: &Gather) -> Option<Fields> {
        self.line.change(|view| view.silences += 1);
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
