//! The state of live calls: whether the assistant listens, the result of each turn, and the tickets that let
//! Twilio's sockets in. It is kept for some hours in a bucket on the bus, where ingress, the gateway and
//! outbound read and write it. The lasting record of a call is in the store, of which this crate knows nothing.

mod live_calls;
mod tickets;

pub use live_calls::{CallUpdate, LiveCalls};
pub use tickets::{RedeemedTicket, RelayTicket, TicketCode, TicketError};
