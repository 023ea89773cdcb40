//! Carries the events of `claw-events` over NATS JetStream: publishing that waits for the disk, and
//! consuming in lanes, one event of a person at a time and many people at once, each partition by one
//! replica of a service. Owns the definitions of streams and buckets. Knows no event's meaning, and lets no handler see a NATS message.

mod calls;
mod connect;
mod consume;
mod dead;
mod floors;
mod handler;
mod headers;
mod lanes;
mod operate;
mod ownership;
mod place;
mod publish;
mod streams;
mod takeover;
mod tickets;
mod watch;

pub use calls::{CallNews, Calls};
pub use connect::{Bus, BusConfig, BusError};
pub use consume::Consumer;
pub use handler::{Attempt, Handler, HandlerError};
pub use operate::{Chosen, Command, OperateError, Payload, Terminal, Ticket, USAGE, UsageError};
pub use ownership::{Hold, Ownership, Share, Tenure, Tenures, Unit};
pub use publish::{Outgoing, PublishError, Publisher, Stored};
pub use streams::ensure;
pub use tickets::{RelayTicket, Shown, TicketCode, TicketError};
