use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sim_kit::moments::Note;
use tokio::time::{Instant, sleep_until};
use tokio_tungstenite::tungstenite::Message;
use uuid::Uuid;

use super::{
    form::Fields,
    line::Act,
    relay_end::{Ending, Outcome},
    relay_frame::{self, Said},
    relay_settings::Settings,
    relay_socket::{self, Socket},
    relay_voice::Voice,
    run::{Phone, Step},
    view::{RelayView, Why},
    xml::Element,
};

/// Events kept for an application that is away, as documented.
const EVENTS_KEPT: usize = 500;

/// Tries to reach an application again that asked for it, and the seconds between them.
const RECONNECTS: u32 = 5;
const RECONNECT_SECONDS: f64 = 1.0;

/// A `ConversationRelay` session. (Twilio docs, *ConversationRelay* and its WebSocket messages.)
pub(crate) struct Session<'a> {
    pub(crate) phone: &'a mut Phone,
    pub(crate) settings: Settings,
    pub(crate) id: String,
    pub(crate) since: Instant,
    /// Its place in the view.
    pub(crate) place: usize,
    pub(crate) voice: Voice,
    pub(crate) socket: Option<Socket>,
    kept: Vec<Value>,
    reconnect_at: Instant,
    reconnects_left: u32,
    /// The caller wants something that has to wait until the agent has spoken.
    pub(crate) held: Option<Act>,
    /// The application said `end`; what was said before is spoken first.
    ending: Option<Ending>,
}

impl Phone {
    /// Connects the caller to the application at the relay's URL; the fields of Connect's action.
    pub(crate) async fn relay(&mut self, relay: &Element, action: Option<&str>) -> Step<Fields> {
        let settings = Settings::of(relay);
        let place = self.line.view().relays.len();
        let id = format!("VX{}", Uuid::new_v4().simple());
        let view = RelayView {
            session: id.clone(),
            url: settings.url.clone(),
            ..RelayView::default()
        };
        self.line.change(|call| call.relays.push(view));
        self.line.does("is on a relay");
        let voice = Voice::new(std::sync::Arc::clone(&self.line), self.world.config.pace);
        let mut session = Session {
            phone: self,
            settings,
            id,
            since: Instant::now(),
            place,
            voice,
            socket: None,
            kept: Vec::new(),
            reconnect_at: Instant::now(),
            reconnects_left: 0,
            held: None,
            ending: None,
        };
        let outcome = session.run().await;
        let fields = session.close(&outcome).await;
        if matches!(outcome, Outcome::Completed) {
            self.report_completed(action, fields);
            return Err(Why::CallerHungUp);
        }
        self.line.caller_waits();
        Ok(fields)
    }
}

impl Session<'_> {
    async fn run(&mut self) -> Outcome {
        let hung_up = self.phone.line.hung_up.clone();
        let connected = tokio::select! {
            biased;
            () = hung_up.cancelled() => return Outcome::Completed,
            connected = self.connect() => connected,
        };
        if connected.is_err() {
            return Outcome::Failed(64_102);
        }
        if let Some(greeting) = self.settings.greeting.clone() {
            let interruptible = self.settings.greeting_interruptible;
            self.voice.takes(&greeting, true, interruptible);
        }
        self.reconnects_left = if self.settings.reconnects {
            RECONNECTS
        } else {
            0
        };
        loop {
            if self.voice.is_quiet() {
                if let Some(Ending(handoff)) = self.ending.take() {
                    return Outcome::Ended(handoff);
                }
                if let Some(act) = self.held.take() {
                    self.take(act).await;
                    continue;
                }
            }
            let listens = self.held.is_none() && self.ending.is_none();
            let spoken_at = self.voice.due();
            tokio::select! {
                biased;
                () = hung_up.cancelled() => return Outcome::Completed,
                frame = next_frame(&mut self.socket) => match frame {
                    Some(frame) => self.hear(&frame).await,
                    None => self.socket = None,
                },
                () = sleep_until(spoken_at.unwrap_or(self.since)), if spoken_at.is_some() => {
                    self.voice.advance();
                }
                () = sleep_until(self.reconnect_at), if self.socket.is_none() => {
                    if !self.reconnect().await {
                        return Outcome::Failed(64_105);
                    }
                }
                Some(act) = self.phone.acts.recv(), if listens => {
                    if !act.done.is_closed() {
                        self.take(act).await;
                    }
                }
            }
        }
    }

    async fn connect(&mut self) -> Result<(), ()> {
        let socket = relay_socket::open(&self.phone.world, &self.settings.url).await;
        let socket = socket.map_err(|error| {
            let warning = format!("64102: {error}");
            self.phone.line.warn(warning);
        })?;
        self.socket = Some(socket);
        let place = self.place;
        self.phone
            .line
            .change(|view| view.relays[place].connections += 1);
        let setup = relay_frame::setup(
            &self.phone.world,
            &self.phone.line,
            &self.id,
            &self.settings.parameters,
        );
        self.send(setup).await;
        Ok(())
    }

    /// Whether the session may go on without its socket: connected again, or to be tried later.
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
            let pause = self.phone.world.config.pace.of_seconds(RECONNECT_SECONDS);
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
            let place = self.place;
            self.phone
                .line
                .change(|view| view.relays[place].sent.push(event));
        } else {
            // The next read finds the socket closed.
            self.kept.push(event);
        }
    }

    pub(crate) fn notes(&self, what: impl FnOnce() -> Note) {
        self.phone.world.notes(&self.phone.line, what);
    }

    async fn hear(&mut self, frame: &str) {
        match relay_frame::read(frame) {
            Ok(Said::Text(token)) => {
                self.notes(|| Note::Token(token.text.clone()));
                let at_ms = self.phone.line.now_ms();
                let place = self.place;
                self.phone.line.change(|view| {
                    view.relays[place].tokens.push(super::Token {
                        text: token.text.clone(),
                        last: token.last,
                        at_ms,
                    });
                });
                let interruptible = token.interruptible.unwrap_or(self.settings.interruptible);
                self.voice.takes(&token.text, token.last, interruptible);
            }
            Ok(Said::Play(source)) => {
                let interruptible = self.settings.interruptible;
                self.voice
                    .takes(&format!("<play {source}>"), true, interruptible);
            }
            Ok(Said::End(handoff)) => {
                self.voice.is_complete();
                self.ending = Some(Ending(handoff));
            }
            Ok(Said::Setting) => {}
            Err(()) => {
                let description = format!("Invalid message received: {frame}");
                self.phone.line.warn(format!("64107: {description}"));
                self.send(json!({ "type": "error", "description": description }))
                    .await;
            }
        }
    }
}

/// The next text of the application; `None` when the socket is gone.
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
