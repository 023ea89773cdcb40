use std::borrow::Cow;

/// `text` with every NUL replaced by U+FFFD. A NUL is legal in JSON and in Rust but not in a Postgres text,
/// and must not make a message impossible to store.
pub(crate) fn storable(text: &str) -> Cow<'_, str> {
    if text.contains('\0') {
        Cow::Owned(text.replace('\0', "\u{fffd}"))
    } else {
        Cow::Borrowed(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_nul_is_replaced() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert!(matches!(storable("a\nb"), Cow::Borrowed(_)));
    }
}
