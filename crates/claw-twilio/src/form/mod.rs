//! The forms that Twilio posts to us, and the meaning of their fields.

mod call;
mod caller;
mod decode;
mod request;

pub use call::{CallSid, CallSidError, TwilioCallStatus};
pub use caller::Caller;
pub use decode::Form;
pub(crate) use decode::push_escape;
pub use request::{RelayEnd, SessionStatus, VoiceRequest};
