/// Writes words without markup, with one space between them and a full stop after each line that lacks one.
pub(super) struct WordWriter {
    a_link: &'static str,
    out: String,
    last: Option<char>,
    is_sentence_over: bool,
    has_said_link: bool,
}

impl WordWriter {
    pub(super) const fn new(a_link: &'static str) -> Self {
        Self {
            a_link,
            out: String::new(),
            last: None,
            is_sentence_over: false,
            has_said_link: false,
        }
    }

    /// Takes the text written since the last call.
    pub(super) fn take(&mut self) -> String {
        std::mem::take(&mut self.out)
    }

    /// Ends the sentence. A missing full stop is written only when the next word arrives.
    pub(super) fn end_sentence(&mut self) {
        self.is_sentence_over = true;
    }

    /// Writes a word, which may contain markup.
    pub(super) fn push(&mut self, word: &str) {
        match address_in(word) {
            Some((before, after)) => self.push_link(before, after),
            None => self.write(&cleaned(word)),
        }
    }

    /// Writes the phrase for a link in place of the first web address, and nothing in place of later ones.
    fn push_link(&mut self, before: &str, after: &str) {
        if self.has_said_link {
            self.write(&cleaned(before));
            self.write(&cleaned(after));
            return;
        }
        self.has_said_link = true;
        let before = cleaned(before);
        let after = cleaned(after);
        let mut words = self.a_link.split(' ').peekable();
        let mut first = before;
        while let Some(word) = words.next() {
            first.push_str(word);
            if words.peek().is_none() {
                first.push_str(&after);
            }
            self.write(&first);
            first.clear();
        }
    }

    fn write(&mut self, words: &str) {
        for word in words.split_whitespace() {
            self.write_word(word);
        }
    }

    fn write_word(&mut self, word: &str) {
        let is_only_punctuation = !word
            .chars()
            .any(|c| c.is_alphanumeric() || is_spoken_sign(c));
        if is_only_punctuation {
            self.write_punctuation(word);
            return;
        }
        match self.last {
            None => {}
            Some(last) => {
                if self.is_sentence_over && needs_stop(last) {
                    self.out.push('.');
                }
                self.out.push(' ');
            }
        }
        self.is_sentence_over = false;
        self.out.push_str(word);
        self.last = word.chars().last();
    }

    /// Appends punctuation that stands alone, or after a dropped word, to the word before.
    fn write_punctuation(&mut self, word: &str) {
        let Some(mark) = word.chars().find_map(pause_of) else {
            return;
        };
        let can_follow = self.last.is_some_and(char::is_alphanumeric) && !self.is_sentence_over;
        if can_follow {
            self.out.push(mark);
            self.last = Some(mark);
        }
    }
}

/// The text before and after a web address in the word, if there is one.
fn address_in(word: &str) -> Option<(&str, &str)> {
    let lower = word.to_ascii_lowercase();
    let from = ["https://", "http://", "www."]
        .iter()
        .filter_map(|beginning| lower.find(beginning))
        .min()?;
    let address = word[from..].trim_end_matches(|c: char| {
        matches!(
            c,
            '.' | ',' | ';' | ':' | '!' | '?' | ')' | '*' | '_' | '"' | '\'' | '…' | '`' | '”'
        )
    });
    Some((&word[..from], &word[from + address.len()..]))
}

/// The word without markup and emoji.
fn cleaned(word: &str) -> String {
    let characters: Vec<char> = word.chars().collect();
    let mut cleaned = String::with_capacity(word.len());
    for (at, character) in characters.iter().copied().enumerate() {
        let before = at.checked_sub(1).map(|at| characters[at]);
        let after = characters.get(at + 1).copied();
        let is_between = |is: fn(char) -> bool| before.is_some_and(is) && after.is_some_and(is);
        match character {
            '*' if characters.len() == 1 || is_between(|c| c.is_ascii_digit()) => cleaned.push('×'),
            '_' if is_between(char::is_alphanumeric) => cleaned.push(' '),
            '\\' if after.is_some_and(|c| c.is_ascii_punctuation()) => {}
            '*' | '_' | '`' | '~' => {}
            // The scripts of India need joiners between letters; elsewhere they join emoji.
            '\u{200D}' | '\u{200C}' if !is_joining(before) => {}
            character if is_emoji(character) || is_unspoken(character) => {}
            character => cleaned.push(character),
        }
    }
    cleaned
}

fn is_joining(before: Option<char>) -> bool {
    before.is_some_and(|c| ('\u{0600}'..='\u{0DFF}').contains(&c))
}

/// Pictographs, arrows and dingbats, with their joiners and modifiers.
const fn is_emoji(character: char) -> bool {
    matches!(
        character,
        '\u{20E3}'
            | '\u{2122}'
            | '\u{2139}'
            | '\u{2190}'..='\u{21FF}'
            | '\u{2300}'..='\u{23FF}'
            | '\u{2460}'..='\u{24FF}'
            | '\u{2500}'..='\u{27BF}'
            | '\u{2900}'..='\u{297F}'
            | '\u{2B00}'..='\u{2BFF}'
            | '\u{3030}'
            | '\u{303D}'
            | '\u{3297}'
            | '\u{3299}'
            | '\u{FE00}'..='\u{FE0F}'
            | '\u{1F000}'..='\u{1FAFF}'
            | '\u{E0000}'..='\u{E01EF}'
    )
}

/// Control, private-use and direction characters.
fn is_unspoken(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{00AD}' | '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}'
                | '\u{2060}'..='\u{2069}' | '\u{E000}'..='\u{F8FF}' | '\u{FEFF}' | '\u{FFFC}' | '\u{FFFD}'
        )
}

/// Signs that are read aloud although they are not letters.
const fn is_spoken_sign(character: char) -> bool {
    matches!(
        character,
        '&' | '%'
            | '+'
            | '='
            | '@'
            | '$'
            | '€'
            | '£'
            | '¥'
            | '₹'
            | '×'
            | '÷'
            | '§'
            | '°'
            | '#'
            | '<'
            | '>'
    )
}

/// The spoken pause for a punctuation mark.
const fn pause_of(character: char) -> Option<char> {
    match character {
        '.' | '…' => Some('.'),
        '!' => Some('!'),
        '?' => Some('?'),
        '।' => Some('।'),
        ',' | ';' | ':' | '–' | '—' | '-' | '|' | '/' => Some(','),
        _ => None,
    }
}

fn needs_stop(last: char) -> bool {
    last.is_alphanumeric()
        || is_spoken_sign(last)
        || matches!(last, ')' | ']' | '"' | '”' | '’' | '\'' | '»' | '“')
        // Vowel signs of the scripts of India do not count as alphanumeric.
        || ('\u{0900}'..='\u{0DFF}').contains(&last) && last != '।'
}
