use std::marker::PhantomData;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

/// The longest id, key or name in a frame that is used. Real ones have at most some 150 bytes.
pub(crate) const LONGEST_ID_BYTES: usize = 256;

/// Deserializes a field of the expected shape; a field of any other shape counts as absent.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// Whether a field is present and not null.
pub(crate) fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    Option::<IgnoredAny>::deserialize(deserializer).map(|value| value.is_some())
}

/// The text, unless it is too long to be an id.
pub(crate) fn id(text: String) -> Option<String> {
    (text.len() <= LONGEST_ID_BYTES).then_some(text)
}

/// The beginning of a text that is only shown to people.
pub(crate) fn shortened(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(LONGEST_ID_BYTES));
    text.shrink_to_fit();
    text
}

/// The first `N` elements of a list. The others are skipped: a list of a million empty objects would take many times
/// the memory of its text.
#[derive(Debug)]
pub(crate) struct First<T, const N: usize>(pub(crate) Vec<T>);

impl<T, const N: usize> Default for First<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for First<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(FirstVisitor(PhantomData))
    }
}

struct FirstVisitor<T, const N: usize>(PhantomData<T>);

impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for FirstVisitor<T, N> {
    type Value = First<T, N>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Value, A::Error> {
        let mut first = Vec::new();
        while first.len() < N {
            match elements.next_element()? {
                Some(element) => first.push(element),
                None => return Ok(First(first)),
            }
        }
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(First(first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_beyond_the_first_are_skipped() {
        let read = |json: &str| serde_json::from_str::<First<u8, 2>>(json).map(|first| first.0);

        assert_eq!(read("[1]").unwrap(), [1]);
        assert_eq!(read(r#"[1, 2, {"a": []}, "b"]"#).unwrap(), [1, 2]);
        assert!(read("[1, 2, 3").is_err());
        assert!(read("{}").is_err());
    }
}
