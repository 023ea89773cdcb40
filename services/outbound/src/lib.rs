//! Says things to people: brings each reply into WhatsApp's form, sends its pieces in order, each once
//! as far as that can be known, and keeps count of what arrived; in a phone call, lays ready what is said. It decides nothing about what is said,
//! and a reply goes only to the address in the person's own row.

mod app;
mod config;
mod deliver_reply;
mod forms;
mod gate;
mod memory;
mod pace;
mod pieces;
mod record_report;
mod reports;
mod send_piece;
mod show_typing;
mod speech;
mod trouble;

pub use app::App;
pub use config::Config;
pub use deliver_reply::DeliverReply;
pub use gate::Gate;
pub use pace::Patience;
pub use reports::Reports;
pub use send_piece::PieceSender;
