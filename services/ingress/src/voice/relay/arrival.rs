use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use axum::extract::ws::{Message, WebSocket};
use claw_bus::Bus;
use claw_calls::TicketCode;
use claw_events::SpeechStreamed;
use claw_twilio::{
    phrases::Phrases,
    relay::{FromTwilio, Setup},
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{TICKET, line::Line, talk::Talk};
use crate::voice::conversation::{CallerId, Conversation};

/// How long the first message may take to come.
const SETUP_PATIENCE: Duration = Duration::from_secs(5);

/// Turns one socket has numbers for. The next socket of the same session has the next ones.
const SOCKET_TURNS: u32 = 10_000;

/// A socket that came in, with everything it takes to talk over it.
pub(super) struct Arrival {
    pub(super) socket: WebSocket,
    pub(super) bus: Bus,
    pub(super) conversation: Arc<Conversation>,
    pub(super) moving: CancellationToken,
}

/// Lets a socket in that shows a ticket for its call, and talks over it to the end.
pub(super) async fn hold(arrival: Arrival) -> anyhow::Result<()> {
    let Arrival {
        mut socket,
        bus,
        conversation,
        moving,
    } = arrival;
    let setup = timeout(SETUP_PATIENCE, setup(&mut socket)).await;
    let setup = setup.context("nothing was said of which call it is")??;
    let call = setup.call_sid().context("a call without an id")?.call();
    let ticket = setup.custom_parameters.get(TICKET);
    let ticket = ticket.context("no ticket was shown")?;
    let session = setup.session_id.unwrap_or_default();
    let code = TicketCode::of_url(ticket.expose());
    let shown = conversation.show(&code, call, &session).await?;
    let about = call.to_string();
    let pieces = bus.hear_signals::<SpeechStreamed>(Some(&about)).await?;
    let ticket = shown.ticket;
    let is_first = shown.previous_uses == 0;
    let greeting = if is_first { ticket.greeting_chars } else { 0 };
    let turn = shown.previous_uses.saturating_mul(SOCKET_TURNS);
    let turn = ticket.turn.saturating_add(turn);
    let mut talk = Talk::after(turn, greeting, Instant::now());
    if !is_first {
        let owed = conversation.board.live_calls().owed_turn(call).await?;
        talk.resume(owed, Instant::now());
    }
    let line = Line {
        socket,
        conversation,
        call,
        caller: CallerId {
            address: ticket.address,
            trust: ticket.trust,
        },
        language: ticket.language,
        phrases: Phrases::of(ticket.language),
        talk,
        awaited: None,
        ends_by: None,
    };
    line.run(pin!(pieces), moving).await
}

async fn setup(socket: &mut WebSocket) -> anyhow::Result<Setup> {
    loop {
        match socket.recv().await.transpose()? {
            Some(Message::Text(text)) => match FromTwilio::parse(&text)? {
                FromTwilio::Setup(setup) => return Ok(setup),
                FromTwilio::Prompt(_)
                | FromTwilio::Dtmf { .. }
                | FromTwilio::Interrupt(_)
                | FromTwilio::Error
                | FromTwilio::Other => bail!("something was said before which call it is"),
            },
            Some(Message::Ping(_) | Message::Pong(_)) => {}
            Some(Message::Binary(_) | Message::Close(_)) | None => {
                bail!("closed before anything was said")
            }
        }
    }
}
