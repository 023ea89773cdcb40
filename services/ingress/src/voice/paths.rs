//! The URLs of the phone.

/// The webhook for an incoming call.
pub(super) const VOICE: &str = "/voice/webhook/voice";

/// Receives what the caller said or keyed in.
pub(super) const TRANSCRIPTION: &str = "/voice/webhook/transcription";

/// Twilio asks again here while a caller waits.
pub(super) const REPLY: &str = "/voice/webhook/reply";

/// Receives changes in the status of a call.
pub(super) const CALL_STATUS: &str = "/voice/webhook/call-status";

/// Twilio asks here after it could not use an answer of ours.
pub(super) const FALLBACK: &str = "/voice/webhook/fallback";

/// Twilio asks here how a call goes on after a streamed conversation.
pub(super) const RELAY_DONE: &str = "/voice/webhook/relay-done";

/// Twilio opens its sockets here.
pub(super) const RELAY_SOCKET: &str = "/voice/relay";

/// The parameter with the ticket, in a TwiML document and in a socket's first message.
pub(super) const TICKET_PARAMETER: &str = "ticket";
