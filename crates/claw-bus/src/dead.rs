use std::time::Duration;

use async_nats::{HeaderMap, header::NATS_MESSAGE_ID, jetstream::stream::DirectGetErrorKind};
use bytes::Bytes;
use claw_domain::UserId;
use claw_events::{DeadLetter, DeadReason, Stream};
use tokio::time::Instant;

use crate::{Bus, BusError, Outgoing, headers};

/// How long a write to `DEAD` is retried.
const DEAD_LETTER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest error text kept with a dead event, in bytes.
const ERROR_LIMIT_BYTES: usize = 1_000;

impl Bus {
    /// Stores an event of `INBOUND` in `DEAD` that was acknowledged before its handling failed for good. `consumer`
    /// (`a-z0-9-`) names the part that gave up; `error` must not contain the user's text.
    pub async fn set_aside(
        &self,
        sequence: u64,
        user: UserId,
        consumer: &str,
        reason: DeadReason,
        error: &str,
    ) -> Result<(), BusError> {
        let failed =
            |error: async_nats::Error| BusError::jetstream("setting an event aside in DEAD", error);
        let stream = self.jetstream.get_stream_no_info(Stream::Inbound.name());
        let stream = stream.await.map_err(|error| failed(error.into()))?;
        let (subject, payload) = match stream.direct_get(sequence).await {
            Ok(event) => (event.subject.to_string(), event.payload),
            // The stream no longer holds the event; its content is in the database.
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => (
                format!("{}.?.?.{user}", Stream::Inbound.family()),
                Bytes::new(),
            ),
            Err(error) => return Err(failed(error.into())),
        };
        let letter = DeadLetter {
            stream: Stream::Inbound.name().to_owned(),
            sequence,
            subject,
            consumer: consumer.to_owned(),
            attempts: 1,
            reason,
            error: error.to_owned(),
        };
        let dead = Outgoing::dead(&letter, user, payload);
        let publisher = self.publisher();
        let stored = publisher.store(&dead, Instant::now() + DEAD_LETTER_TIMEOUT);
        stored.await.map_err(|error| failed(error.into()))?;
        Ok(())
    }
}

/// The headers of a dead letter, readable with the `nats` CLI.
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

/// The chain of causes on one line, because a header value cannot contain a line break.
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
