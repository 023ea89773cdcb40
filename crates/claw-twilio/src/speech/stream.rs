use std::fmt;

use super::{
    inline::{is_open, to_words},
    lines::{Fence, Line, LineKind, kind_of},
    table::Table,
    words::Words,
};
use crate::{phrases::Phrases, voices::Language};

/// Longest piece of text that is held back to see whether it becomes a link or a tag.
///
/// An address has no blanks, so it is held to its end all the same; labels are shorter.
const MAX_HELD_CHARS: usize = 300;

/// Longest word. What is longer is no word, and is parted so that reading stays cheap.
const MAX_WORD_CHARS: usize = 8_000;

/// The text as it can be spoken; what we put in place of links and code is English.
pub fn speakable(text: &str) -> String {
    speakable_in(text, Language::EnglishUs)
}

/// The text as it can be spoken, with our own words in this language.
pub fn speakable_in(text: &str, language: Language) -> String {
    let mut stream = SpeechStream::in_language(language);
    let mut spoken = stream.push(text);
    spoken.push_str(&stream.finish());
    spoken
}

/// A text that is still being written, made speakable as it comes: the pieces put together are what
/// [`speakable_in`] makes of the whole. A word comes out once the blank behind it is there.
pub struct SpeechStream {
    phrases: &'static Phrases,
    /// What is known of the line that is being read.
    line: Line,
    /// What may still become a link, a tag, or just a longer word.
    held: String,
    held_chars: usize,
    fence: Option<Fence>,
    table: Option<Table>,
    has_said_code: bool,
    words: Words,
}

impl SpeechStream {
    /// With our own words in English.
    pub fn new() -> Self {
        Self::in_language(Language::EnglishUs)
    }

    /// With our own words in this language.
    pub fn in_language(language: Language) -> Self {
        let phrases = Phrases::of(language);
        Self {
            phrases,
            line: Line::begun(),
            held: String::new(),
            held_chars: 0,
            fence: None,
            table: None,
            has_said_code: false,
            words: Words::new(phrases.a_link),
        }
    }

    /// Takes more of the text and gives what can be spoken by now; often nothing.
    pub fn push(&mut self, text: &str) -> String {
        for character in text.chars() {
            self.take(character);
        }
        self.words.take()
    }

    /// Ends the text and gives the rest of it.
    pub fn finish(mut self) -> String {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_table();
        self.release();
        self.words.take()
    }

    fn take(&mut self, character: char) {
        match (character, &mut self.line) {
            ('\r', _) => {}
            ('\n', _) => self.end_line(),
            (_, Line::Whole(line)) => line.push(character),
            (_, Line::Head(head)) => {
                head.push(character);
                if let Some(kind) = kind_of(head, false) {
                    let head = std::mem::take(head);
                    self.begin_line(kind, &head);
                }
            }
            (_, Line::Text(_)) => self.take_inline(character),
        }
    }

    /// The kind of a line has become clear from its head.
    fn begin_line(&mut self, kind: LineKind, head: &str) {
        if self.fence.is_some() {
            self.line = Line::Whole(head.to_owned());
            return;
        }
        let is_row = kind == LineKind::Row;
        if !is_row {
            self.end_table();
        }
        let may_go_on = matches!(kind, LineKind::Paragraph | LineKind::Quote { .. });
        if !may_go_on {
            self.release();
        }
        match kind {
            LineKind::Row | LineKind::Fence | LineKind::Rule => {
                self.words.end_sentence();
                self.line = Line::Whole(head.to_owned());
            }
            LineKind::Blank => self.words.end_sentence(),
            LineKind::Block { marker } => {
                self.words.end_sentence();
                self.line = Line::Text(kind);
                self.take_all(&head[marker..]);
            }
            LineKind::Quote { marker } => self.begin_again(&head[marker..]),
            LineKind::Paragraph => {
                self.line = Line::Text(kind);
                self.take_all(head);
            }
        }
    }

    /// Inside a quote everything may stand that stands outside.
    fn begin_again(&mut self, rest: &str) {
        self.line = Line::begun();
        for character in rest.chars() {
            self.take(character);
        }
    }

    fn end_line(&mut self) {
        match std::mem::replace(&mut self.line, Line::begun()) {
            Line::Head(head) => {
                if let Some(kind) = kind_of(&head, true) {
                    self.begin_line(kind, &head);
                    // A line that is clear only at its end has no more text to come.
                    let is_blank = matches!(self.line, Line::Head(ref rest) if rest.is_empty());
                    if !is_blank {
                        self.end_line();
                    }
                }
            }
            Line::Whole(line) => self.end_whole_line(&line),
            Line::Text(kind) => {
                if self.may_become_link() {
                    // A link may go on in the next line; its beginning is kept.
                    self.hold(' ');
                } else {
                    self.release();
                }
                if matches!(kind, LineKind::Block { .. }) {
                    self.release();
                    self.words.end_sentence();
                }
            }
        }
    }

    fn end_whole_line(&mut self, line: &str) {
        if let Some(fence) = &self.fence {
            if fence.is_closed_by(line) {
                self.fence = None;
            }
            return;
        }
        match kind_of(line, true) {
            Some(LineKind::Row) => {
                let row = self.table.get_or_insert_with(Table::new).take(line);
                self.say_block(&row);
            }
            Some(LineKind::Fence) => {
                self.fence = Fence::opened_by(line);
                if !self.has_said_code {
                    self.has_said_code = true;
                    self.say_block(self.phrases.code_left_out);
                }
            }
            _ => {}
        }
    }

    fn end_table(&mut self) {
        if let Some(row) = self.table.take().and_then(Table::finish) {
            self.say_block(&row);
        }
    }

    fn say_block(&mut self, text: &str) {
        self.release();
        self.words.end_sentence();
        for word in to_words(text) {
            self.words.push(&word);
        }
        self.words.end_sentence();
    }

    fn take_all(&mut self, text: &str) {
        for character in text.chars() {
            self.take_inline(character);
        }
    }

    fn take_inline(&mut self, character: char) {
        if self.held_chars >= MAX_WORD_CHARS {
            self.release();
        }
        if character.is_whitespace() && !self.may_become_link() {
            self.release();
        } else {
            self.hold(character);
        }
    }

    fn may_become_link(&self) -> bool {
        self.held_chars < MAX_HELD_CHARS && is_open(&self.held)
    }

    fn hold(&mut self, character: char) {
        self.held.push(character);
        self.held_chars += 1;
    }

    fn release(&mut self) {
        for word in to_words(&self.held) {
            self.words.push(&word);
        }
        self.held.clear();
        self.held_chars = 0;
    }
}

impl Default for SpeechStream {
    fn default() -> Self {
        Self::new()
    }
}

/// It holds speech.
impl fmt::Debug for SpeechStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpeechStream(…)")
    }
}
