use std::{borrow::Cow, fmt};

/// The fields of an `application/x-www-form-urlencoded` body or query, decoded, in their order, with
/// repeats and empty values: all of them are part of Twilio's signature.
///
/// They are kept as bytes, because a signature is made over bytes, and a field that is no UTF-8 must not
/// become another one.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(Vec<u8>, Vec<u8>)>);

impl Form {
    /// Reads anything: what is no escape stays as it is, as the URL standard has it.
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

    /// A form of these fields. For simulators, tests and the queries of our own URLs.
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

    /// The first value of this name; what is no UTF-8 in it is replaced by `�`.
    pub fn get(&self, name: &str) -> Option<Cow<'_, str>> {
        self.pairs()
            .find(|(found, _)| *found == name.as_bytes())
            .map(|(_, value)| String::from_utf8_lossy(value))
    }

    /// The first value of this name, unless it is blank.
    pub fn get_filled(&self, name: &str) -> Option<Cow<'_, str>> {
        self.get(name).filter(|value| !value.trim().is_empty())
    }

    /// The form as it is sent, or written behind the `?` of a URL.
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

/// The fields hold numbers and speech: only how many there are is shown.
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

/// Adds `%` and the two hex digits of a byte.
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
    fn repeats_empty_values_blanks_and_emoji_are_kept_in_order() {
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
    fn an_escape_that_is_none_stays_as_it_is() {
        for text in ["%", "%4", "%zz", "100%", "%%41x%"] {
            let expected = text.replace("%41", "A");
            assert_eq!(pairs(&format!("a={text}"))[0].1, expected);
        }
    }

    #[test]
    fn what_is_no_text_is_read_with_a_mark_and_kept_in_its_bytes() {
        let form = Form::parse(b"a=x%FFy");

        assert_eq!(form.get("a").unwrap(), "x\u{FFFD}y");
        assert_eq!(form.pairs().next().unwrap().1, b"x\xFFy");
    }

    #[test]
    fn a_form_does_not_print_its_fields() {
        let form = Form::parse(b"From=%2B14155550101&SpeechResult=secret");
        assert_eq!(format!("{form:?}"), "Form(2 fields)");
    }

    proptest! {
        #[test]
        fn a_form_survives_writing_and_reading(
            fields in proptest::collection::vec((".{1,8}", ".{0,300}"), 0..12),
        ) {
            let form = Form::from_pairs(fields);
            prop_assert_eq!(Form::parse(form.encode().as_bytes()), form);
        }

        #[test]
        fn nothing_that_arrives_makes_us_fall(body in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Form::parse(&body);
        }
    }
}
