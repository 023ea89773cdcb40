use std::borrow::Cow;

/// Replaces invalid characters by U+FFFD: `\u0000`, which Postgres rejects; unpaired surrogates, which our JSON
/// parser rejects and which occur when a name is cut inside an emoji; and bytes that are not UTF-8. Otherwise one such
/// text would make a whole batch unreadable, which would then never be acknowledged.
pub fn repaired(body: &[u8]) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(body);
    if !text.contains("\\u") {
        return text;
    }
    Cow::Owned(without_broken_escapes(&text))
}

const REPLACEMENT: &str = "\\ufffd";
/// Length of `\uXXXX`.
const ESCAPE_BYTES: usize = 6;

fn without_broken_escapes(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('\\') {
        repaired.push_str(&rest[..start]);
        rest = &rest[start..];
        let (kept, length) = match unit_of(rest) {
            Some(0xD800..=0xDBFF) if has_second_half(rest) => {
                (&rest[..2 * ESCAPE_BYTES], 2 * ESCAPE_BYTES)
            }
            Some(0 | 0xD800..=0xDFFF) => (REPLACEMENT, ESCAPE_BYTES),
            Some(_) => (&rest[..ESCAPE_BYTES], ESCAPE_BYTES),
            None => {
                let length = length_of_simple_escape(rest);
                (&rest[..length], length)
            }
        };
        repaired.push_str(kept);
        rest = &rest[length..];
    }
    repaired.push_str(rest);
    repaired
}

/// The UTF-16 unit of the escape `\uXXXX` at the beginning of `text`, if there is one.
fn unit_of(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let is_hex = digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_hex
        .then(|| u16::from_str_radix(digits, 16).ok())
        .flatten()
}

fn has_second_half(text: &str) -> bool {
    matches!(unit_of(&text[ESCAPE_BYTES..]), Some(0xDC00..=0xDFFF))
}

/// The length of a backslash and the character after it. An escaped backslash is skipped, so that `\\u0000` does not
/// count as an escape.
fn length_of_simple_escape(text: &str) -> usize {
    text.chars().take(2).map(char::len_utf8).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn read(json: &str) -> Value {
        serde_json::from_str(&repaired(json.as_bytes())).unwrap()
    }

    #[test]
    fn surrogate_pairs_stay_and_unpaired_ones_are_replaced() {
        assert_eq!(read(r#""\ud83d\udc4d""#), "👍");
        assert_eq!(read(r#""Ada \ud83d""#), "Ada \u{fffd}");
        assert_eq!(read(r#""\udc4d\ud83d\n""#), "\u{fffd}\u{fffd}\n");
        assert_eq!(read(r#""\ud83d\ud83d\udc4d""#), "\u{fffd}👍");
    }

    #[test]
    fn nul_is_replaced_and_an_escaped_backslash_stays() {
        assert_eq!(read(r#""a\u0000b""#), "a\u{fffd}b");
        assert_eq!(read(r#""a\\u0000b""#), "a\\u0000b");
        assert_eq!(read(r#""gr\u00fc\u00dfe""#), "grüße");
    }

    proptest! {
        #[test]
        fn valid_texts_are_not_changed(text in "\\PC*") {
            let json = serde_json::to_string(&text).unwrap();
            prop_assert_eq!(read(&json), Value::String(text));
        }

        #[test]
        fn no_bytes_make_the_repair_panic(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = repaired(&body);
        }

        #[test]
        fn no_mix_of_escapes_makes_the_repair_panic(text in r#"(\\|u|d8|dc|00|0|"|é|n){0,30}"#) {
            let _ = repaired(text.as_bytes());
        }
    }
}
