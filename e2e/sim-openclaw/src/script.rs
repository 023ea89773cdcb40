use rand::RngExt;

use super::Behaviour;

/// How the agent answers a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Plan {
    pub(crate) outcome: TurnOutcome,
    pub(crate) delay_ms: u64,
    pub(crate) deltas: u32,
}

/// How a turn ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TurnOutcome {
    Reply(String),
    /// With `NO_REPLY`, which is not shown to the user.
    Silence,
    /// With an error of the model's provider, by failover reason.
    Failure(String),
}

/// Obeys the directives in `text`; a text without directives is echoed.
pub(crate) fn plan(text: &str, behaviour: &Behaviour) -> Plan {
    let spread = rand::rng().random_range(0..=behaviour.delay_spread_ms);
    let slow = directive(text, "SLOW").and_then(|ms| ms.parse().ok());
    Plan {
        outcome: outcome(text, behaviour),
        delay_ms: slow.unwrap_or(behaviour.delay_ms + spread),
        deltas: behaviour.deltas.max(1),
    }
}

fn outcome(text: &str, behaviour: &Behaviour) -> TurnOutcome {
    if let Some(reason) = directive(text, "ERROR") {
        return TurnOutcome::Failure(reason.to_owned());
    }
    if text.contains("[[SILENT]]") {
        return TurnOutcome::Silence;
    }
    if let Some(reply) = directive(text, "SAY") {
        return TurnOutcome::Reply(reply.to_owned());
    }
    if let Some(chars) = directive(text, "LONG").and_then(|n| n.parse().ok()) {
        return TurnOutcome::Reply(long_text(chars));
    }
    TurnOutcome::Reply(format!("{}{text}", behaviour.reply_prefix))
}

/// The argument of the last `[[NAME argument]]` in `text`.
fn directive<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.rsplit_once(&format!("[[{name} "))?;
    rest.split_once("]]").map(|(argument, _)| argument.trim())
}

/// A text of `chars` characters in paragraphs, at which a client can split it.
fn long_text(chars: usize) -> String {
    let words = (1_u64..).flat_map(|n| {
        let end = if n % 40 == 0 { ".\n\n" } else { " " };
        format!("word{n}{end}").chars().collect::<Vec<_>>()
    });
    words.take(chars).collect()
}

/// Splits `text` at character boundaries into at most `pieces` of about the same length.
pub(crate) fn pieces(text: &str, pieces: u32) -> Vec<&str> {
    let chars = text.chars().count();
    let pieces = usize::try_from(pieces).unwrap_or(1).clamp(1, chars.max(1));
    let mut ends: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
    ends.push(text.len());
    (0..pieces)
        .map(|n| &text[ends[n * chars / pieces]..ends[(n + 1) * chars / pieces]])
        .collect()
}

/// The pause before each piece in milliseconds, in total `delay_ms`. With `gap_ms` all pauses but the first
/// have that length; without it all pauses are equal.
pub(crate) fn pauses(
    delay_ms: u64,
    gap_ms: Option<u64>,
    pieces: usize,
) -> impl Iterator<Item = u64> {
    let pieces = u64::try_from(pieces).unwrap_or(1).max(1);
    let gap_ms = gap_ms.unwrap_or(delay_ms / pieces);
    let first_ms = delay_ms.saturating_sub(gap_ms * (pieces - 1));
    std::iter::once(first_ms).chain(std::iter::repeat(gap_ms))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_message_is_echoed_and_directives_are_obeyed() {
        let usual = Behaviour::default();
        let reply = |text: &str| plan(text, &usual).outcome;

        assert_eq!(reply("hi"), TurnOutcome::Reply("echo: hi".to_owned()));
        assert_eq!(reply("x [[SAY a b]]"), TurnOutcome::Reply("a b".to_owned()));
        assert_eq!(reply("[[SILENT]]"), TurnOutcome::Silence);
        assert_eq!(
            reply("[[ERROR billing]]"),
            TurnOutcome::Failure("billing".to_owned())
        );
        assert_eq!(plan("[[SLOW 250]]", &usual).delay_ms, 250);
        let TurnOutcome::Reply(long) = reply("[[LONG 5000]]") else {
            panic!()
        };
        assert_eq!(long.chars().count(), 5000);
    }

    #[test]
    fn with_a_gap_the_first_pause_takes_the_rest_of_the_delay_and_without_one_pauses_are_equal() {
        let first = |gap_ms| -> Vec<u64> { pauses(1_000, gap_ms, 4).take(4).collect() };

        assert_eq!(first(Some(60)), [820, 60, 60, 60]);
        assert_eq!(first(None), [250; 4]);
        assert_eq!(pauses(10, Some(60), 4).next(), Some(0));
    }

    #[test]
    fn pieces_add_up_to_the_text() {
        for (text, n) in [("echo: Grüße 😀", 4), ("ab", 5), ("", 2), ("x", 1)] {
            assert_eq!(pieces(text, n).concat(), text);
        }
        assert_eq!(pieces("abcdef", 3), ["ab", "cd", "ef"]);
    }
}
