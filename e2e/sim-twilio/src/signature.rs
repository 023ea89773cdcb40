use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// `X-Twilio-Signature`: signs the URL as configured, then every field sorted by name (byte order), the
/// values of a name deduplicated and sorted, all without separators. (Twilio docs, *Webhooks security*, and
/// the validators of its helper libraries.)
pub(crate) fn of(auth_token: &str, url: &str, fields: &[(String, String)]) -> String {
    let mut by_name: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, value) in fields {
        by_name.entry(name).or_default().insert(value);
    }
    let mut mac =
        Hmac::<Sha1>::new_from_slice(auth_token.as_bytes()).expect("HMAC takes keys of any length");
    mac.update(url.as_bytes());
    for (name, values) in by_name {
        for value in values {
            mac.update(name.as_bytes());
            mac.update(value.as_bytes());
        }
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    /// The test vector of every helper library.
    #[test]
    fn the_signature_equals_that_of_the_official_libraries() {
        let call = fields(&[
            ("To", "+18005551212"),
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
        ]);

        assert_eq!(
            of(
                "12345",
                "https://mycompany.com/myapp.php?foo=1&bar=2",
                &call
            ),
            "RSOYDt4T1cUTdK1PDd93/VVr8B8="
        );
    }

    #[test]
    fn names_are_sorted_by_bytes_without_their_values() {
        let cases = fields(&[
            ("callSid", "lowercase"),
            ("CallSid", "uppercase"),
            ("CALLSID", "allcaps"),
        ]);

        assert_eq!(
            of(
                "12345",
                "https://mycompany.com/myapp.php?foo=1&bar=2",
                &cases
            ),
            "jDK7WKT8wiNrwggd4ceTv4e1MJ4="
        );
    }

    #[test]
    fn an_upgrade_is_signed_over_its_url_only() {
        assert_eq!(
            of("12345", "https://mycompany.com/myapp.php?foo=1&bar=2", &[]),
            "zYQTYrRWXE7LtzbG4PfP7/bkkGo="
        );
    }
}
