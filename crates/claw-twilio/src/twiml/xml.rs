use crate::{
    speech::{cut, pieces},
    voices::{Language, voice},
};

/// Twilio takes at most 64 kB; whether it counts 1000 or 1024 is not said.
pub(super) const MAX_BYTES: usize = 64_000;

/// Longest text in one `<Say>` with a voice of Polly.
const MAX_SAY_CHARS: usize = 3_000;

/// Longest text in one `<Say>` when URL-encoded, which Twilio does with it in some cases.
const MAX_SAY_ENCODED_BYTES: usize = 4_500;

/// XML in the making. What is spoken is given as much room as the rest leaves it: a text can be cut, the
/// structure cannot.
pub(super) struct Xml {
    text: String,
    /// Bytes that spoken text may still take.
    room_for_speech: usize,
}

impl Xml {
    pub(super) fn new(room_for_speech: usize) -> Self {
        let text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Self {
            text,
            room_for_speech,
        }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// `<name`; attributes follow.
    pub(super) fn open(&mut self, name: &str) {
        self.text.push('<');
        self.text.push_str(name);
    }

    pub(super) fn attribute(&mut self, name: &str, value: &str) {
        self.text.push(' ');
        self.text.push_str(name);
        self.text.push_str("=\"");
        self.text.push_str(&escaped(value));
        self.text.push('"');
    }

    pub(super) fn optional(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.attribute(name, value);
        }
    }

    /// The end of a tag with something inside.
    pub(super) fn begin_content(&mut self) {
        self.text.push('>');
    }

    /// The end of a tag with nothing inside.
    pub(super) fn close_empty(&mut self) {
        self.text.push_str("/>");
    }

    pub(super) fn close(&mut self, name: &str) {
        self.text.push_str("</");
        self.text.push_str(name);
        self.text.push('>');
    }

    pub(super) fn content(&mut self, text: &str) {
        self.text.push_str(&escaped(text));
    }

    /// `<Say>`, as often as the voice's limits need it, as long as there is room.
    pub(super) fn say(&mut self, language: Language, text: &str) {
        for piece in pieces(text, MAX_SAY_CHARS, MAX_SAY_ENCODED_BYTES) {
            self.say_piece(language, piece);
        }
    }

    fn say_piece(&mut self, language: Language, piece: &str) {
        let frame = 64 + voice(language).len() + language.tag().len();
        if frame >= self.room_for_speech {
            self.room_for_speech = 0;
            return;
        }
        let whole = piece;
        let mut piece = piece;
        while frame + escaped(piece).len() > self.room_for_speech {
            // Escaped text is longer: it is cut again until it fits.
            let too_much = frame + escaped(piece).len() - self.room_for_speech;
            let chars = piece.chars().count();
            let less = chars.saturating_sub(too_much.div_ceil(MAX_ESCAPED_BYTES));
            piece = cut(piece, less).0;
        }
        let was_cut = piece.len() < whole.len();
        let before = self.text.len();
        self.open("Say");
        self.attribute("voice", voice(language));
        self.attribute("language", language.tag());
        self.begin_content();
        self.content(piece);
        self.close("Say");
        let taken = self.text.len() - before;
        // After a cut nothing more is said: speech with holes is worse than speech that stops.
        self.room_for_speech = if was_cut {
            0
        } else {
            self.room_for_speech.saturating_sub(taken)
        };
    }
}

/// The longest a character becomes: `&quot;`.
const MAX_ESCAPED_BYTES: usize = 6;

/// The text as XML 1.0 allows it: five characters escaped, and left out what it forbids even escaped.
pub(super) fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => escaped.push(' '),
            '\u{0}'..='\u{1F}' | '\u{FFFE}' | '\u{FFFF}' => {}
            character => escaped.push(character),
        }
    }
    escaped
}
