use serde::{
    Deserialize, Deserializer,
    de::{SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::lenient;

/// The content of a message: a plain string, or blocks, of which only text blocks are read.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Content {
    /// The string, or all text blocks joined.
    pub(crate) text: String,
    /// Whether the content is a plain string: written by a user or by cron, never by a model.
    pub(crate) is_plain: bool,
}

#[derive(Deserialize)]
struct Block {
    #[serde(rename = "type", default, deserialize_with = "lenient")]
    kind: Option<String>,
    #[serde(default, deserialize_with = "lenient")]
    text: Option<String>,
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = <&RawValue>::deserialize(deserializer)?.get();
        if let Ok(text) = serde_json::from_str::<String>(raw) {
            return Ok(Self {
                text,
                is_plain: true,
            });
        }
        let Texts(text) = serde_json::from_str(raw).unwrap_or_default();
        Ok(Self {
            text,
            is_plain: false,
        })
    }
}

/// The texts of all blocks, joined. No list of the blocks is made, which could take many times their memory.
#[derive(Default)]
struct Texts(String);

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(TextsVisitor)
    }
}

struct TextsVisitor;

impl<'de> Visitor<'de> for TextsVisitor {
    type Value = Texts;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("a list of blocks")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<Self::Value, A::Error> {
        let mut texts = String::new();
        while let Some(block) = blocks.next_element::<&RawValue>()? {
            texts.extend(text_of(block));
        }
        Ok(Texts(texts))
    }
}

fn text_of(block: &RawValue) -> Option<String> {
    let block: Block = serde_json::from_str(block.get()).ok()?;
    block.text.filter(|_| block.kind.as_deref() == Some("text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_string_is_the_text_itself() {
        assert_eq!(
            read("\"hello\""),
            Content {
                text: "hello".to_owned(),
                is_plain: true
            }
        );
    }

    #[test]
    fn only_text_blocks_are_read_in_order() {
        let content = read(
            r#"[{"type":"thinking","text":"hm"},{"type":"text","text":"a"},7,
                {"type":"toolCall","id":"c"},{"type":"text","text":"b"},{"type":"text","text":9}]"#,
        );

        assert_eq!(content.text, "ab");
    }

    #[test]
    fn content_of_an_unknown_shape_is_empty_instead_of_an_error() {
        assert_eq!(read("{\"a\":1}"), Content::default());
        assert_eq!(read("null"), Content::default());
    }

    fn read(json: &str) -> Content {
        serde_json::from_str(json).unwrap()
    }
}
