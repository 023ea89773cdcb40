//! The store: users, their sandboxes and phone calls, and their messages and deliveries, in Postgres.
//!
//! Repositories take and return domain types; tables and SQL stay inside. Every call may be repeated: a
//! repetition changes nothing, except that each `try_pin` counts as a try. States move forward, except by
//! `Deliveries::mark_pending`, when a sandbox starts again, and when a replay reopens a message. A call that is
//! made for every message is one statement and one round trip. This crate decides nothing about conversations,
//! containers or channels, and reads no configuration.

mod access_lists;
mod calls;
mod database;
mod deliveries;
mod entity;
mod error;
mod invites;
mod keyring;
mod messages;
mod migration;
mod newcomers;
mod role;
mod sandboxes;
mod store;
mod suspensions;
mod text;
mod users;

pub use access_lists::{AccessList, AccessLists, ListedUser};
pub use calls::{Call, CallBegin, CallEnd, Calls};
pub use deliveries::{Deliveries, Delivery, OutgoingReply, Reported, WhileSuspended};
pub use error::StoreError;
pub use invites::{Invite, Invites};
pub use keyring::{Keyring, KeyringError};
pub use messages::{
    Caller, Disposition, HeldReply, InboundMessage, Messages, NewReply, ProactiveLoad, Receipt,
    Received, Settled, Settlement, TranscriptMove, VoiceMessage, WaitingMessage,
};
pub use migration::{migrate, record_user_id_key};
pub use newcomers::{Entrance, NewRefusal, Newcomer, NewcomerRecord, Newcomers, Refusal};
pub use role::Role;
pub use sandboxes::{
    AnySandbox, ConnectionSecrets, Demand, Host, KeyChange, KnownModelKey, ListedSandboxes,
    NewSandbox, Sandbox, SandboxFilter, SandboxRequest, SandboxSecrets, SandboxStart, Sandboxes,
    Sleeper, TranscriptCursor, Wake,
};
pub use store::Store;
pub use suspensions::{Suspension, SuspensionChange, SuspensionSet, Suspensions};
pub use users::{PinOutcome, PinTry, Profile, Users};
