use std::path::PathBuf;

use anyhow::{Context, Result};

/// The path in environment variable `name`, which `./dev test` sets.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no Env of their own")]
    let path = std::env::var_os(name);
    path.map(PathBuf::from).with_context(|| {
        format!(
            "{name} is not set: run the tests through ./dev test, or eval \"$(./dev env)\" first"
        )
    })
}
