//! A text from an assistant is data from a stranger: whatever it is, every renderer stays within its bounds. How long
//! they take is measured by `./dev bench render`.

use claw_domain::{Language, ReplyText};
use claw_twilio::{
    speech::{LONGEST_SPEECH_CHARS, beginning_in, speakable_in},
    twiml::Script,
};
use claw_whatsapp::format::{
    PARAMETER_LIMIT_UTF16, TEXT_LIMIT_UTF16, split, to_parameter, to_whatsapp,
};
use e2e::bombs::BOMBS;

/// Twilio's limit for one document.
const TWIML_BYTES: usize = 64_000;

#[test]
fn no_text_becomes_much_longer_than_it_was() {
    for (name, bomb) in BOMBS {
        for size in [ReplyText::MOST_BYTES / 2, ReplyText::MOST_BYTES] {
            let text = bomb(size);
            let limit = 4 * text.len() + 1_024;

            let chat = to_whatsapp(&text);
            let pieces = split(&chat);
            let speech = speakable_in(&text, Language::EnglishUs);

            for (renderer, length) in [
                ("the chat", chat.len()),
                ("the pieces", pieces.iter().map(String::len).sum()),
                ("speech", speech.len()),
            ] {
                assert!(
                    length <= limit,
                    "{name} of {size} bytes: {length} bytes for {renderer}"
                );
            }
            assert!(pieces.iter().all(|piece| units(piece) <= TEXT_LIMIT_UTF16));
        }
    }
}

#[test]
fn what_is_sent_and_spoken_is_within_the_limits_of_whatsapp_and_twilio() {
    for (name, bomb) in BOMBS {
        let reply = ReplyText::from(bomb(1024 * 1024));
        assert!(reply.expose().len() <= ReplyText::MOST_BYTES);

        let parameter = to_parameter(&split(&to_whatsapp(reply.expose())).join("\n"));
        let (speech, _) = beginning_in(reply.expose(), Language::EnglishUs, LONGEST_SPEECH_CHARS);
        let script = Script::new().say(Language::EnglishUs, reply.expose());

        assert!(units(&parameter) <= PARAMETER_LIMIT_UTF16, "{name}");
        assert!(speech.chars().count() <= LONGEST_SPEECH_CHARS, "{name}");
        assert!(script.hang_up().expose().len() <= TWIML_BYTES, "{name}");
    }
}

fn units(text: &str) -> usize {
    text.encode_utf16().count()
}
