use std::{borrow::Cow, fmt};

/// The decoded fields of an `application/x-www-form-urlencoded` body or query, in order, including repeated
/// names and empty values: Twilio's signature covers all of them.
///
/// Fields are kept as bytes, because the signature covers bytes and decoding a field that is not UTF-8 would
/// change it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(Vec<u8>, Vec<u8>)>);

impl Form {
    /// Reads any input. An invalid escape stays as it is, as the URL standard requires.
    pub fn parse(body: &[u8]) -> Self {
        let fields = body
            .split(|byte| *byte == b'&')
            .filter(|field| !field.is_empty());
        let pairs = fields.map(|field| match field.iter().position(|byte| *byte == b'=') {
            Some(at) => (decoded(&field[..at]), decoded(&field[at + 1..])),
            None => (decoded(field), Vec::new()),
        });
        Self(pairs.collect())
    }

    /// A form of these fields, for simulators and tests.
    pub fn from_pairs<N: AsRef<[u8]>, V: AsRef<[u8]>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let pairs = pairs.into_iter();
        Self(
            pairs
                .map(|(name, value)| (name.as_ref().to_vec(), value.as_ref().to_vec()))
                .collect(),
        )
    }

    /// The fields in their order.
    pub fn pairs(&self) -> impl Iterator<Item = (&[u8], &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_slice(), value.as_slice()))
    }

    /// The first value of this name, with `�` in place of bytes that are not UTF-8.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.pairs()
            .find(|(found, _)| *found == name.as_bytes())
            .map(|(_, value)| String::from_utf8_lossy(value))
    }

    /// The first value of this name, unless it is blank.
    pub fn get_filled(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    /// The form as an encoded body or query.
    pub fn encode(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.pairs() {
            if !text.is_empty() {
                text.push('&');
            }
            encode_into(&mut text, name);
            text.push('=');
            encode_into(&mut text, value);
        }
        text
    }
}

/// Shows only the number of fields, because they contain phone numbers and speech.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Form({} fields)", self.0.len())
    }
}

fn decoded(text: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, others @ ..] = rest {
        let (byte, taken) = match (first, others) {
            (b'+', _) => (b' ', 1),
            (b'%', [high, low, ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            _ => (*first, 1),
        };
        bytes.push(byte);
        rest = &rest[taken..];
    }
    bytes
}

fn hex_digit(byte: u8) -> Option<u8> {
    let digit = char::from(byte).to_digit(16)?;
    u8::try_from(digit).ok()
}

fn encode_into(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        match byte {
            b' ' => text.push('+'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => {
                text.push(char::from(*byte));
            }
            _ => push_escape(text, *byte),
        }
    }
}

/// Appends `%` and the two hex digits of a byte.
pub(crate) fn push_escape(text: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    text.push('%');
    text.push(char::from(DIGITS[usize::from(byte >> 4)]));
    text.push(char::from(DIGITS[usize::from(byte & 0xF)]));
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(body: &str) -> Vec<(String, String)> {
        let form = Form::parse(body.as_bytes());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        form.pairs()
            .map(|(name, value)| (text(name), text(value)))
            .collect()
    }

    #[test]
    fn repeats_empty_values_spaces_and_emoji_are_kept_in_order() {
        let expected = [
            ("b", "1"),
            ("a", ""),
            ("b", "1"),
            ("c", ""),
            ("d", " x + y "),
            ("e", "☕ é"),
            ("f", "="),
        ];
        assert_eq!(
            pairs("b=1&a=&b=1&&c&d=+x+%2B+y+&e=%E2%98%95+%c3%a9&f=="),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn an_invalid_escape_stays_as_it_is() {
        for text in ["%", "%4", "%zz", "100%", "%%41x%"] {
            let expected = text.replace("%41", "A");
            assert_eq!(pairs(&format!("a={text}"))[0].1, expected);
        }
    }

    #[test]
    fn invalid_utf8_reads_as_a_replacement_character_and_keeps_its_bytes() {
        let form = Form::parse(b"a=x%FFy");

        assert_eq!(form.get("a").unwrap(), "x\u{FFFD}y");
        assert_eq!(form.pairs().next().unwrap().1, b"x\xFFy");
    }

    #[test]
    fn debug_output_hides_the_fields() {
        let form = Form::parse(b"From=%2B14155550101&SpeechResult=secret");
        assert_eq!(format!("{form:?}"), "Form(2 fields)");
    }

    proptest! {
        #[test]
        fn parsing_an_encoded_form_gives_the_same_form(
            fields in proptest::collection::vec((".{1,8}", ".{0,300}"), 0..12),
        ) {
            let form = Form::from_pairs(fields);
            prop_assert_eq!(Form::parse(form.encode().as_bytes()), form);
        }

        #[test]
        fn no_body_makes_parsing_panic(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Form::parse(&body);
        }
    }
}
