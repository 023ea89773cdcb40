use claw_twilio::speech::{LONGEST_SPEECH_CHARS, SpeechStream, whole_sentences};

/// Characters said as they come. What follows is said sentence by sentence, so that an answer too long to
/// hear ends with one.
const FLOWING_CHARS: usize = 300;

/// A turn that is being answered.
pub(super) struct Answering {
    pub(super) turn: u32,
    /// What came of the answer so far, on its way to speech.
    stream: SpeechStream,
    /// Characters of the answer taken so far.
    taken: u32,
    /// What can be said of it so far.
    text: String,
    chars: usize,
    /// Bytes of it that were said.
    said: usize,
    /// A piece was lost: the rest is said when all of it is known.
    has_gap: bool,
}

impl Answering {
    pub(super) fn of(turn: u32) -> Self {
        Self {
            turn,
            stream: SpeechStream::new(),
            taken: 0,
            text: String::new(),
            chars: 0,
            said: 0,
            has_gap: false,
        }
    }

    /// One of whose answer the beginning was missed.
    pub(super) fn late(turn: u32) -> Self {
        Self {
            has_gap: true,
            ..Self::of(turn)
        }
    }

    /// What was said so far.
    pub(super) fn said(&self) -> &str {
        &self.text[..self.said]
    }

    /// Takes a piece of the answer, in the assistant's own notation, that begins with this character of it;
    /// what can be said now.
    pub(super) fn take(&mut self, offset: u32, piece: &str) -> String {
        self.has_gap |= offset != self.taken;
        if self.has_gap {
            return String::new();
        }
        let length = u32::try_from(piece.chars().count()).unwrap_or(u32::MAX);
        self.taken = self.taken.saturating_add(length);
        let words = self.stream.push(piece);
        self.chars += words.chars().count();
        self.text.push_str(&words);
        let end = if self.chars <= FLOWING_CHARS {
            self.text.len()
        } else {
            whole_sentences(&self.text, LONGEST_SPEECH_CHARS).len()
        };
        let end = end.max(self.said);
        let now = self.text[self.said..end].to_owned();
        self.said = end;
        now
    }

    /// What is left to say of the whole answer. What differs from what was said counts from where it does:
    /// better a few words twice than one not at all.
    pub(super) fn rest_of(&self, whole: &str) -> String {
        let said = self.said().trim_end();
        let same = said.bytes().zip(whole.bytes());
        let same = same.take_while(|(said, whole)| said == whole).count();
        let place = whole.floor_char_boundary(same);
        let is_in_a_word = place < said.len();
        let place = if is_in_a_word {
            whole[..place].rfind(char::is_whitespace).unwrap_or(0)
        } else {
            place
        };
        whole[place..].to_owned()
    }
}
