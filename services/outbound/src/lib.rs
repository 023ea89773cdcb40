//! Delivers replies: formats each for WhatsApp, sends its pieces in order, each once unless the outcome of a send
//! stays unknown, and records the delivery reports. During a phone call it stores the spoken answer for ingress. It
//! decides nothing about a reply's content, and sends it only to the address in the user's own row.

mod app;
mod config;
mod deliver_reply;
mod failures;
mod in_flight;
mod messages;
mod pieces;
mod rate_limiter;
mod record_report;
mod send_piece;
mod send_policy;
mod show_typing;
mod speech;

pub use app::App;
pub use config::Config;
pub use deliver_reply::DeliverReply;
pub use rate_limiter::RateLimiter;
pub use send_piece::{PieceSender, Reports};
pub use send_policy::Timeouts;
