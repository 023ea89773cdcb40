use claw_calls::TicketCode;
use claw_twilio::{
    phrases::Phrases,
    signature::PublicUrl,
    twiml::{Gather, Relay, Script, Twiml},
};

use super::{
    dialogue::{Beat, Line, Progress, Then, Words},
    relay,
    thread::Thread,
};

/// Where what the caller says goes, and where Twilio asks again.
const TRANSCRIPTION: &str = "/voice/webhook/transcription";
const REPLY: &str = "/voice/webhook/reply";

/// Where Twilio asks how the call goes on after a streamed conversation.
const RELAY_DONE: &str = "/voice/webhook/relay-done";

/// The document that says and does this, in the caller's language. With a ticket the caller is listened to
/// over a socket.
pub(crate) fn write(
    base: &PublicUrl,
    thread: Thread,
    beat: &Beat,
    ticket: Option<&TicketCode>,
) -> Twiml {
    let words = texts(thread, beat);
    let url = |path: &str, progress: Progress| {
        let awaits_call = matches!(beat.then, Then::WaitForCall(_));
        let thread = Thread {
            progress,
            awaits_call,
            ..thread
        };
        base.of(&format!("{path}?{}", thread.query()))
    };
    let before = |words: &mut dyn Iterator<Item = &str>| {
        words.fold(Script::new(), |script, text| {
            script.say(thread.language, text)
        })
    };
    let listen = |progress| Gather::new(url(TRANSCRIPTION, progress), thread.language);
    let mut words = words;
    match beat.then {
        Then::Listen(progress) if let Some(ticket) = ticket => {
            let socket = base.of_websocket(relay::PATH);
            let relay = Relay::new(url(RELAY_DONE, progress), socket, thread.language)
                .parameter(relay::TICKET, ticket.to_url());
            let greeting = words.collect::<Vec<_>>().join(" ");
            Script::new().connect(&if greeting.is_empty() {
                relay
            } else {
                relay.greeting(&greeting)
            })
        }
        Then::Listen(progress) => {
            let gather = listen(progress).timeout_seconds(6);
            Script::new().listen(&words.fold(gather, Gather::say))
        }
        Then::ListenForDigits(progress) => {
            let gather = listen(progress).timeout_seconds(10);
            Script::new().listen(&words.fold(gather, Gather::say))
        }
        Then::Wait(progress) | Then::WaitForCall(progress) => {
            before(&mut words).redirect(&url(REPLY, progress))
        }
        Then::HangUp => before(&mut words).hang_up(),
    }
}

/// What is said, in the caller's language.
pub(crate) fn texts(thread: Thread, beat: &Beat) -> impl Iterator<Item = &str> {
    let phrases = Phrases::of(thread.language);
    beat.say.iter().map(|words| match words {
        Words::Ours(line) => text_of(phrases, *line),
        Words::Theirs(text) => text.expose().as_str(),
    })
}

/// A line of ours.
pub(crate) fn text_of(phrases: &'static Phrases, line: Line) -> &'static str {
    let index = |number: u32| usize::try_from(number).unwrap_or_default();
    match line {
        Line::Greeting => phrases.greeting,
        Line::SettingUp => phrases.setting_up,
        // Every other time the usual words for a moment's patience.
        Line::StillSettingUp(number) if number % 2 == 0 => phrases.still_setting_up,
        Line::StillSettingUp(number) | Line::Filler(number) => phrases.filler(index(number)),
        Line::WillWriteWhenReady => phrases.will_write_when_ready,
        Line::Pardon(number) => phrases.did_not_hear(index(number)),
        Line::Goodbye => phrases.goodbye,
        Line::Apology => phrases.apology,
        Line::AskPin => phrases.ask_pin,
        Line::WrongPin => phrases.wrong_pin,
        Line::CannotTellWhoCalls => phrases.set_pin_in_chat,
        Line::AskNumber => phrases.ask_number,
        Line::CouldNotAnswer => phrases.could_not_answer,
        Line::AnswerInChat => phrases.answer_on_whatsapp,
        Line::BrokenOff => phrases.line_was_broken,
        Line::RestInChat => phrases.rest_on_whatsapp,
    }
}

#[cfg(test)]
mod tests {
    use claw_twilio::voices::Language;

    use super::*;
    use crate::voice::dialogue::{answer, sorry};

    #[test]
    fn what_comes_next_is_in_the_url_and_the_words_in_the_callers_language() {
        let base = PublicUrl::parse("https://voice.example.com").unwrap();
        let thread = Thread {
            language: Language::German,
            ..Thread::read("")
        };

        let document = write(&base, thread, &answer(None, true), None);

        insta::assert_snapshot!(document.expose());
    }

    #[test]
    fn the_last_resort_is_said_and_then_the_call_ends() {
        let base = PublicUrl::parse("https://voice.example.com").unwrap();

        let document = write(&base, Thread::read(""), &sorry(), None);

        let phrases = Phrases::of(Language::EnglishUs);
        assert!(document.expose().contains(phrases.apology));
        assert!(document.expose().ends_with("<Hangup/></Response>"));
    }
}
