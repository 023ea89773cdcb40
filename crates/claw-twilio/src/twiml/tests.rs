use proptest::prelude::*;

use super::*;
use crate::voices::Language;

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

#[test]
fn an_answer_is_said_while_the_caller_may_already_speak() {
    let gather = Gather::new(
        GatherInput::Both,
        "https://x.example/voice/webhook/transcription?turn=1&a=b",
        Language::German,
    )
    .timeout_seconds(4)
    .hints(["Ada Lovelace", "Tom, Tim", " "])
    .say("Hallo & willkommen")
    .pause(2);

    assert_eq!(
        Script::new().listen(&gather).expose(),
        format!(
            "{XML}<Response><Gather input=\"dtmf speech\" \
             action=\"https://x.example/voice/webhook/transcription?turn=1&amp;a=b\" method=\"POST\" \
             timeout=\"4\" language=\"de-DE\" speechTimeout=\"auto\" profanityFilter=\"false\" \
             hints=\"Ada Lovelace,Tom  Tim\" finishOnKey=\"#\" actionOnEmptyResult=\"true\">\
             <Say voice=\"Polly.Vicki-Neural\" language=\"de-DE\">Hallo &amp; willkommen</Say>\
             <Pause length=\"2\"/></Gather><Redirect method=\"POST\">\
             https://x.example/voice/webhook/transcription?turn=1&amp;a=b</Redirect></Response>"
        )
    );
}

#[test]
fn keys_are_asked_for_without_anything_about_speech() {
    let gather = Gather::new(GatherInput::Keys, "https://x/", Language::EnglishUs).digits(4);

    assert_eq!(
        Script::new().listen(&gather).expose(),
        format!(
            "{XML}<Response><Gather input=\"dtmf\" action=\"https://x/\" method=\"POST\" timeout=\"5\" \
             numDigits=\"4\" finishOnKey=\"#\" actionOnEmptyResult=\"true\"></Gather>\
             <Redirect method=\"POST\">https://x/</Redirect></Response>"
        )
    );
}

#[test]
fn how_speech_is_heard_can_be_chosen() {
    let gather = Gather::new(GatherInput::Speech, "https://x/", Language::EnglishUs)
        .speech_end(SpeechEnd::Seconds(2))
        .speech_model("deepgram_nova-3");
    let document = Script::new().listen(&gather).into_exposed();

    assert!(
        document.contains("speechTimeout=\"2\" speechModel=\"deepgram_nova-3\""),
        "{document}"
    );
}

#[test]
fn a_filler_sends_twilio_on_and_a_goodbye_hangs_up() {
    assert_eq!(
        Script::new()
            .say(Language::EnglishUs, "One moment.")
            .pause(1)
            .redirect("https://x/?a=1&n=2")
            .expose(),
        format!(
            "{XML}<Response><Say voice=\"Polly.Joanna-Neural\" language=\"en-US\">One moment.</Say>\
             <Pause length=\"1\"/><Redirect method=\"POST\">https://x/?a=1&amp;n=2</Redirect></Response>"
        )
    );
    assert_eq!(
        Script::new().hang_up().expose(),
        format!("{XML}<Response><Hangup/></Response>")
    );
    assert_eq!(Twiml::acknowledged().expose(), format!("{XML}<Response/>"));
}

#[test]
fn a_streamed_conversation_says_where_how_and_what_comes_after() {
    let relay = Relay::new("https://x/done", "wss://x/relay", Language::EnglishGb)
        .greeting("\"Hi\"")
        .interruptible(Interruptible::Speech)
        .reconnecting()
        .parameter("ticket", "a<b");

    assert_eq!(
        Script::new().connect(&relay).expose(),
        format!(
            "{XML}<Response><Connect action=\"https://x/done\" method=\"POST\">\
             <ConversationRelay url=\"wss://x/relay\" welcomeGreeting=\"&quot;Hi&quot;\" language=\"en-GB\" \
             ttsProvider=\"Amazon\" voice=\"Amy-Neural\" interruptible=\"speech\" dtmfDetection=\"true\" \
             profanityFilter=\"false\" applicationReconnect=\"true\"><Parameter name=\"ticket\" \
             value=\"a&lt;b\"/></ConversationRelay></Connect></Response>"
        )
    );
}

