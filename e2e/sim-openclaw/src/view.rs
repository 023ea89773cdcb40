use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Exact counts of one sandbox, or the sums over all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenClawStats {
    /// Connections open now, handshake done.
    pub connections: u64,
    /// Handshakes that succeeded.
    pub handshakes: u64,
    /// Handshakes refused, by `details.code` (or `error.code` where there is none).
    pub refused: BTreeMap<String, u64>,
    /// `chat.send` requests taken as new.
    pub sends: u64,
    /// `chat.send` requests repeated while their run was active (`in_flight`).
    pub repeated_in_flight: u64,
    /// `chat.send` requests repeated after their run (`ok`, or an empty final).
    pub repeated_done: u64,
    /// `chat.send` requests whose key belonged to another message.
    pub conflicts: u64,
    /// Times a kind of login was locked after too many refusals.
    pub lockouts: u64,
    /// `chat.send` requests that came while a run occupied the session: each is a mistake of ours.
    pub overlaps: u64,
    /// The same while the run was a heartbeat, which nobody can foresee.
    pub overlaps_with_heartbeats: u64,
    /// Turns begun, heartbeats included: how often the model was asked.
    pub turns: u64,
    /// Turns begun by heartbeats.
    pub heartbeats: u64,
    /// Heartbeats left out because a run occupied the session.
    pub heartbeats_skipped: u64,
    /// Texts nobody asked for that stand in a transcript: of heartbeats and of reminders.
    pub proactive: u64,
    /// Turns that ended with a reply, in silence or with an error.
    pub turns_ended: u64,
    /// Turns that continued by themselves after a kill.
    pub resumed: u64,
    /// Turns a kill ended before the user's row was stored.
    pub lost: u64,
    /// Turns asked for under a key whose user row was stored already: the person is answered twice.
    pub answered_again: u64,
    /// Times the gateway process was started, the first included.
    pub boots: u64,
}

impl OpenClawStats {
    /// Handshakes refused because of a token, a signature or a lockout. What waits for an approval or a
    /// start is not among them.
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
    }
}

/// One row of a transcript, for people and tests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TranscriptRow {
    /// The session it stands in.
    pub session: String,
    /// `__openclaw.id`.
    pub id: String,
    /// `user` or `assistant`.
    pub role: String,
    /// The text.
    pub text: String,
    /// `idempotencyKey` as sent, for user rows.
    pub key: Option<String>,
    /// The run that made it, for assistant rows.
    pub run_id: Option<String>,
    /// Its place.
    pub seq: u64,
    /// When it was stored, in milliseconds since 1970.
    pub stored_at_ms: i64,
    /// Whether the agent said it without being asked: for a heartbeat or a reminder.
    pub is_proactive: bool,
}

/// How a gateway process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ending {
    /// SIGKILL: sockets drop, memory is lost, the interrupted turn continues after the start.
    Kill,
    /// SIGTERM: runs end first, then `shutdown` and close 1012.
    Graceful,
}

/// A restart of gateway processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restart {
    /// How it ends.
    pub ending: Ending,
    /// Milliseconds during which connections are refused.
    #[serde(default)]
    pub down_ms: u64,
    /// Milliseconds after that during which connects are answered with `UNAVAILABLE`.
    #[serde(default)]
    pub starting_ms: u64,
}

impl Restart {
    /// A SIGKILL after which the gateway is back at once.
    pub const KILL: Self = Self {
        ending: Ending::Kill,
        down_ms: 0,
        starting_ms: 0,
    };

    /// A SIGTERM after which the gateway is back at once.
    pub const GRACEFUL: Self = Self {
        ending: Ending::Graceful,
        down_ms: 0,
        starting_ms: 0,
    };
}
