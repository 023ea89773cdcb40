use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Exact counts of one sandbox, or the sums over all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenClawStats {
    /// Connections that are open and past their handshake.
    pub connections: u64,
    /// Handshakes that ended in `hello-ok`.
    pub handshakes: u64,
    /// Handshakes refused, by `details.code` (or `error.code` where there is none).
    pub refused: BTreeMap<String, u64>,
    /// `chat.send` requests with a new idempotency key.
    pub sends: u64,
    /// `chat.send` requests repeated while their run was active (`in_flight`).
    pub repeated_in_flight: u64,
    /// `chat.send` requests repeated after their run (`ok`, or an empty final).
    pub repeated_done: u64,
    /// `chat.send` requests refused because their key had been used for another message.
    pub conflicts: u64,
    /// How many times logins were locked after too many refusals.
    pub lockouts: u64,
    /// `chat.send` requests that arrived while a run occupied the session. Each one is a bug of the client.
    pub overlaps: u64,
    /// Overlaps with a heartbeat's run, which a client cannot foresee; not counted in `overlaps`.
    pub overlaps_with_heartbeats: u64,
    /// Turns begun, heartbeats included. Each one asks the model once.
    pub turns: u64,
    /// Turns begun by heartbeats.
    pub heartbeats: u64,
    /// Heartbeats dropped because a run occupied the session.
    pub heartbeats_skipped: u64,
    /// Proactive texts stored in transcripts, of heartbeats and of reminders.
    pub proactive: u64,
    /// Turns that ended with a reply, without one, with an error or by an abort.
    pub turns_ended: u64,
    /// Turns that OpenClaw continued after a kill.
    pub resumed: u64,
    /// Turns that a kill ended before the user's row was stored.
    pub lost: u64,
    /// New `chat.send` requests whose message was in the transcript already, so that the user is answered
    /// twice.
    pub answered_again: u64,
    /// Starts of the OpenClaw process, the first included.
    pub boots: u64,
    /// Frames of floods, see [`crate::Flood`].
    pub flood_frames: u64,
}

impl OpenClawStats {
    /// Handshakes refused because of a token, a signature or a lockout. Refusals because of a pending
    /// approval or a starting process are not counted.
    pub fn auth_failures(&self) -> u64 {
        let of_auth = |code: &str| code.starts_with("AUTH_") || code.starts_with("DEVICE_AUTH_");
        let refused = self.refused.iter();
        refused
            .filter(|(code, _)| of_auth(code))
            .map(|(_, count)| count)
            .sum()
    }

    /// Adds the counts of another sandbox.
    pub(crate) fn add(&mut self, other: &Self) {
        self.connections += other.connections;
        self.handshakes += other.handshakes;
        for (code, count) in &other.refused {
            *self.refused.entry(code.clone()).or_default() += count;
        }
        self.sends += other.sends;
        self.repeated_in_flight += other.repeated_in_flight;
        self.repeated_done += other.repeated_done;
        self.conflicts += other.conflicts;
        self.lockouts += other.lockouts;
        self.overlaps += other.overlaps;
        self.overlaps_with_heartbeats += other.overlaps_with_heartbeats;
        self.turns += other.turns;
        self.heartbeats += other.heartbeats;
        self.heartbeats_skipped += other.heartbeats_skipped;
        self.proactive += other.proactive;
        self.turns_ended += other.turns_ended;
        self.resumed += other.resumed;
        self.lost += other.lost;
        self.answered_again += other.answered_again;
        self.boots += other.boots;
        self.flood_frames += other.flood_frames;
    }
}

/// One row of a transcript, for operators and tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptRow {
    /// The key of its session.
    pub session: String,
    /// `__openclaw.id` in OpenClaw's JSON.
    pub id: String,
    /// The author: `user` or `assistant`.
    pub role: String,
    /// The text, without the author's name.
    pub text: String,
    /// The `idempotencyKey` of the row, without OpenClaw's suffix `:user`.
    pub key: Option<String>,
    /// The run that wrote it, for replies and aborted replies.
    pub run_id: Option<String>,
    /// Position in the session, from 1; hidden rows take positions too.
    pub seq: u64,
    /// Time at which it was stored, in milliseconds since 1970.
    pub stored_at_ms: i64,
    /// Whether it is the text of a heartbeat or of a reminder.
    pub is_proactive: bool,
}

/// How an OpenClaw process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// SIGKILL: sockets are cut, memory is lost, and the next start continues the interrupted turn.
    Kill,
    /// SIGTERM: active runs end, then a `shutdown` event and close code 1012 are sent.
    Graceful,
}

/// A restart of OpenClaw processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// How the old process ends.
    pub ending: Ending,
    /// Milliseconds without a process, in which connections are dropped.
    #[serde(default)]
    pub down_ms: u64,
    /// Milliseconds after `down_ms` in which `connect` is answered with `UNAVAILABLE`.
    #[serde(default)]
    pub starting_ms: u64,
}

impl Restart {
    /// A SIGKILL after which the new process is ready at once.
    pub const KILL: Self = Self {
        ending: Ending::Kill,
        down_ms: 0,
        starting_ms: 0,
    };

    /// A SIGTERM after which the new process is ready at once.
    pub const GRACEFUL: Self = Self {
        ending: Ending::Graceful,
        down_ms: 0,
        starting_ms: 0,
    };
}
