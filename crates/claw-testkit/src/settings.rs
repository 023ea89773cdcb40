use std::process::Command;

/// Runs a program with these settings and no other environment variables, and returns the lines that the program
/// prints on stderr. Its backtraces are turned on, so that the lines contain them if it prints any.
///
/// # Panics
///
/// If the program cannot be run, or does not fail.
pub fn lines_of_refusal(program: &str, settings: &[(&str, &str)]) -> Vec<String> {
    let output = Command::new(program)
        .env_clear()
        .env("RUST_BACKTRACE", "1")
        .envs(settings.iter().copied())
        .output()
        .expect("the program runs");
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let lines = String::from_utf8_lossy(&output.stderr);
    lines.lines().map(str::to_owned).collect()
}
