//! Starts a streamed conversation in a call, and goes on with the call after it.

use claw_bus::PublishError;
use claw_calls::{RedeemedTicket, RelayTicket, TicketCode, TicketError};
use claw_domain::CallId;
use claw_events::{CallStep, Utterance};
use claw_metrics::RELAY_FALLBACKS;
use claw_twilio::form::{SessionStatus, VoiceRequest};
use tracing::warn;

use super::{CallControl, CallerId};
use crate::voice::{
    call_state::CallState,
    dialogue::{CallResponse, Then, after_break, after_handoff, for_status, hang_up_silently},
    handoff::{Handoff, TURNS_PER_STREAM},
    twiml::texts,
};

impl CallControl {
    /// A ticket for a socket; `None` if the call goes on with webhooks.
    pub(crate) async fn issue_ticket(
        &self,
        request: &VoiceRequest,
        state: CallState,
        response: &CallResponse,
    ) -> Option<TicketCode> {
        let Then::Listen(progress) = response.then else {
            return None;
        };
        if state.has_broken {
            return None;
        }
        let call = request.sid.call();
        let texts = texts(state, response);
        let chars: usize = texts.map(|text| text.chars().count()).sum();
        let issued = async {
            let caller = self.caller(call, request, state).await?;
            let Some(CallerId {
                address,
                attestation,
            }) = caller
            else {
                return anyhow::Ok(None);
            };
            let ticket = RelayTicket {
                call,
                address,
                attestation,
                has_chat: state.has_chat,
                turn: progress.turn.saturating_sub(1),
                language: state.language,
                greeting_chars: u32::try_from(chars).unwrap_or(u32::MAX),
            };
            let (live_calls, now) = (self.watcher.live_calls(), self.clock.now());
            Ok(Some(live_calls.issue_ticket(ticket, now).await?))
        };
        issued.await.unwrap_or_else(|error| {
            warn!("cannot issue a ticket, so the call goes on with webhooks: {error:#}");
            None
        })
    }

    /// Redeems the ticket that a socket presents for a call.
    pub(crate) async fn redeem_ticket(
        &self,
        code: &TicketCode,
        call: CallId,
        session: &str,
    ) -> Result<RedeemedTicket, TicketError> {
        let (live_calls, now) = (self.watcher.live_calls(), self.clock.now());
        live_calls.redeem_ticket(code, call, session, now).await
    }

    /// Publishes what the caller said over a socket.
    pub(crate) async fn publish_utterance(
        &self,
        call: CallId,
        caller: &CallerId,
        utterance: Utterance,
    ) -> Result<(), PublishError> {
        let turn = utterance.number;
        let (published, noted) = tokio::join!(
            self.publish(call, caller, CallStep::Spoke(utterance)),
            self.watcher.live_calls().note_asked(call, turn),
        );
        if let Err(error) = noted {
            // The note is needed only if the socket breaks before the answer.
            warn!("cannot note which turn was asked: {error}");
        }
        published
    }

    /// Twilio asks how the call goes on after a streamed conversation.
    pub(crate) async fn relay_done(
        &self,
        request: &VoiceRequest,
        state: CallState,
    ) -> anyhow::Result<(CallState, CallResponse)> {
        let call = request.sid.call();
        let end = request.relay_end.as_ref();
        let next = state.progress.turn.saturating_add(TURNS_PER_STREAM);
        let handoff = end
            .and_then(|end| end.handoff.as_ref())
            .and_then(Handoff::read);
        let response = match (end.map(|end| end.status), handoff) {
            (Some(SessionStatus::Completed), _)
            | (Some(SessionStatus::Ended), Some(Handoff::HangUp)) => hang_up_silently(),
            (Some(SessionStatus::Ended), Some(Handoff::Listen)) => after_handoff(None, next),
            (Some(SessionStatus::Ended), Some(Handoff::Answer { turn })) => {
                after_handoff(Some(turn), next)
            }
            (Some(SessionStatus::Ended), Some(Handoff::SeeCall)) => {
                match self.watcher.live_calls().status(call).await? {
                    Some(status) => {
                        let state = state.knowing(Some(status));
                        return Ok((state, for_status(status, next)));
                    }
                    None => after_handoff(None, next),
                }
            }
            (
                None | Some(SessionStatus::Ended | SessionStatus::Failed | SessionStatus::Other),
                _,
            ) => return self.after_break(request, state, next).await,
        };
        Ok((state, response))
    }

    async fn after_break(
        &self,
        request: &VoiceRequest,
        state: CallState,
        next: u32,
    ) -> anyhow::Result<(CallState, CallResponse)> {
        let code = request.error_code.unwrap_or_default();
        warn!(
            error.code = code,
            "a streamed conversation failed (Twilio's error {code}): the call goes on with webhooks"
        );
        RELAY_FALLBACKS.increment([]);
        let state = CallState {
            has_broken: true,
            ..state
        };
        let live_calls = self.watcher.live_calls();
        let owed = live_calls.owed_turn(request.sid.call()).await?;
        Ok((state, after_break(owed, next)))
    }
}
