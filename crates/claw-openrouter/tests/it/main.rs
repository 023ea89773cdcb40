//! `OpenRouter`'s recorded answers, served by a stand-in.

#[cfg(test)]
mod answers;
