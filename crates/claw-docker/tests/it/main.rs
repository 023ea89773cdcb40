//! Against a real engine, with the sandbox's real image: `./dev test` provides both.

#[cfg(test)]
mod engine;
