use claw_whatsapp::format::{split, to_whatsapp};

/// Most pieces of one reply. More would take minutes at WhatsApp's rate for one recipient, and no assistant means to
/// send that much.
const MOST_PIECES: usize = 12;

/// The last piece of a reply that was too long.
const SHORTENED: &str = "[… the rest was too long for WhatsApp]";

/// Splits a reply into pieces in WhatsApp's notation, each short enough for one message. A blank reply has none.
pub fn pieces_of(markdown: &str) -> Vec<String> {
    let mut pieces = split(&to_whatsapp(markdown));
    if pieces.len() > MOST_PIECES {
        pieces.truncate(MOST_PIECES - 1);
        pieces.push(SHORTENED.to_owned());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use claw_domain::ReplyText;

    use super::*;

    #[test]
    fn a_reply_is_formatted_and_split() {
        assert_eq!(pieces_of("**Done**"), ["*Done*"]);
        assert_eq!(pieces_of(&"word ".repeat(1_000)).len(), 2);
        assert!(pieces_of(" \n ").is_empty());
    }

    #[test]
    fn a_reply_of_megabytes_ends_with_a_note_whatever_is_left_of_it() {
        // Characters of three bytes: the longest reply has eleven pieces.
        let long = ReplyText::from("字".repeat(1_000_000));
        // Empty lines: nearly nothing is left of it.
        let empty = ReplyText::from(format!("a{}b", "\n".repeat(1_000_000)));

        for reply in [long, empty] {
            let pieces = pieces_of(reply.expose());

            assert!(pieces.len() <= MOST_PIECES);
            assert!(
                pieces.last().unwrap().ends_with("too long to send]"),
                "{:?}",
                pieces.last()
            );
        }
    }

    #[test]
    fn a_reply_with_too_many_pieces_ends_with_a_note() {
        let pieces = pieces_of(&"word ".repeat(100_000));

        assert_eq!(pieces.len(), MOST_PIECES);
        assert_eq!(pieces.last().map(String::as_str), Some(SHORTENED));
    }
}
