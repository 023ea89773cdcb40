use std::{pin::pin, sync::Arc, time::Duration};

use anyhow::{Context, bail};
use axum::extract::ws::{Message, WebSocket};
use claw_bus::Bus;
use claw_calls::TicketCode;
use claw_events::{CallStatus, SpeechStreamed};
use claw_twilio::{
    phrases::Phrases,
    relay::{FromTwilio, Setup},
};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use super::{conversation::RelayConversation, session::RelaySession};
use crate::voice::{
    call_control::{CallControl, CallerId},
    paths,
};

/// How long the first message may take to arrive.
const SETUP_TIMEOUT: Duration = Duration::from_secs(5);

/// Turn numbers reserved for one socket. The next socket of the same session has the next ones.
const TURNS_PER_SOCKET: u32 = 10_000;

/// A socket that Twilio has opened, and what a session needs.
pub(super) struct IncomingSocket {
    pub(super) socket: WebSocket,
    pub(super) bus: Bus,
    pub(super) control: Arc<CallControl>,
    pub(super) handing_over: CancellationToken,
}

/// Admits a socket that presents a ticket for its call, and serves it to its end.
pub(super) async fn serve(incoming: IncomingSocket) -> anyhow::Result<()> {
    let IncomingSocket {
        mut socket,
        bus,
        control,
        handing_over,
    } = incoming;
    let setup = timeout(SETUP_TIMEOUT, setup(&mut socket)).await;
    let setup = setup.context("the setup message did not arrive in time")??;
    let sid = setup.call_sid();
    let call = sid.context("the setup message names no call")?.call();
    let ticket = setup.custom_parameters.get(paths::TICKET_PARAMETER);
    let ticket = ticket.context("the setup message has no ticket")?;
    let session = setup.session_id.unwrap_or_default();
    let code = TicketCode::of_url(ticket.expose());
    let redeemed = control.redeem_ticket(&code, call, &session).await?;
    let about = call.to_string();
    let pieces = bus.hear_signals::<SpeechStreamed>(Some(&about)).await?;
    let ticket = redeemed.ticket;
    let is_first = redeemed.previous_uses == 0;
    let greeting_chars = if is_first { ticket.greeting_chars } else { 0 };
    let earlier_sockets = redeemed.previous_uses.saturating_mul(TURNS_PER_SOCKET);
    let last_turn = ticket.turn.saturating_add(earlier_sockets);
    // If the ticket was issued before the gateway had put the caller through, its language is a guess. Outbound
    // replaces links and code in the gateway's language, and the streamed text of an answer must match the
    // stored one.
    let status = control.watcher.live_calls().status(call).await?;
    let answers_in = status.and_then(CallStatus::language);
    let mut conversation = RelayConversation::after(
        last_turn,
        answers_in.unwrap_or(ticket.language),
        greeting_chars,
        Instant::now(),
    );
    if !is_first {
        let owed = control.watcher.live_calls().owed_turn(call).await?;
        conversation.resume(owed, Instant::now());
    }
    let session = RelaySession {
        socket,
        control,
        call,
        caller: CallerId {
            address: ticket.address,
            attestation: ticket.attestation,
        },
        language: ticket.language,
        phrases: Phrases::of(ticket.language),
        has_chat: status
            .and_then(CallStatus::has_chat)
            .unwrap_or(ticket.has_chat),
        conversation,
        pending: None,
        ends_by: None,
    };
    session.run(pin!(pieces), handing_over).await
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
                | FromTwilio::Other => bail!("the first message is not a setup message"),
            },
            Some(Message::Ping(_) | Message::Pong(_)) => {}
            Some(Message::Binary(_) | Message::Close(_)) | None => {
                bail!("the socket closed before the setup message")
            }
        }
    }
}
