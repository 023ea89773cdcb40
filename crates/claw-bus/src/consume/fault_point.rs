//! A fault point for tests: handling an event aborts the process. Builds without debug assertions, such as the images
//! of production, do not contain it.

use std::{process::abort, sync::OnceLock};

/// `<purpose>=<text>`: the consumer of this purpose aborts when it is about to handle an event with this text.
const VARIABLE: &str = "CLAWKAKA_FAULT_ABORT";

/// Aborts the process if the variable says so.
pub(super) fn reach(purpose: &str, payload: &[u8]) {
    static FAULT: OnceLock<Option<(String, String)>> = OnceLock::new();
    let fault = FAULT.get_or_init(|| {
        #[expect(
            clippy::disallowed_methods,
            reason = "no setting: only tests know the variable"
        )]
        let value = std::env::var(VARIABLE).ok()?;
        let (purpose, text) = value.split_once('=')?;
        Some((purpose.to_owned(), text.to_owned()))
    });
    if let Some((at, text)) = fault
        && at == purpose
        && payload
            .windows(text.len())
            .any(|part| part == text.as_bytes())
    {
        abort();
    }
}
