use claw_calls::TicketCode;
use claw_twilio::{
    phrases::Phrases,
    signature::PublicUrl,
    twiml::{Gather, Relay, Script, Twiml},
};

use super::{
    call_state::CallState,
    dialogue::{CallResponse, Progress, SpeechPart, Then},
    paths,
};

/// Writes a response as TwiML, in the caller's language. With a ticket, Twilio listens over a socket.
pub(crate) fn document(
    base: &PublicUrl,
    state: CallState,
    response: &CallResponse,
    ticket: Option<&TicketCode>,
) -> Twiml {
    let url = |path: &str, progress: Progress| {
        let awaits_call = matches!(response.then, Then::WaitForCall(_));
        let state = CallState {
            progress,
            awaits_call,
            ..state
        };
        base.of(&format!("{path}?{}", state.query()))
    };
    let gather = |progress| Gather::new(url(paths::TRANSCRIPTION, progress), state.language);
    let mut texts = texts(state, response);
    match response.then {
        Then::Listen(progress) if let Some(ticket) = ticket => {
            let socket = base.of_websocket(paths::RELAY_SOCKET);
            let action = url(paths::RELAY_DONE, progress);
            let relay = Relay::new(action, socket, state.language)
                .parameter(paths::TICKET_PARAMETER, ticket.to_url());
            let greeting = texts.collect::<Vec<_>>().join(" ");
            Script::new().connect(&if greeting.is_empty() {
                relay
            } else {
                relay.greeting(&greeting)
            })
        }
        Then::Listen(progress) => {
            let gather = gather(progress).timeout_seconds(6);
            Script::new().listen(&texts.fold(gather, Gather::say))
        }
        Then::ListenForDigits(progress) => {
            let gather = gather(progress).timeout_seconds(10);
            Script::new().listen(&texts.fold(gather, Gather::say))
        }
        Then::Wait(progress) | Then::WaitForCall(progress) => {
            say_all(state, &mut texts).redirect(&url(paths::REPLY, progress))
        }
        Then::HangUp => say_all(state, &mut texts).hang_up(),
    }
}

/// The texts of a response, in the caller's language.
pub(crate) fn texts(state: CallState, response: &CallResponse) -> impl Iterator<Item = &str> {
    let phrases = Phrases::of(state.language);
    response.say.iter().map(move |part| match part {
        SpeechPart::Phrase(phrase) if !state.has_chat => phrase.without_chat().text(phrases),
        SpeechPart::Phrase(phrase) => phrase.text(phrases),
        SpeechPart::Answer(text) => text.expose().as_str(),
    })
}

fn say_all<'a>(state: CallState, texts: impl Iterator<Item = &'a str>) -> Script {
    texts.fold(Script::new(), |script, text| {
        script.say(state.language, text)
    })
}

#[cfg(test)]
mod tests {
    use claw_events::CallStatus;
    use claw_twilio::voices::Language;

    use super::*;
    use crate::voice::dialogue::{after_call_wait, apologize, for_status};

    const READY: CallStatus = CallStatus::Ready {
        language: None,
        has_chat: true,
    };

    #[test]
    fn the_url_holds_the_state_and_the_speech_is_in_the_caller_s_language() {
        let base = PublicUrl::parse("https://voice.example.com").unwrap();
        let state = CallState {
            language: Language::German,
            ..CallState::read("")
        };

        let document = document(&base, state, &for_status(READY, 1), None);

        insta::assert_snapshot!(document.expose());
    }

    #[test]
    fn a_caller_to_whom_we_may_not_write_is_promised_no_message() {
        let base = PublicUrl::parse("https://voice.example.com").unwrap();
        let waited = Progress {
            fillers: 99,
            ..Progress::default()
        };
        for (has_chat, promised) in [(true, true), (false, false)] {
            let setting_up = CallStatus::SettingUp { has_chat };
            let state = CallState::read("").knowing(Some(setting_up));

            let document = document(
                &base,
                state,
                &after_call_wait(Some(setting_up), waited),
                None,
            );

            let phrases = Phrases::of(Language::EnglishUs);
            let has = |text| document.expose().contains(text);
            assert_eq!(has(phrases.will_write_when_ready), promised);
            assert_eq!(has(phrases.call_again_later), !promised);
        }
    }

    #[test]
    fn after_an_apology_the_call_ends() {
        let base = PublicUrl::parse("https://voice.example.com").unwrap();

        let document = document(&base, CallState::read(""), &apologize(), None);

        let phrases = Phrases::of(Language::EnglishUs);
        assert!(document.expose().contains(phrases.apology));
        assert!(document.expose().ends_with("<Hangup/></Response>"));
    }
}
