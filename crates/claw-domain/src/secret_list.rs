use secrecy::{ExposeSecret, SecretString};

/// The secrets that are accepted for one purpose: usually one, and two during a rotation.
#[derive(Debug, Clone)]
pub struct SecretList(Vec<SecretString>);

/// The list contains no secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected at least one secret; separate several with commas")]
pub struct NoSecret;

impl SecretList {
    /// Parses a comma-separated list. Blank entries are skipped, because an empty secret would accept everybody.
    pub fn parse(list: &SecretString) -> Result<Self, NoSecret> {
        let entries = list.expose_secret().split(',').map(str::trim);
        let secrets: Vec<_> = entries
            .filter(|secret| !secret.is_empty())
            .map(SecretString::from)
            .collect();
        if secrets.is_empty() {
            Err(NoSecret)
        } else {
            Ok(Self(secrets))
        }
    }

    /// The secrets, in the order of the list.
    pub fn expose(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(SecretString::expose_secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_entries_are_skipped() {
        let secrets = SecretList::parse(&"new, ,old,".into()).unwrap();

        assert_eq!(secrets.expose().collect::<Vec<_>>(), ["new", "old"]);
    }

    #[test]
    fn a_list_without_a_secret_is_refused() {
        for list in ["", " ", ",", " , "] {
            assert!(SecretList::parse(&list.into()).is_err(), "{list:?}");
        }
    }

    #[test]
    fn debug_output_hides_the_secrets() {
        let secrets = SecretList::parse(&"hidden".into()).unwrap();

        assert!(!format!("{secrets:?}").contains("hidden"));
    }
}
