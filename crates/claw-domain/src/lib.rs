//! The types that all parts of Clawkaka share: ids, addresses, message contents, states, and the pure rules for
//! them. Contains no I/O, no async code, and no wire format of another system.

mod address;
mod backoff;
mod call;
mod delivery;
mod id;
mod invite;
mod language;
mod message;
mod origin;
mod pin;
mod reply;
mod reply_text;
mod sandbox;
mod sealed_text;
mod secret_list;
mod sensitive;
mod user_id_key;

pub use address::{Address, AddressError, PhoneNumber, WhatsAppUserId};
pub use backoff::Backoff;
pub use call::{Attestation, CallOutcome};
pub use delivery::DeliveryState;
pub use id::{CallId, DeliveryId, IdError, InviteId, MessageId, ReplyId, SandboxId, UserId, Wamid};
pub use invite::InviteCode;
pub use language::{Language, LanguageError};
pub use message::{
    ContactCard, Flow, Interactive, Location, Media, MediaKind, MessageContent, MessageContext,
    Reaction, Referral, SystemNotice, Unsupported,
};
pub use origin::{Origin, VoiceKind};
pub use pin::{Pin, PinError};
pub use reply::{Channel, ReplySource};
pub use reply_text::ReplyText;
pub use sandbox::{Endpoint, FailureReason, SandboxStatus, SleepPolicy, WakeReason};
pub use sealed_text::SealedText;
pub use secret_list::{NoSecret, SecretList};
pub use sensitive::Sensitive;
pub use user_id_key::{UserIdKey, UserIdKeyError};
