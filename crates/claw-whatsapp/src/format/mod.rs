//! Converts an assistant's Markdown to WhatsApp's notation and limits.

mod blocks;
mod lines;
mod links;
mod marks;
mod nesting;
mod output;
mod parameter;
mod render;
mod renderer;
mod split;

pub use parameter::{PARAMETER_LIMIT_UTF16, to_parameter};
pub use render::to_whatsapp;
pub use split::{TEXT_LIMIT_UTF16, split};

#[cfg(test)]
mod tests;
