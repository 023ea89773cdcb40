use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use axum::{
    body::Bytes,
    extract::ws::{Message, WebSocket},
};
use claw_domain::CallId;
use claw_events::{CallInterrupted, CallStatus, SpeechStreamed, TurnStatus, Utterance};
use claw_metrics::{RELAY_MESSAGES, VOICE_APOLOGIES};
use claw_twilio::{
    phrases::Phrases,
    relay::{FromTwilio, ToTwilio},
    voices::Language,
};
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::conversation::{Action, RelayConversation};
use crate::voice::{
    call_control::{CallControl, CallerId},
    call_watcher::CallWatcher,
    handoff::Handoff,
    phrase::Phrase,
};

/// How often Twilio is pinged.
const PING_EVERY: Duration = Duration::from_secs(20);

/// How long Twilio may send nothing before the socket counts as broken.
const LONGEST_SILENCE: Duration = Duration::from_secs(50);

/// How long the status of a turn is waited for before it is read again.
const READ_AGAIN_AFTER: Duration = Duration::from_secs(5);

/// How long Twilio has, after we end a session, to speak the text it has.
const END_TIMEOUT: Duration = Duration::from_mins(2);

/// A streamed conversation on its socket.
pub(super) struct RelaySession {
    pub(super) socket: WebSocket,
    pub(super) control: Arc<CallControl>,
    pub(super) call: CallId,
    pub(super) caller: CallerId,
    /// The language that the caller was last understood in.
    pub(super) language: Language,
    /// Our own phrases, in the language of the ticket.
    pub(super) phrases: &'static Phrases,
    /// We may write to the caller on WhatsApp.
    pub(super) has_chat: bool,
    pub(super) conversation: RelayConversation,
    pub(super) pending: Option<PendingTurn>,
    /// The deadline for closing the socket after we have ended the session. Later messages are ignored.
    pub(super) ends_by: Option<Instant>,
}

/// A turn whose status is waited for.
pub(super) struct PendingTurn {
    turn: u32,
    /// `None` if it has to be read again.
    status: Pin<Box<dyn Future<Output = Option<TurnStatus>> + Send>>,
}

impl RelaySession {
    /// Serves the socket until the caller hangs up, the socket breaks, or we end the session. `handing_over` tells
    /// that the call has to go on at another replica.
    pub(super) async fn run(
        mut self,
        mut pieces: Pin<&mut impl Stream<Item = SpeechStreamed>>,
        handing_over: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut received_at = Instant::now();
        loop {
            self.watch_turn();
            let tick_at = self.conversation.next_tick();
            let actions = tokio::select! {
                biased;
                frame = self.socket.recv() => {
                    received_at = Instant::now();
                    match frame {
                        Some(Ok(Message::Text(text))) => self.take(&text),
                        // If the socket broke, Twilio opens another, or asks how the call goes on.
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                        Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
                    }
                }
                Some(piece) = pieces.next() => self.conversation.piece(&piece, Instant::now()),
                status = status_of(&mut self.pending) => self.turn_settled(status),
                () = sleep_until(tick_at), if self.ends_by.is_none() => {
                    self.conversation.tick(Instant::now())
                }
                () = handing_over.cancelled(), if self.ends_by.is_none() => {
                    let turn = self.conversation.turn();
                    let handoff = turn.map_or(Handoff::Listen, |turn| Handoff::Answer { turn });
                    self.end(handoff).await?;
                    continue;
                }
                () = sleep_until(self.ends_by.unwrap_or(tick_at)), if self.ends_by.is_some() => return Ok(()),
                _ = pings.tick() => {
                    if received_at.elapsed() > LONGEST_SILENCE {
                        bail!("Twilio sent nothing for {} s", LONGEST_SILENCE.as_secs());
                    }
                    self.socket.send(Message::Ping(Bytes::new())).await?;
                    continue;
                }
            };
            if self.ends_by.is_none() {
                self.act_on(actions).await?;
            }
        }
    }

    /// Takes a message from Twilio.
    fn take(&mut self, frame: &str) -> Vec<Action> {
        let now = Instant::now();
        let Ok(message) = FromTwilio::parse(frame) else {
            RELAY_MESSAGES.increment(["unreadable"]);
            return Vec::new();
        };
        match message {
            FromTwilio::Prompt(prompt) if prompt.last => {
                if let Some(language) = prompt.lang.as_deref().and_then(Language::parse) {
                    self.language = language;
                }
                self.conversation.prompt(&prompt.voice_prompt, now)
            }
            FromTwilio::Dtmf { digit } => self.conversation.key(&digit, now),
            FromTwilio::Interrupt(interrupt) => {
                RELAY_MESSAGES.increment(["interrupt"]);
                let heard = interrupt.utterance_until_interrupt;
                self.conversation.interrupt(heard, now)
            }
            FromTwilio::Error => {
                RELAY_MESSAGES.increment(["error"]);
                warn!("Twilio did not understand a message of ours");
                Vec::new()
            }
            FromTwilio::Setup(_) | FromTwilio::Prompt(_) | FromTwilio::Other => Vec::new(),
        }
    }

