//! Reads JSON leniently: numbers may come as strings, strings as numbers, and keys may be missing.

use chrono::{DateTime, Utc};
use claw_domain::{Address, PhoneNumber, Sensitive, Wamid, WhatsAppUserId};
use serde_json::Value;

use super::ApiError;

/// Longest message id that we accept. Meta's have some 60 characters; those of reactions and groups have more.
const WAMID_LIMIT_CHARS: usize = 512;

/// A JSON value, which may be missing.
#[derive(Clone, Copy)]
pub struct Node<'a>(&'a Value);

impl<'a> Node<'a> {
    pub fn new(value: &'a Value) -> Self {
        Self(value)
    }

    /// The value of this key, or `null` if there is none.
    pub fn get(self, key: &str) -> Self {
        Self(self.0.get(key).unwrap_or(&Value::Null))
    }

    /// The value of this key, unless it is missing or `null`.
    pub fn find(self, key: &str) -> Option<Self> {
        let node = self.get(key);
        (!node.0.is_null()).then_some(node)
    }

    /// The elements of the array at this key, or none if it is not an array.
    pub fn each(self, key: &str) -> impl Iterator<Item = Node<'a>> + use<'a> {
        let elements = self.get(key).0.as_array().map_or(&[][..], Vec::as_slice);
        elements.iter().map(Node)
    }

    pub fn is_object(self) -> bool {
        self.0.is_object()
    }

    /// A string, which may be empty, or a number as a string.
    pub fn text(self, key: &str) -> Option<String> {
        match self.get(key).0 {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// A string that is not empty, or a number as a string.
    pub fn filled(self, key: &str) -> Option<String> {
        self.text(key).filter(|text| !text.is_empty())
    }

    pub fn sensitive(self, key: &str) -> Option<Sensitive<String>> {
        self.text(key).map(Sensitive::from)
    }

    /// An integer, or a string that contains one.
    pub fn integer(self, key: &str) -> Option<i64> {
        let node = self.get(key).0;
        node.as_i64().or_else(|| node.as_str()?.trim().parse().ok())
    }

    /// A finite number, or a string that contains one.
    pub fn decimal(self, key: &str) -> Option<f64> {
        let node = self.get(key).0;
        node.as_f64()
            .or_else(|| node.as_str()?.trim().parse().ok())
            .filter(|number| number.is_finite())
    }

    pub fn is_true(self, key: &str) -> bool {
        self.get(key).0.as_bool().unwrap_or(false)
    }

    /// A Unix time in seconds, as a number or string.
    pub fn time(self, key: &str) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(self.integer(key)?, 0)
    }

    pub fn phone(self, key: &str) -> Option<Address> {
        PhoneNumber::try_from(self.text(key)?)
            .ok()
            .map(Address::Phone)
    }

    pub fn user_id(self, key: &str) -> Option<WhatsAppUserId> {
        WhatsAppUserId::try_from(self.text(key)?).ok()
    }

    /// A message id, if it may be used in a header: printable ASCII without spaces, of limited length.
    pub fn wamid(self, key: &str) -> Option<Wamid> {
        self.filled(key)
            .filter(|id| id.len() <= WAMID_LIMIT_CHARS)
            .filter(|id| id.bytes().all(|b| b.is_ascii_graphic()))
            .map(Wamid::new)
    }

    /// The errors at `errors`, except those without a code.
    pub fn errors(self) -> impl Iterator<Item = ApiError> + use<'a> {
        self.each("errors").filter_map(|error| {
            Some(ApiError {
                code: error.integer("code")?,
                title: error.filled("title").or_else(|| error.filled("message")),
                details: error
                    .get("error_data")
                    .sensitive("details")
                    .or_else(|| error.sensitive("details")),
            })
        })
    }

    /// A copy of the value as received; null if it is missing.
    pub fn raw(self) -> Sensitive<Value> {
        Sensitive::new(self.0.clone())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_and_strings_are_interchangeable() {
        let value = json!({"a": "1749416383", "b": 1_749_416_383, "c": true, "d": "-12.5"});
        let node = Node::new(&value);

        assert_eq!(node.time("a"), node.time("b"));
        assert!(node.time("a").is_some());
        assert_eq!(node.text("b").as_deref(), Some("1749416383"));
        assert_eq!(node.text("c"), None);
        assert_eq!(node.decimal("d"), Some(-12.5));
    }

    #[test]
    fn out_of_range_times_and_coordinates_are_ignored() {
        let value = json!({"t": "99999999999999999", "x": "NaN"});

        assert_eq!(Node::new(&value).time("t"), None);
        assert_eq!(Node::new(&value).decimal("x"), None);
    }

    #[test]
    fn an_id_that_is_unsafe_in_a_header_is_ignored() {
        let value = json!({"a": "wamid.A\r\nX: 1", "b": "", "c": "x".repeat(600), "d": "wamid.D>"});
        let node = Node::new(&value);

        assert!(["a", "b", "c"].iter().all(|key| node.wamid(key).is_none()));
        assert!(node.wamid("d").is_some());
    }
}
