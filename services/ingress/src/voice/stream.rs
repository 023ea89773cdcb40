//! How a call comes to a streamed conversation, and goes on after it.

use claw_bus::PublishError;
use claw_calls::{RedeemedTicket, RelayTicket, TicketCode, TicketError};
use claw_domain::CallId;
use claw_events::{CallStep, Utterance};
use claw_twilio::form::{SessionStatus, VoiceRequest};
use metrics::counter;
use tokio::time::Instant;
use tracing::warn;

use super::{
    conversation::{CallerId, Conversation},
    dialogue::{Beat, Then, after_break, go_on, over, taken_over},
    relay::{Handoff, TURNS},
    script::texts,
    thread::Thread,
};

impl Conversation {
    /// A ticket for the caller's socket; `None` when the call goes on word by word.
    pub(crate) async fn ticket(
        &self,
        request: &VoiceRequest,
        thread: Thread,
        beat: &Beat,
    ) -> Option<TicketCode> {
        let Then::Listen(progress) = beat.then else {
            return None;
        };
        if thread.has_broken {
            return None;
        }
        let call = request.sid.call();
        let chars: usize = texts(thread, beat).map(|text| text.chars().count()).sum();
        let made_out = async {
            let caller = self.caller(call, request, thread).await?;
            let Some(CallerId { address, trust }) = caller else {
                return anyhow::Ok(None);
            };
            let ticket = RelayTicket {
                call,
                address,
                trust,
                turn: progress.turn.saturating_sub(1),
                language: thread.language,
                greeting_chars: u32::try_from(chars).unwrap_or(u32::MAX),
            };
            let code = self
                .board
                .live_calls()
                .issue_ticket(ticket, self.clock.now())
                .await?;
            Ok(Some(code))
        };
        made_out.await.unwrap_or_else(|error| {
            warn!("a call goes on word by word: {error:#}");
            None
        })
    }

    /// Somebody shows a ticket for a call.
    pub(crate) async fn show(
        &self,
        code: &TicketCode,
        call: CallId,
        session: &str,
    ) -> Result<RedeemedTicket, TicketError> {
        let now = self.clock.now();
        self.board
            .live_calls()
            .redeem_ticket(code, call, session, now)
            .await
    }

    /// The caller said something over a socket.
    pub(crate) async fn told(
        &self,
        call: CallId,
        caller: &CallerId,
        turn: Utterance,
    ) -> Result<(), PublishError> {
        let number = turn.number;
        let (told, noted) = tokio::join!(
            self.tell(call, caller, CallStep::Spoke(turn)),
            self.board.live_calls().note_asked(call, number),
        );
        if let Err(error) = noted {
            // Missed only if the socket breaks before the answer.
            warn!("a turn was not noted: {error}");
        }
        told
    }

    /// Twilio asks how the call goes on after a streamed conversation.
    pub(crate) async fn relay_done(
        &self,
        request: &VoiceRequest,
        thread: Thread,
    ) -> anyhow::Result<(Thread, Beat)> {
        let call = request.sid.call();
        let end = request.relay_end.as_ref();
        let next = thread.progress.turn.saturating_add(TURNS);
        let handoff = end
            .and_then(|end| end.handoff.as_ref())
            .and_then(Handoff::read);
        let beat = match (end.map(|end| end.status), handoff) {
            (Some(SessionStatus::Completed), _)
            | (Some(SessionStatus::Ended), Some(Handoff::HangUp)) => over(),
            (Some(SessionStatus::Ended), Some(Handoff::Listen)) => taken_over(None, next),
            (Some(SessionStatus::Ended), Some(Handoff::Answer { turn })) => {
                taken_over(Some(turn), next)
            }
            (Some(SessionStatus::Ended), Some(Handoff::SeeCall)) => {
                let standing = self.board.standing(call, Instant::now(), |_| true);
                match standing.await? {
                    Some(standing) => go_on(standing, next),
                    None => taken_over(None, next),
                }
            }
            (
                None | Some(SessionStatus::Ended | SessionStatus::Failed | SessionStatus::Other),
                _,
            ) => {
                let code = request.error_code.unwrap_or_default();
                warn!(
                    error.code = code,
                    "a streamed conversation failed (Twilio's {code}): the call goes on word by word"
                );
                counter!("ingress_relay_failed_total").increment(1);
                let thread = Thread {
                    has_broken: true,
                    ..thread
                };
                let owed = self.board.live_calls().owed_turn(call).await?;
                return Ok((thread, after_break(owed, next)));
            }
        };
        Ok((thread, beat))
    }
}
