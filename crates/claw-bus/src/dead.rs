use async_nats::{HeaderMap, header::NATS_MESSAGE_ID};
use claw_events::DeadLetter;

use crate::headers;

/// Longest error text kept with a dead event, in bytes.
const ERROR_LIMIT_BYTES: usize = 1_000;

/// Everything about why the event is here, readable with the `nats` CLI.
pub(crate) fn headers_of(letter: &DeadLetter) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_MESSAGE_ID, letter.dedup_key().as_str());
    headers.insert(DeadLetter::STREAM, letter.stream.as_str());
    headers.insert(DeadLetter::SEQUENCE, letter.sequence.to_string().as_str());
    headers.insert(DeadLetter::SUBJECT, letter.subject.as_str());
    headers.insert(DeadLetter::CONSUMER, letter.consumer.as_str());
    headers.insert(DeadLetter::ATTEMPTS, letter.attempts.to_string().as_str());
    headers.insert(DeadLetter::REASON, letter.reason.as_str());
    headers.insert(DeadLetter::ERROR, one_line(&letter.error).as_str());
    headers::inject_trace(&mut headers);
    headers
}

/// The chain of causes on one line: a header value may hold no line break.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    format!("{error:#}")
}

fn one_line(text: &str) -> String {
    let mut line: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if line.len() > ERROR_LIMIT_BYTES {
        let end = (0..=ERROR_LIMIT_BYTES)
            .rev()
            .find(|&i| line.is_char_boundary(i))
            .unwrap_or(0);
        line.truncate(end);
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_many_lines_fits_one_header() {
        assert_eq!(one_line("first\r\nsecond"), "first  second");
        assert!(one_line(&"ä".repeat(2_000)).len() <= ERROR_LIMIT_BYTES);
    }
}
