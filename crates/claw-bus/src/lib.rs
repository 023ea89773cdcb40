//! Transports the events of `claw-events` over NATS JetStream. A publish returns when the event is on disk. A consumer
//! handles one event of a user at a time and many users at once, each partition in one replica of a service. Defines
//! the streams and buckets. Does not depend on the meaning of events, and passes no NATS message to a handler.

mod accounts;
mod connect;
mod consume;
mod consumer_name;
mod dead;
mod floors;
mod handler;
mod headers;
mod installation;
mod json_bucket;
mod lanes;
mod operate;
mod ownership;
mod publish;
mod stored;
mod streams;
mod suspects;
mod unit_consumers;
mod watch;

pub use connect::{Bus, BusConfig, BusError};
pub use consume::Consumer;
pub use handler::{Attempt, Handler, HandlerError, Parked};
pub use installation::UserIdKeyError;
pub use json_bucket::{JsonBucket, Written};
pub use operate::{
    DeadLetters, InvalidReplayTicket, NewestLetters, NewestOperatorEvents, OperatorEvents,
    ReplayError, ReplayOutcome, ReplayTicket, Replayer, StoredEvent, StoredLetter, StreamExtent,
    StreamHistory, StreamPosition, ToldEvent,
};
pub use ownership::{Hold, Ownership, Share, Tenure, Tenures, Unit};
pub use publish::{Outgoing, PAYLOAD_LIMIT_BYTES, PublishError, Publisher, Stored};
pub use streams::{CALLS, Ensured, EnsuredKind, ensure};
