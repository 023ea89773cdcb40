use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sim_kit::timeline::EntryKind;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::{
    form::Fields,
    interpreter::{CallResult, Interpreter},
    line::PendingAction,
    relay_frame::{self, AppMessage},
    relay_settings::RelaySettings,
    relay_socket::{self, Socket},
    relay_speech::SpeechPlayer,
    view::{CallView, EndReason, RelayView, TokenView},
    xml::Element,
};

/// Events kept while an application is disconnected, as documented.
const EVENTS_KEPT: usize = 500;

/// Attempts to reconnect to an application with `applicationReconnect`, and the seconds between them.
const RECONNECTS: u32 = 5;
const RECONNECT_SECONDS: f64 = 1.0;

/// An `end` message of the application, with its `handoffData`.
pub(crate) struct EndRequest(Option<String>);

/// How a session ended.
pub(crate) enum SessionEnd {
    /// The caller hung up.
    Completed,
    /// The application ended it, with this `handoffData`.
    Ended(Option<String>),
    /// The session failed with this error code of Twilio's.
    Failed(u32),
}

/// A ConversationRelay session. (Twilio docs, *ConversationRelay* and its WebSocket messages.)
pub(crate) struct RelaySession<'a> {
    pub(crate) interpreter: &'a mut Interpreter,
    pub(crate) settings: RelaySettings,
    pub(crate) id: String,
    pub(crate) since: Instant,
    /// Index of the session in the view.
    pub(crate) index: usize,
    pub(crate) speech: SpeechPlayer,
    pub(crate) socket: Option<Socket>,
    kept: Vec<Value>,
    reconnect_at: Instant,
    reconnects_left: u32,
    /// An action of the caller that waits until the agent has finished speaking.
    pub(crate) held: Option<PendingAction>,
    /// The application's `end`, which takes effect after the speech before it.
    ending: Option<EndRequest>,
}

impl Interpreter {
    /// Runs a session with the application at the relay's URL; returns the fields for Connect's action.
    pub(crate) async fn relay(
        &mut self,
        relay: &Element,
        action: Option<&str>,
    ) -> CallResult<Fields> {
        let settings = RelaySettings::of(relay);
        let index = self.line.view().relays.len();
        let id = format!("VX{}", Uuid::new_v4().simple());
        let view = RelayView {
            session: id.clone(),
            url: settings.url.clone(),
            ..RelayView::default()
        };
        self.line.update(|call| call.relays.push(view));
        self.line.set_doing(CallView::IN_RELAY_SESSION);
        let speech = SpeechPlayer::new(std::sync::Arc::clone(&self.line), self.world.config.pace);
        let mut session = RelaySession {
            interpreter: self,
            settings,
            id,
            since: Instant::now(),
            index,
            speech,
            socket: None,
            kept: Vec::new(),
            reconnect_at: Instant::now(),
            reconnects_left: 0,
            held: None,
            ending: None,
        };
        let outcome = session.run().await;
        let fields = session.close(&outcome).await;
        if matches!(outcome, SessionEnd::Completed) {
            self.report_completed(action, fields);
            return Err(EndReason::CallerHungUp);
        }
        self.line.caller_waits();
        Ok(fields)
    }
}

