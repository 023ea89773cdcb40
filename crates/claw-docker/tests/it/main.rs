//! Tests with a real engine and the sandbox's real image; `./dev test` provides both.

#[cfg(test)]
mod engine;
