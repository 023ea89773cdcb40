use std::fmt;

use crate::InviteId;

/// The start of every code. It tells a code from any other text of the same form, such as a card's number.
const PREFIX: &str = "CLAW";
/// The number of groups after the prefix, and of symbols in each: 16 symbols of 5 bits.
const GROUPS: usize = 4;
const GROUP_SYMBOLS: usize = 4;
/// Crockford's base 32, which has no letters that look like digits.
const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/// A code that lets a newcomer in: `CLAW-7QXM-2F0K-9ZTR-H3VD`, with 80 random bits. Not printed, and stored nowhere:
/// the database has its [`InviteCode::id`].
#[derive(Clone, PartialEq, Eq)]
pub struct InviteCode(String);

impl InviteCode {
    /// Random bytes of a code.
    pub const BYTES: usize = GROUPS * GROUP_SYMBOLS * 5 / 8;

    /// The code of these random bytes.
    pub fn from_random(bytes: [u8; Self::BYTES]) -> Self {
        let mut code = PREFIX.to_owned();
        for symbol in 0..GROUPS * GROUP_SYMBOLS {
            if symbol % GROUP_SYMBOLS == 0 {
                code.push('-');
            }
            let bits = (0..5).map(|bit| symbol * 5 + bit);
            let value = bits.fold(0, |value, bit| {
                value << 1 | usize::from(bytes[bit / 8] >> (7 - bit % 8) & 1)
            });
            code.push(ALPHABET[value].into());
        }
        Self(code)
    }

    /// Finds the first code in a text that somebody wrote, in capitals or not. Also returns the text without it.
    pub fn take_from(text: &str) -> Option<(Self, String)> {
        let mut starts = text.char_indices().map(|(start, _)| start);
        let (start, (code, length)) =
            starts.find_map(|start| Some((start, code_at(&text[start..])?)))?;
        let (before, after) = (&text[..start], &text[start + length..]);
        let rest = format!("{} {}", before.trim_end(), after.trim_start());
        Some((code, rest.trim().to_owned()))
    }

    /// The code itself. For the operator who hands it out.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The id of the invite, a hash: with 80 random bits, nobody finds the code for an id.
    pub fn id(&self) -> InviteId {
        InviteId::derived_from(&self.0)
    }
}

/// The code at the start of a text, and its length in bytes.
fn code_at(text: &str) -> Option<(InviteCode, usize)> {
    text.get(..PREFIX.len())
        .filter(|prefix| prefix.eq_ignore_ascii_case(PREFIX))?;
    let mut chars = text[PREFIX.len()..].chars();
    let mut code = PREFIX.to_owned();
    for _ in 0..GROUPS {
        chars.next().filter(|c| is_hyphen(*c))?;
        code.push('-');
        for _ in 0..GROUP_SYMBOLS {
            code.push(symbol(chars.next()?)?);
        }
    }
    let length = text.len() - chars.as_str().len();
    let is_longer = chars.next().is_some_and(char::is_alphanumeric);
    (!is_longer).then_some((InviteCode(code), length))
}

/// Phones turn hyphens into dashes.
const fn is_hyphen(c: char) -> bool {
    matches!(c, '-' | '\u{2010}'..='\u{2015}')
}

/// The symbol that somebody meant.
fn symbol(c: char) -> Option<char> {
    let meant = match c.to_ascii_uppercase() {
        'O' => '0',
        'I' | 'L' => '1',
        other => other,
    };
    let is_symbol = meant.is_ascii() && ALPHABET.contains(&(meant as u8));
    is_symbol.then_some(meant)
}

impl fmt::Debug for InviteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CODE: &str = "CLAW-0123-4567-89AB-CDEF";

    #[test]
    fn a_code_is_found_anywhere_in_a_text_and_however_it_is_typed() {
        for (text, rest) in [
            ("CLAW-0123-4567-89AB-CDEF", ""),
            (
                "Hi, my code is claw-O123-4567-89ab-cdef. Thanks!",
                "Hi, my code is . Thanks!",
            ),
            ("über CLAW–0l23—4567-89AB-CDEF\nhallo", "über hallo"),
            ("CLAW CLAW-0123-4567-89AB-CDEF", "CLAW"),
        ] {
            let (code, without) = InviteCode::take_from(text).unwrap();
            assert_eq!((code.expose(), without.as_str()), (CODE, rest), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_codes() {
        for text in [
            "",
            "0123-4567-89AB-CDEF",
            "CLAW-0123-4567-89AB-CDE",
            "CLAW-0123-4567-89AB-CDEFG",
            "CLAW-0123-4567-89AB-CDEU",
            "CLAW 0123 4567 89AB CDEF",
            "CLAW-01\u{660}3-4567-89AB-CDEF",
        ] {
            assert_eq!(InviteCode::take_from(text), None, "{text}");
        }
    }

    #[test]
    fn debug_output_hides_a_code() {
        let code = InviteCode::from_random([7; InviteCode::BYTES]);

        assert_eq!(format!("{code:?}"), "…");
    }

    proptest! {
        #[test]
        fn each_code_is_found_in_its_own_text(bytes: [u8; InviteCode::BYTES], more: [u8; InviteCode::BYTES]) {
            let (code, other) = (InviteCode::from_random(bytes), InviteCode::from_random(more));
            prop_assert_eq!(InviteCode::take_from(code.expose()), Some((code.clone(), String::new())));
            prop_assert_eq!(code.id() == other.id(), bytes == more);
        }

        #[test]
        fn any_text_is_searched(text in ".{0,200}") {
            InviteCode::take_from(&text);
        }
    }
}
