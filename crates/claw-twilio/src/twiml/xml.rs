use crate::{
    speech::{cut, pieces},
    voices::{Language, voice},
};

/// Longest document: Twilio accepts 64 kB and does not say whether a kB has 1000 or 1024 bytes.
pub(super) const MAX_BYTES: usize = 64_000;

/// Longest text in one `<Say>` with a Polly voice.
const MAX_SAY_CHARS: usize = 3_000;

/// Longest URL-encoded text in one `<Say>`; Twilio URL-encodes the text in some cases.
const MAX_SAY_ENCODED_BYTES: usize = 4_500;

/// Writes XML. Spoken text gets only the bytes that the structure leaves free, because text can be cut and
/// structure cannot.
pub(super) struct Xml {
    text: String,
    /// Bytes left for spoken text, its `<Say>` tags included.
    speech_bytes: usize,
}

impl Xml {
    pub(super) fn new(speech_bytes: usize) -> Self {
        let text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        Self { text, speech_bytes }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Writes `<name`; attributes follow.
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

    /// Ends the start tag of an element with content.
    pub(super) fn begin_content(&mut self) {
        self.text.push('>');
    }

    /// Ends an element without content.
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

    pub(super) fn redirect(&mut self, url: &str) {
        self.open("Redirect");
        self.attribute("method", "POST");
        self.begin_content();
        self.content(url);
        self.close("Redirect");
    }

    /// Writes as many `<Say>` elements as the voice's limits require, while there are bytes left.
    pub(super) fn say(&mut self, language: Language, text: &str) {
        for piece in pieces(text, MAX_SAY_CHARS, MAX_SAY_ENCODED_BYTES) {
            self.say_piece(language, piece);
        }
    }

    fn say_piece(&mut self, language: Language, piece: &str) {
        let frame = 64 + voice(language).len() + language.tag().len();
        if frame >= self.speech_bytes {
            self.speech_bytes = 0;
            return;
        }
        let whole = piece;
        let mut piece = piece;
        while frame + escaped(piece).len() > self.speech_bytes {
            // The cut is measured in characters and the limit in escaped bytes, so several cuts may be needed.
            let too_much = frame + escaped(piece).len() - self.speech_bytes;
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
        // Nothing is said after a cut: speech with gaps is worse than speech that stops.
        self.speech_bytes = if was_cut {
            0
        } else {
            self.speech_bytes.saturating_sub(taken)
        };
    }
}

/// Length of the longest escape, `&quot;`.
const MAX_ESCAPED_BYTES: usize = 6;

/// Escapes the five special characters of XML 1.0 and drops the ones it forbids even as escapes.
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
