use std::borrow::Cow;

/// What Postgres can keep of `text`: a NUL is legal in JSON and in Rust, but not in a Postgres text, and
/// one of them must not make a message impossible to take.
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
    fn only_what_postgres_cannot_keep_is_replaced() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert!(matches!(storable("a\nb"), Cow::Borrowed(_)));
    }
}
