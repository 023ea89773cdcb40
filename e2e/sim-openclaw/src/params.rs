use serde_json::Value;

use super::frame::Refusal;

/// The parameters of a request: an object in which an unknown key is an error.
pub(crate) struct Params<'a> {
    method: &'a str,
    at: &'static str,
    value: &'a Value,
}

impl<'a> Params<'a> {
    /// Checks that `value` has no keys other than `allowed`.
    pub(crate) fn closed(
        method: &'a str,
        value: &'a Value,
        allowed: &[&str],
    ) -> Result<Self, Refusal> {
        Self {
            method,
            at: "root",
            value,
        }
        .checked(allowed)
    }

    /// Takes any keys.
    pub(crate) fn open(method: &'a str, value: &'a Value) -> Result<Self, Refusal> {
        let keys: Vec<&str> = value
            .as_object()
            .map_or_else(Vec::new, |map| map.keys().map(String::as_str).collect());
        Self::closed(method, value, &keys)
    }

    /// The object under `key`, with no keys other than `allowed`; empty when absent.
    pub(crate) fn object(
        &self,
        key: &str,
        at: &'static str,
        allowed: &[&str],
    ) -> Result<Self, Refusal> {
        Self {
            method: self.method,
            at,
            value: &self.value[key],
        }
        .checked(allowed)
    }

    fn checked(self, allowed: &[&str]) -> Result<Self, Refusal> {
        match self.value {
            Value::Null => Ok(self),
            Value::Object(map) => match map.keys().find(|key| !allowed.contains(&key.as_str())) {
                Some(key) => Err(self.invalid(&format!("unexpected property '{key}'"))),
                None => Ok(self),
            },
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(self.invalid("must be object"))
            }
        }
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.value.get(key).is_some()
    }

    pub(crate) fn require(&self, keys: &[&str]) -> Result<(), Refusal> {
        match keys.iter().find(|key| !self.has(key)) {
            Some(key) => Err(self.invalid(&format!("must have required property '{key}'"))),
            None => Ok(()),
        }
    }

    /// The text under `key`; empty when absent.
    pub(crate) fn text(&self, key: &str) -> Result<&'a str, Refusal> {
        let value = &self.value[key];
        if value.is_null() {
            return Ok("");
        }
        value
            .as_str()
            .ok_or_else(|| self.invalid_at(key, "must be string"))
    }

    pub(crate) fn required_text(&self, key: &str) -> Result<&'a str, Refusal> {
        self.require(&[key])?;
        match self.text(key)? {
            "" => Err(self.invalid_at(key, "must NOT have fewer than 1 characters")),
            text => Ok(text),
        }
    }

    pub(crate) fn number(&self, key: &str) -> Result<Option<u64>, Refusal> {
        let value = &self.value[key];
        if value.is_null() {
            return Ok(None);
        }
        let number = value.as_u64();
        number
            .map(Some)
            .ok_or_else(|| self.invalid_at(key, "must be integer"))
    }

    pub(crate) fn one_of(&self, key: &str, allowed: &[&str]) -> Result<&'a str, Refusal> {
        let text = self.text(key)?;
        if allowed.contains(&text) {
            Ok(text)
        } else {
            Err(self.invalid_at(key, "must be equal to one of the allowed values"))
        }
    }

    pub(crate) fn texts(&self, key: &str) -> Result<Vec<String>, Refusal> {
        let value = &self.value[key];
        if value.is_null() {
            return Ok(Vec::new());
        }
        let items = value
            .as_array()
            .ok_or_else(|| self.invalid_at(key, "must be array"))?;
        items
            .iter()
            .map(|item| item.as_str().map(str::to_owned))
            .collect::<Option<_>>()
            .ok_or_else(|| self.invalid_at(key, "must be array of string"))
    }

    fn invalid(&self, problem: &str) -> Refusal {
        let (method, at) = (self.method, self.at);
        Refusal::invalid(format!("invalid {method} params: at {at}: {problem}"))
    }

    fn invalid_at(&self, key: &str, problem: &str) -> Refusal {
        let path = if self.at == "root" { "" } else { self.at };
        let method = self.method;
        Refusal::invalid(format!(
            "invalid {method} params: at {path}/{key}: {problem}"
        ))
    }
}
