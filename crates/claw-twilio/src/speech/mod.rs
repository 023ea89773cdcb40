//! Turns an assistant's Markdown into speech without markup, addresses and emoji.
//!
//! The text is read character by character, so that words can be spoken while the assistant is still writing. The
//! output does not depend on how the input was split into pieces. An ordinary Markdown parser needs the whole text
//! first.
//!
//! The text comes from a stranger. Whatever it is, the time is linear in its length, and the speech is at most 4 times as
//! long and 1 KiB.

mod cut;
mod inline;
mod lines;
mod stream;
mod table;
mod word_writer;

pub use cut::{LONGEST_SPEECH_CHARS, cut, pieces, whole_sentences};
pub use stream::{SpeechStream, beginning_in, speakable_in};

#[cfg(test)]
mod tests;
