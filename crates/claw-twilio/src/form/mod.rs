//! What Twilio posts to us: a form, and what the fields of it mean.

mod call;
mod caller;
mod decode;
mod request;

pub use call::{CallSid, CallSidError, CallStatus, Direction};
pub use caller::Caller;
pub use decode::Form;
pub(crate) use decode::push_escape;
pub use request::{RelayEnd, SessionStatus, VoiceRequest};
