//! From the assistant's Markdown to what a WhatsApp chat shows.

mod blocks;
mod containers;
mod links;
mod marks;
mod parameter;
mod render;
mod split;

pub use parameter::{PARAMETER_LIMIT_UTF16, to_parameter};
pub use render::to_whatsapp;
pub use split::{TEXT_LIMIT_UTF16, split};

#[cfg(test)]
mod tests;
