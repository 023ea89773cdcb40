use std::fmt;

use super::{
    cut::cut,
    inline::{is_open, to_words},
    lines::{Fence, Line, LineKind, kind_of},
    table::Table,
    word_writer::WordWriter,
};
use crate::{phrases::Phrases, voices::Language};

/// Longest text that is held back because it may become a link or a tag. Labels are shorter, and a web address is
/// one word, which is held to its end anyway.
const MAX_HELD_CHARS: usize = 300;

/// Longest word. Longer ones are split, so that reading stays cheap.
const MAX_WORD_CHARS: usize = 8_000;

/// How much of a text is read before it is known whether there is enough to speak.
const PIECE_BYTES: usize = 1_024;

/// The speech for a text, with phrases of this language in place of links and code.
pub fn speakable_in(text: &str, language: Language) -> String {
    let mut stream = SpeechStream::in_language(language);
    let mut spoken = stream.push(text);
    spoken.push_str(&stream.finish());
    spoken
}

/// The beginning of the speech for a text, as [`cut`] would cut it, and whether anything was left out. Reads no more of
/// the text than that takes.
pub fn beginning_in(text: &str, language: Language, max_chars: usize) -> (String, bool) {
    let mut stream = SpeechStream::in_language(language);
    let mut spoken = String::new();
    let mut chars = 0;
    let mut rest = text;
    while !rest.is_empty() && chars <= max_chars {
        let (piece, others) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
        let speech = stream.push(piece);
        chars += speech.chars().count();
        spoken.push_str(&speech);
        rest = others;
    }
    if rest.is_empty() {
        spoken.push_str(&stream.finish());
    }
    let (beginning, is_cut) = cut(&spoken, max_chars);
    (beginning.to_owned(), is_cut)
}

/// Turns a text into speech while it is still being written. Together the outputs equal that of [`speakable_in`]
/// for the whole text. A word is spoken once the whitespace after it is there.
pub struct SpeechStream {
    phrases: &'static Phrases,
    line: Line,
    /// Text that may still become a link, a tag or a longer word.
    held: String,
    held_chars: usize,
    fence: Option<Fence>,
    table: Option<Table>,
    has_said_code: bool,
    writer: WordWriter,
}

impl SpeechStream {
    /// A stream with phrases of this language in place of links and code.
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
            writer: WordWriter::new(phrases.a_link),
        }
    }

    /// Takes more text and returns the speech that is complete, often none.
    pub fn push(&mut self, text: &str) -> String {
        for character in text.chars() {
            self.take(character);
        }
        self.writer.take()
    }

    /// Ends the text and returns the rest of the speech.
    pub fn finish(mut self) -> String {
        if !self.line.is_empty() {
            self.end_line();
        }
        self.end_table();
        self.release();
        self.writer.take()
    }

    fn take(&mut self, character: char) {
        match (character, &mut self.line) {
            ('\r', _) => {}
            ('\n', _) => self.end_line(),
            (_, Line::Whole(line)) => line.push(character),
            (_, Line::Head(head)) => {
                if let Some(kind) = head.push(character) {
                    let head = head.take();
                    self.begin_line(kind, &head);
                }
            }
            (_, Line::Text(_)) => self.take_inline(character),
        }
    }

    /// Goes on with a line whose kind is known from its head.
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
                self.writer.end_sentence();
                self.line = Line::Whole(head.to_owned());
            }
            LineKind::Blank => self.writer.end_sentence(),
            LineKind::Block { marker } => {
                self.writer.end_sentence();
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

    /// Reads the rest of a quotation as a line of its own.
    fn begin_again(&mut self, rest: &str) {
        self.line = Line::begun();
        for character in rest.chars() {
            self.take(character);
        }
    }

    fn end_line(&mut self) {
        match std::mem::replace(&mut self.line, Line::begun()) {
            Line::Head(mut head) => {
                let head = head.take();
                if let Some(kind) = kind_of(&head, true) {
                    self.begin_line(kind, &head);
                    // A line whose kind is known only at its end is complete.
                    if !self.line.is_empty() {
                        self.end_line();
                    }
                }
            }
            Line::Whole(line) => self.end_whole_line(&line),
            Line::Text(kind) => {
                if self.may_become_link() {
                    // A link may continue on the next line.
                    self.hold(' ');
                } else {
                    self.release();
                }
                if matches!(kind, LineKind::Block { .. }) {
                    self.release();
                    self.writer.end_sentence();
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
        self.writer.end_sentence();
        for word in to_words(text) {
            self.writer.push(&word);
        }
        self.writer.end_sentence();
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
            self.writer.push(&word);
        }
        self.held.clear();
        self.held_chars = 0;
    }
}

/// Does not print the text, which is private.
impl fmt::Debug for SpeechStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SpeechStream(…)")
    }
}
