use claw_whatsapp::format::{split, to_whatsapp};

/// Most messages one reply may become: more than that reads like a flood, takes minutes at WhatsApp's
/// rate for one person, and no assistant means it.
const MOST_PIECES: usize = 12;

/// What the last message says when a reply was longer than that.
const SHORTENED: &str = "[… the rest was too long for WhatsApp]";

/// The messages a reply becomes, in WhatsApp's notation and size. None for a blank reply.
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
    use super::*;

    #[test]
    fn a_reply_is_formatted_and_cut() {
        assert_eq!(pieces_of("**Done**"), ["*Done*"]);
        assert_eq!(pieces_of(&"word ".repeat(1_000)).len(), 2);
        assert!(pieces_of(" \n ").is_empty());
    }

    #[test]
    fn an_endless_reply_says_that_it_was_shortened() {
        let pieces = pieces_of(&"word ".repeat(100_000));

        assert_eq!(pieces.len(), MOST_PIECES);
        assert_eq!(pieces.last().map(String::as_str), Some(SHORTENED));
    }
}