impl RelaySession<'_> {
    async fn run(&mut self) -> SessionEnd {
        let hung_up = self.interpreter.line.hung_up.clone();
        let connected = tokio::select! {
            biased;
            () = hung_up.cancelled() => return SessionEnd::Completed,
            connected = self.connect() => connected,
        };
        if connected.is_err() {
            return SessionEnd::Failed(64_102);
        }
        if let Some(greeting) = self.settings.greeting.clone() {
            let interruptible = self.settings.greeting_interruptible;
            self.speech.add_token(&greeting, true, interruptible);
        }
        self.reconnects_left = if self.settings.reconnects {
            RECONNECTS
        } else {
            0
        };
        loop {
            if self.speech.is_idle() {
                if let Some(EndRequest(handoff)) = self.ending.take() {
                    return SessionEnd::Ended(handoff);
                }
                if let Some(pending) = self.held.take() {
                    self.perform(pending).await;
                    continue;
                }
            }
            let listens = self.held.is_none() && self.ending.is_none();
            let spoken_at = self.speech.due();
            tokio::select! {
                biased;
                () = hung_up.cancelled() => return SessionEnd::Completed,
                frame = next_frame(&mut self.socket) => match frame {
                    Some(frame) => self.handle(&frame).await,
                    None => self.socket = None,
                },
                () = sleep_until(spoken_at.unwrap_or(self.since)), if spoken_at.is_some() => {
                    self.speech.advance();
                }
                () = sleep_until(self.reconnect_at), if self.socket.is_none() => {
                    if !self.reconnect().await {
                        return SessionEnd::Failed(64_105);
                    }
                }
                Some(pending) = self.interpreter.actions.recv(), if listens => {
                    if !pending.done.is_closed() {
                        self.perform(pending).await;
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ()> {
        let socket = relay_socket::open(&self.interpreter.world, &self.settings.url).await;
        let socket = socket.map_err(|error| {
            let warning = format!("64102: {error}");
            self.interpreter.line.warn(warning);
        })?;
        self.socket = Some(socket);
        let index = self.index;
        self.interpreter
            .line
            .update(|view| view.relays[index].connections += 1);
        let setup = relay_frame::setup(
            &self.interpreter.world,
            &self.interpreter.line,
            &self.id,
            &self.settings.parameters,
        );
        self.send(setup).await;
        Ok(())
    }

    /// Tries to reconnect; false when the session has failed because no attempt is left.
    async fn reconnect(&mut self) -> bool {
        if self.reconnects_left == 0 || self.ending.is_some() {
            return false;
        }
        self.reconnects_left -= 1;
        if self.connect().await.is_ok() {
            for event in std::mem::take(&mut self.kept) {
                self.send(event).await;
            }
        } else {
            let pause = self
                .interpreter
                .world
                .config
                .pace
                .of_seconds(RECONNECT_SECONDS);
            self.reconnect_at = Instant::now() + pause;
        }
        true
    }

    /// Sends an event, or keeps it for the next connection.
    pub(crate) async fn send(&mut self, event: Value) {
        let Some(socket) = &mut self.socket else {
            if self.kept.len() < EVENTS_KEPT {
                self.kept.push(event);
            }
            return;
        };
        if socket.send(Message::text(event.to_string())).await.is_ok() {
            let index = self.index;
            self.interpreter
                .line
                .update(|view| view.relays[index].sent.push(event));
        } else {
            // The next read will find the socket closed.
            self.kept.push(event);
        }
    }

    pub(crate) fn record(&self, kind: impl FnOnce() -> EntryKind) {
        self.interpreter.world.record(&self.interpreter.line, kind);
    }

    async fn handle(&mut self, frame: &str) {
        match relay_frame::read(frame) {
            Ok(AppMessage::Text(token)) => {
                self.record(|| EntryKind::TokenReceived(token.text.clone()));
                let at_ms = self.interpreter.line.now_ms();
                let index = self.index;
                self.interpreter.line.update(|view| {
                    view.relays[index].tokens.push(TokenView {
                        text: token.text.clone(),
                        last: token.last,
                        at_ms,
                    });
                });
                let interruptible = token.interruptible.unwrap_or(self.settings.interruptible);
                self.speech
                    .add_token(&token.text, token.last, interruptible);
            }
            Ok(AppMessage::Play(source)) => {
                let interruptible = self.settings.interruptible;
                self.speech
                    .add_token(&format!("<play {source}>"), true, interruptible);
            }
            Ok(AppMessage::End(handoff)) => {
                self.speech.close();
                self.ending = Some(EndRequest(handoff));
            }
            Ok(AppMessage::Setting) => {}
            Err(()) => {
                let description = format!("Invalid message received: {frame}");
                self.interpreter.line.warn(format!("64107: {description}"));
                self.send(json!({ "type": "error", "description": description }))
                    .await;
            }
        }
    }
}

/// The next frame of the application; `None` when the socket is closed.
async fn next_frame(socket: &mut Option<Socket>) -> Option<String> {
    let Some(socket) = socket else {
        return std::future::pending().await;
    };
    loop {
        match socket.next().await {
            Some(Ok(Message::Text(text))) => return Some(text.as_str().to_owned()),
            Some(Ok(Message::Binary(_))) => return Some("(binary)".to_owned()),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
        }
    }
}