#[test]
fn what_xml_forbids_is_left_out_and_what_it_uses_is_escaped() {
    let document = Script::new()
        .say(
            Language::EnglishUs,
            "a\u{0}\u{8}\u{B}b\u{FFFF}\n<c> & \"d\" 'e' ☕",
        )
        .hang_up()
        .into_exposed();

    assert!(
        document.contains(">ab &lt;c&gt; &amp; &quot;d&quot; &apos;e&apos; ☕</Say>"),
        "{document}"
    );
}

#[test]
fn a_long_text_is_said_in_several_pieces_at_the_ends_of_sentences() {
    let sentence = "This is a sentence of fifty characters, like each. ";
    let document = Script::new()
        .say(Language::EnglishUs, &sentence.repeat(100))
        .hang_up()
        .into_exposed();

    assert_eq!(document.matches("<Say ").count(), 2);
    assert_eq!(document.matches("like each.</Say>").count(), 2);
}

#[test]
fn a_text_without_words_is_not_said() {
    let document = Script::new().say(Language::EnglishUs, " \n ").hang_up();
    assert_eq!(document, Script::new().hang_up());
}

#[test]
fn a_text_too_long_for_a_document_is_cut_and_the_end_stays() {
    for text in ["Seven. ", "&<>\"'", "क्या है। ", "x"] {
        let gather = Gather::new(GatherInput::Speech, "https://x/", Language::Hindi)
            .say(&text.repeat(70_000))
            .say("never heard");
        let document = Script::new().listen(&gather).into_exposed();

        assert!(document.len() <= 65_536, "{text:?}: {}", document.len());
        assert!(document.len() > 55_000, "{text:?}: {}", document.len());
        assert!(!document.contains("never heard"), "{text:?}");
        assert!(document.ends_with(
            "</Say></Gather><Redirect method=\"POST\">https://x/</Redirect></Response>"
        ));
    }
}

#[test]
fn hints_have_limits_of_their_own() {
    let hints = vec!["name of somebody"; 2_000];
    let gather = Gather::new(GatherInput::Speech, "https://x/", Language::Dutch)
        .hints(hints)
        .hints([&*"x".repeat(101)]);
    let document = Script::new().listen(&gather).into_exposed();

    assert!(document.matches("name of somebody").count() <= 500);
    assert!(document.len() < 10_000);
}

#[test]
fn no_document_prints_what_it_says() {
    let gather = Gather::new(GatherInput::Speech, "https://x/", Language::Dutch)
        .say("secret")
        .hints(["secret"]);
    let relay = Relay::new("https://x/", "wss://x/", Language::Dutch)
        .greeting("secret")
        .parameter("ticket", "secret");
    let script = Script::new().say(Language::Dutch, "secret");
    let printed = format!(
        "{gather:?} {relay:?} {script:?} {:?}",
        script.clone().listen(&gather)
    );

    assert!(!printed.contains("secret"), "{printed}");
}

proptest! {
    #[test]
    fn whatever_is_said_the_document_stays_well_formed(text in any::<String>()) {
        let document = Script::new().say(Language::French, &text).hang_up().into_exposed();
        let inside = document.strip_prefix(XML).unwrap();

        // Only the tags we wrote have brackets, and every ampersand begins an escape.
        prop_assert_eq!(inside.matches('<').count(), inside.matches('>').count());
        let says = inside.matches("<Say ").count();
        prop_assert_eq!(inside.matches('<').count(), 3 + 2 * says);
        for rest in inside.split('&').skip(1) {
            let is_escape = ["amp;", "lt;", "gt;", "quot;", "apos;"].iter().any(|e| rest.starts_with(e));
            prop_assert!(is_escape);
        }
    }
}
