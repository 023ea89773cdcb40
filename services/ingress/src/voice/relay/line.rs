use std::{collections::VecDeque, pin::Pin, sync::Arc, time::Duration};

use anyhow::{anyhow, bail};
use axum::{
    body::Bytes,
    extract::ws::{Message, WebSocket},
};
use claw_domain::CallId;
use claw_events::{CallInterrupted, CallStatus, SpeechStreamed, TurnStatus, Utterance};
use claw_twilio::{
    phrases::Phrases,
    relay::{FromTwilio, ToTwilio},
    voices::Language,
};
use futures_util::{Stream, StreamExt};
use metrics::counter;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    Handoff,
    talk::{Do, Talk},
};
use crate::voice::{
    board::Board,
    conversation::{CallerId, Conversation},
    dialogue::Line as Ours,
    script::text_of,
};

/// How often Twilio is asked whether it is still there, and how long it may be silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const LONGEST_SILENCE: Duration = Duration::from_secs(50);

/// How often what came of a turn is looked at though nothing was told of it.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How long Twilio has to say what was said before the end.
const END_PATIENCE: Duration = Duration::from_mins(2);

/// A conversation under way.
pub(super) struct Line {
    pub(super) socket: WebSocket,
    pub(super) conversation: Arc<Conversation>,
    pub(super) call: CallId,
    pub(super) caller: CallerId,
    /// What the caller speaks.
    pub(super) language: Language,
    /// What we say ourselves.
    pub(super) phrases: &'static Phrases,
    pub(super) talk: Talk,
    pub(super) awaited: Option<Awaited>,
    /// We said the end: what is still heard is nobody's. Twilio has until then to say what was said before.
    pub(super) ends_by: Option<Instant>,
}

/// What came of a turn, as soon as it is there.
pub(super) struct Awaited {
    turn: u32,
    standing: Pin<Box<dyn Future<Output = Option<TurnStatus>> + Send>>,
}

