use std::collections::HashMap;

use serde_json::Value;

use super::error::ApiError;

/// The query parameter `filters`: for each name the accepted values.
#[derive(Debug, Default)]
pub(crate) struct Filters(HashMap<String, Vec<String>>);

impl Filters {
    /// Reads `{"label":["a=b"]}`, or the older form `{"label":{"a=b":true}}`. A filter that is not in `known` is
    /// refused, as by Docker.
    pub(crate) fn parse(json: Option<&str>, known: &[&str]) -> Result<Self, ApiError> {
        let Some(json) = json.filter(|json| !json.is_empty()) else {
            return Ok(Self::default());
        };
        let invalid = || ApiError::bad_request("invalid filter");
        let named: HashMap<String, Value> = serde_json::from_str(json).map_err(|_| invalid())?;
        let mut filters = HashMap::new();
        for (name, values) in named {
            if !known.contains(&name.as_str()) {
                return Err(ApiError::bad_request(format!("Invalid filter '{name}'")));
            }
            let values: Option<Vec<String>> = match values {
                Value::Array(values) => values
                    .iter()
                    .map(|value| value.as_str().map(str::to_owned))
                    .collect(),
                Value::Object(values) => Some(values.into_iter().map(|(value, _)| value).collect()),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
            };
            filters.insert(name, values.ok_or_else(invalid)?);
        }
        Ok(Self(filters))
    }

    /// Whether every wanted label is there, with its value if the filter has one.
    pub(crate) fn match_labels(&self, labels: &HashMap<String, String>) -> bool {
        self.wanted("label")
            .all(|wanted| match wanted.split_once('=') {
                Some((name, value)) => labels.get(name).is_some_and(|label| label == value),
                None => labels.contains_key(wanted),
            })
    }

    /// Whether no value is wanted, or one that `fits`.
    pub(crate) fn match_any(&self, name: &str, fits: impl Fn(&str) -> bool) -> bool {
        let mut wanted = self.wanted(name).peekable();
        wanted.peek().is_none() || wanted.any(fits)
    }

    /// Whether there is a filter of this name.
    pub(crate) fn contain(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    fn wanted(&self, name: &str) -> impl Iterator<Item = &str> {
        let values = self.0.get(name).into_iter().flatten();
        values.map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_labels_must_match_and_any_other_value() {
        let json = r#"{"label":["owner=a","sandbox"],"status":{"running":true,"exited":true}}"#;
        let filters = Filters::parse(Some(json), &["label", "status"]).unwrap();
        let labels = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
            let owned = pairs
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            owned.collect()
        };

        assert!(filters.match_labels(&labels(&[("owner", "a"), ("sandbox", "x")])));
        assert!(!filters.match_labels(&labels(&[("owner", "b"), ("sandbox", "x")])));
        assert!(!filters.match_labels(&labels(&[("owner", "a")])));
        assert!(filters.match_any("status", |status| status == "exited"));
        assert!(!filters.match_any("status", |status| status == "created"));
        assert!(filters.match_any("name", |_| false));
        assert!(Filters::parse(Some(r#"{"colour":["red"]}"#), &["label"]).is_err());
    }
}