    async fn act_on(&mut self, actions: Vec<Action>) -> anyhow::Result<()> {
        let mut actions = VecDeque::from(actions);
        while let Some(action) = actions.pop_front() {
            match action {
                Action::Say { text, is_last } => {
                    self.send(ToTwilio::words(&text, is_last)).await?;
                    if is_last {
                        let turn = self.conversation.last_turn();
                        self.watcher().note_heard(self.call, turn);
                    }
                }
                Action::SayPhrase(phrase @ Phrase::Filler(_)) => {
                    self.send(ToTwilio::filler(phrase.text(self.phrases)))
                        .await?;
                }
                Action::SayPhrase(phrase) => {
                    let phrase = if self.has_chat {
                        phrase
                    } else {
                        phrase.without_chat()
                    };
                    self.send(ToTwilio::last_token(phrase.text(self.phrases)))
                        .await?;
                }
                Action::Ask { turn, words, heard } => {
                    let utterance = Utterance {
                        number: turn,
                        words,
                        language: Some(self.language.tag().to_owned()),
                        heard,
                    };
                    let control = &self.control;
                    let published = control.publish_utterance(self.call, &self.caller, utterance);
                    if let Err(error) = published.await {
                        warn!(
                            "cannot publish an utterance, so the caller hears an apology: {error:#}"
                        );
                        VOICE_APOLOGIES.increment([]);
                        actions.extend([Action::SayPhrase(Phrase::Apology), Action::HangUp]);
                    }
                }
                Action::StopAnswer(turn) => {
                    // The caller does not want this answer, so it need not go to their chat.
                    self.watcher().note_heard(self.call, turn);
                    let interrupted = CallInterrupted {
                        user: self.control.keys.user_ids.user_of(&self.caller.address),
                        call: self.call,
                        turn,
                    };
                    self.control.publisher.signal(&interrupted).await;
                }
                Action::GiveUp(turn) => {
                    let live_calls = self.watcher().live_calls();
                    let settled = live_calls.settle(self.call, turn, TurnStatus::GivenUp);
                    match settled.await {
                        Ok(status) => {
                            let now = Instant::now();
                            actions.extend(self.conversation.settled(turn, status, now));
                        }
                        // Tried again after the next filler.
                        Err(error) => warn!("cannot give a turn up: {error}"),
                    }
                }
                Action::SeeCall => {
                    let status = self.watcher().live_calls().status(self.call).await?;
                    if !matches!(status, Some(CallStatus::Ready { .. })) {
                        return self.end(Handoff::SeeCall).await;
                    }
                }
                Action::HangUp => return self.end(Handoff::HangUp).await,
            }
        }
        Ok(())
    }

    /// Begins to wait for the status of the turn that is being answered, unless the session waits already.
    fn watch_turn(&mut self) {
        let turn = self.conversation.turn();
        if turn == self.pending.as_ref().map(|pending| pending.turn) {
            return;
        }
        let (watcher, call) = (self.watcher().clone(), self.call);
        self.pending = turn.map(|turn| PendingTurn {
            turn,
            status: Box::pin(async move {
                let until = Instant::now() + READ_AGAIN_AFTER;
                match watcher.turn_status(call, turn, until).await {
                    Ok(status) => status,
                    Err(error) => {
                        warn!("cannot read the status of a turn: {error}");
                        sleep_until(until).await;
                        None
                    }
                }
            }),
        });
    }

    fn turn_settled(&mut self, status: Option<TurnStatus>) -> Vec<Action> {
        let turn = self.pending.take().map(|pending| pending.turn);
        match (turn, status) {
            (Some(turn), Some(status)) => self.conversation.settled(turn, status, Instant::now()),
            _ => Vec::new(),
        }
    }

    async fn end(&mut self, handoff: Handoff) -> anyhow::Result<()> {
        self.ends_by = Some(Instant::now() + END_TIMEOUT);
        self.pending = None;
        let handoff_data = Some(handoff.to_json());
        self.send(ToTwilio::End { handoff_data }).await
    }

    async fn send(&mut self, message: ToTwilio) -> anyhow::Result<()> {
        let frame = Message::Text(message.to_json().into());
        self.socket.send(frame).await.context("the socket broke")
    }

    fn watcher(&self) -> &CallWatcher {
        &self.control.watcher
    }
}

async fn status_of(pending: &mut Option<PendingTurn>) -> Option<TurnStatus> {
    match pending {
        Some(pending) => pending.status.as_mut().await,
        None => std::future::pending().await,
    }
}
