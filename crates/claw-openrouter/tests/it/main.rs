//! Tests with OpenRouter's recorded answers, served by a mock server.

#[cfg(test)]
mod answers;
