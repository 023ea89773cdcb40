//! From what an assistant writes to what can be spoken: no Markdown, no addresses, no emoji.
//!
//! The text is read character by character, so that words can be spoken while the assistant still
//! writes; what comes out does not depend on how it was cut into pieces on the way in. A Markdown parser
//! of the ordinary kind wants the whole text first.

mod cut;
mod inline;
mod lines;
mod stream;
mod table;
mod words;

pub use cut::{LONGEST_SPEECH_CHARS, cut, pieces, whole_sentences};
pub use stream::{SpeechStream, speakable, speakable_in};

#[cfg(test)]
mod tests;
