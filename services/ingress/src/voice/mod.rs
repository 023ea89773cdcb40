//! Talks with callers: tells what they say, and says what others lay ready. What a call does next is decided
//! in `dialogue`, and in `relay` where Twilio streams; nothing of a call is remembered here but what is being
//! said over an open socket.

mod board;
mod conversation;
mod dialogue;
mod door;
mod recent;
mod relay;
mod script;
mod stream;
mod thread;

use std::sync::Arc;

use axum::Router;
use claw_bus::Bus;
use claw_runtime::SystemClock;

pub(crate) use board::Board;
pub(crate) use relay::{Lines, MOVE_GRACE};

use crate::{VoiceConfig, room::Room};
use conversation::Conversation;
use door::{BODY_LIMIT_BYTES, Door};
use recent::Recent;
use relay::RelayDoor;

/// What Twilio calls.
pub(crate) fn routes(config: VoiceConfig, bus: &Bus, board: Board, lines: Lines) -> Router {
    let conversation = Arc::new(Conversation {
        board,
        publisher: bus.publisher(),
        clock: Arc::new(SystemClock),
    });
    let sockets = relay::routes(RelayDoor {
        tokens: config.auth_tokens.clone(),
        base: config.base_url.clone(),
        bus: bus.clone(),
        conversation: Arc::clone(&conversation),
        lines: lines.clone(),
    });
    let webhooks = door::routes(Door {
        tokens: config.auth_tokens,
        base: config.base_url,
        mode: config.mode,
        lines,
        conversation,
        recent: Recent::default(),
        room: Room::new(BODY_LIMIT_BYTES),
    });
    webhooks.merge(sockets)
}
