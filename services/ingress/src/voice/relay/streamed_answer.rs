use claw_twilio::{
    speech::{LONGEST_SPEECH_CHARS, SpeechStream, whole_sentences},
    voices::Language,
};

/// Characters spoken as they arrive. After these only whole sentences are spoken, so that an answer too long to
/// listen to ends with one.
const UNBUFFERED_CHARS: usize = 300;

/// The answer to a turn while it streams in.
pub(super) struct StreamedAnswer {
    pub(super) turn: u32,
    /// Converts the assistant's notation to speech.
    stream: SpeechStream,
    /// Characters of the assistant's text received so far.
    received_chars: u32,
    /// The speech so far.
    speech: String,
    speech_chars: usize,
    /// Bytes of `speech` that were spoken.
    spoken_bytes: usize,
    /// A piece was lost: the rest is spoken when the complete answer is known.
    has_gap: bool,
}

impl StreamedAnswer {
    pub(super) fn to(turn: u32, language: Language) -> Self {
        Self {
            turn,
            stream: SpeechStream::in_language(language),
            received_chars: 0,
            speech: String::new(),
            speech_chars: 0,
            spoken_bytes: 0,
            has_gap: false,
        }
    }

    /// An answer whose beginning was missed.
    pub(super) fn missed(turn: u32, language: Language) -> Self {
        Self {
            has_gap: true,
            ..Self::to(turn, language)
        }
    }

    /// The speech that was spoken so far.
    pub(super) fn spoken(&self) -> &str {
        &self.speech[..self.spoken_bytes]
    }

    /// Takes a piece of the assistant's text, which begins at character `offset` of it, and returns the speech
    /// that can be spoken now.
    pub(super) fn take(&mut self, offset: u32, piece: &str) -> String {
        self.has_gap |= offset != self.received_chars;
        // After the longest speech nothing more is spoken, however much arrives.
        if self.has_gap || self.speech_chars > LONGEST_SPEECH_CHARS {
            return String::new();
        }
        let length = u32::try_from(piece.chars().count()).unwrap_or(u32::MAX);
        self.received_chars = self.received_chars.saturating_add(length);
        let speech = self.stream.push(piece);
        self.speech_chars += speech.chars().count();
        self.speech.push_str(&speech);
        let end = if self.speech_chars <= UNBUFFERED_CHARS {
            self.speech.len()
        } else {
            whole_sentences(&self.speech, LONGEST_SPEECH_CHARS).len()
        };
        let end = end.max(self.spoken_bytes);
        let now = self.speech[self.spoken_bytes..end].to_owned();
        self.spoken_bytes = end;
        now
    }

    /// The part of the complete answer that is still to be spoken. It begins where the answer differs from what
    /// was spoken, at the start of a word: a few words twice are better than a word lost.
    pub(super) fn rest_of(&self, whole: &str) -> String {
        let spoken = self.spoken().trim_end();
        let same = spoken.bytes().zip(whole.bytes());
        let same = same.take_while(|(spoken, whole)| spoken == whole).count();
        let start = whole.floor_char_boundary(same);
        let is_in_a_word = start < spoken.len();
        let start = if is_in_a_word {
            whole[..start].rfind(char::is_whitespace).unwrap_or(0)
        } else {
            start
        };
        whole[start..].to_owned()
    }
}
