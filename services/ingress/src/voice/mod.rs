//! Talks with callers: tells what they say, and says what others lay ready. What a call does next is decided
//! in `dialogue`; nothing of a call is remembered here.

mod board;
mod conversation;
mod dialogue;
mod door;
mod recent;
mod script;
mod thread;

use std::sync::Arc;

use axum::Router;
use claw_bus::Bus;
use claw_runtime::SystemClock;

pub(crate) use board::Board;

use crate::{VoiceConfig, room::Room};
use conversation::Conversation;
use door::{BODY_LIMIT_BYTES, Door};
use recent::Recent;

/// What Twilio calls.
pub(crate) fn routes(config: VoiceConfig, bus: &Bus, board: Board) -> Router {
    door::routes(Door {
        tokens: config.auth_tokens,
        base: config.base_url,
        conversation: Conversation {
            board,
            publisher: bus.publisher(),
            clock: Arc::new(SystemClock),
        },
        recent: Recent::default(),
        room: Room::new(BODY_LIMIT_BYTES),
    })
}
