//! Carries the events of `claw-events` over NATS JetStream. Publishing waits for the disk. Consuming handles one
//! event of a user at a time and many users at once, each partition in one replica of a service. Defines the
//! streams and buckets. Knows no event's meaning, and shows no NATS message to a handler.

mod connect;
mod consume;
mod consumer_name;
mod dead;
mod floors;
mod handler;
mod headers;
mod json_bucket;
mod lanes;
mod operate;
mod ownership;
mod publish;
mod streams;
mod unit_consumers;
mod watch;

pub use connect::{Bus, BusConfig, BusError};
pub use consume::Consumer;
pub use handler::{Attempt, Handler, HandlerError};
pub use json_bucket::{JsonBucket, Written};
pub use operate::{
    DeadLetters, InvalidReplayTicket, NewestLetters, ReplayError, ReplayOutcome, ReplayTicket,
    Replayer, StoredEvent, StoredLetter, StreamExtent, StreamHistory, StreamPosition,
};
pub use ownership::{Hold, Ownership, Share, Tenure, Tenures, Unit};
pub use publish::{Outgoing, PublishError, Publisher, Stored};
pub use streams::{CALLS, Ensured, ensure};