impl Line {
    /// Talks until the caller hangs up, the socket breaks, or we end it. `moving` says that the call is to go on
    /// at another replica.
    pub(super) async fn run(
        mut self,
        mut pieces: Pin<&mut impl Stream<Item = SpeechStreamed>>,
        moving: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut pings = interval(PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut heard_at = Instant::now();
        loop {
            self.attend_to_answer();
            let tick_at = self.talk.next_tick();
            let todo = tokio::select! {
                biased;
                frame = self.socket.recv() => {
                    heard_at = Instant::now();
                    // A socket that breaks is Twilio's to open again, or to ask what comes next.
                    match frame {
                        Some(Ok(Message::Text(text))) => self.take(&text),
                        Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(()),
                        Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
                    }
                }
                Some(piece) = pieces.next() => self.talk.piece(&piece, Instant::now()),
                came = next_of(&mut self.awaited) => self.settled(came),
                () = sleep_until(tick_at), if self.ends_by.is_none() => self.talk.tick(Instant::now()),
                () = moving.cancelled(), if self.ends_by.is_none() => {
                    let next = self.talk.turn().map_or(Handoff::Listen, |turn| Handoff::Answer { turn });
                    self.end(next).await?;
                    continue;
                }
                () = sleep_until(self.ends_by.unwrap_or(tick_at)), if self.ends_by.is_some() => return Ok(()),
                _ = pings.tick() => {
                    if heard_at.elapsed() > LONGEST_SILENCE {
                        bail!("Twilio is gone without a word");
                    }
                    self.socket.send(Message::Ping(Bytes::new())).await?;
                    continue;
                }
            };
            if self.ends_by.is_none() {
                self.do_all(todo).await?;
            }
        }
    }

    /// What Twilio says.
    fn take(&mut self, frame: &str) -> Vec<Do> {
        let now = Instant::now();
        let Ok(message) = FromTwilio::parse(frame) else {
            counter!("ingress_relay_messages_total", "kind" => "unreadable").increment(1);
            return Vec::new();
        };
        match message {
            FromTwilio::Prompt(prompt) if prompt.last => {
                if let Some(language) = prompt.lang.as_deref().and_then(Language::parse) {
                    self.language = language;
                }
                self.talk.prompt(&prompt.voice_prompt, now)
            }
            FromTwilio::Dtmf { digit } => self.talk.key(&digit, now),
            FromTwilio::Interrupt(interrupt) => {
                counter!("ingress_relay_messages_total", "kind" => "interrupt").increment(1);
                self.talk
                    .interrupt(interrupt.utterance_until_interrupt, now)
            }
            FromTwilio::Error => {
                counter!("ingress_relay_messages_total", "kind" => "error").increment(1);
                warn!("Twilio did not understand a message of ours");
                Vec::new()
            }
            FromTwilio::Setup(_) | FromTwilio::Prompt(_) | FromTwilio::Other => Vec::new(),
        }
    }

    async fn do_all(&mut self, todo: Vec<Do>) -> anyhow::Result<()> {
        let mut todo = VecDeque::from(todo);
        while let Some(next) = todo.pop_front() {
            match next {
                Do::Say { text, is_last } => {
                    self.say(ToTwilio::words(&text, is_last)).await?;
                    if is_last {
                        self.board().note_heard(self.call, self.talk.last_turn());
                    }
                }
                Do::Ours(line @ Ours::Filler(_)) => {
                    self.say(ToTwilio::filler(text_of(self.phrases, line)))
                        .await?;
                }
                Do::Ours(line) => {
                    let text = text_of(self.phrases, line);
                    self.say(ToTwilio::last_token(text)).await?;
                }
                Do::Tell { turn, words, heard } => {
                    let turn = Utterance {
                        number: turn,
                        words,
                        language: Some(self.language.tag().to_owned()),
                        heard,
                    };
                    let told = self.conversation.told(self.call, &self.caller, turn);
                    if let Err(error) = told.await {
                        warn!("a caller is told that something is broken: {error:#}");
                        counter!("ingress_voice_apologies_total").increment(1);
                        todo.extend([Do::Ours(Ours::Apology), Do::HangUp]);
                    }
                }
                Do::Stop(turn) => {
                    // They do not want it, so they need not read it either.
                    self.board().note_heard(self.call, turn);
                    let interrupted = CallInterrupted {
                        user: self.caller.address.user(),
                        call: self.call,
                        turn,
                    };
                    self.conversation.publisher.signal(&interrupted).await;
                }
                Do::GiveUp(turn) => {
                    match self.board().live_calls().give_up(self.call, turn).await {
                        Ok(came) => todo.extend(self.talk.settled(turn, came, Instant::now())),
                        // Tried again, after one more line of patience.
                        Err(error) => warn!("an answer cannot be given up: {error}"),
                    }
                }
                Do::SeeCall => {
                    let standing = self.board().standing(self.call, Instant::now(), |_| true);
                    if !matches!(standing.await?, Some(CallStatus::Ready { .. })) {
                        return self.end(Handoff::SeeCall).await;
                    }
                }
                Do::HangUp => return self.end(Handoff::HangUp).await,
            }
        }
        Ok(())
    }

    /// Sees to it that what comes of the turn that is being answered is heard of.
    fn attend_to_answer(&mut self) {
        let turn = self.talk.turn();
        if turn == self.awaited.as_ref().map(|awaited| awaited.turn) {
            return;
        }
        let (board, call) = (self.board().clone(), self.call);
        self.awaited = turn.map(|turn| Awaited {
            turn,
            standing: Box::pin(async move {
                let until = Instant::now() + LOOK_EVERY;
                match board.turn(call, turn, until).await {
                    Ok(standing) => standing,
                    Err(error) => {
                        warn!("what came of a turn cannot be read: {error}");
                        sleep_until(until).await;
                        None
                    }
                }
            }),
        });
    }

    fn settled(&mut self, came: Option<TurnStatus>) -> Vec<Do> {
        let turn = self.awaited.take().map(|awaited| awaited.turn);
        match (turn, came) {
            (Some(turn), Some(came)) => self.talk.settled(turn, came, Instant::now()),
            _ => Vec::new(),
        }
    }

    async fn end(&mut self, next: Handoff) -> anyhow::Result<()> {
        self.ends_by = Some(Instant::now() + END_PATIENCE);
        self.awaited = None;
        let handoff_data = Some(next.to_json());
        self.say(ToTwilio::End { handoff_data }).await
    }

    async fn say(&mut self, message: ToTwilio) -> anyhow::Result<()> {
        let frame = Message::Text(message.to_json().into());
        let sent = self.socket.send(frame).await;
        sent.map_err(|error| anyhow!("a socket broke: {error}"))
    }

    fn board(&self) -> &Board {
        &self.conversation.board
    }
}

async fn next_of(awaited: &mut Option<Awaited>) -> Option<TurnStatus> {
    match awaited {
        Some(awaited) => awaited.standing.as_mut().await,
        None => std::future::pending().await,
    }
}
