use proptest::prelude::*;

use super::*;
use crate::voices::Language;

const XML: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n";

#[test]
fn a_gather_says_its_prompts_while_it_listens() {
    let gather = Gather::new(
        "https://x.example/voice/webhook/transcription?turn=1&a=b",
        Language::German,
    )
    .timeout_seconds(4)
    .say("Hallo & willkommen");

    assert_eq!(
        Script::new().listen(&gather).expose(),
        format!(
            "{XML}<Response><Gather input=\"dtmf speech\" \
             action=\"https://x.example/voice/webhook/transcription?turn=1&amp;a=b\" method=\"POST\" \
             timeout=\"4\" language=\"de-DE\" speechTimeout=\"auto\" profanityFilter=\"false\" \
             finishOnKey=\"#\" actionOnEmptyResult=\"true\">\
             <Say voice=\"Polly.Vicki-Neural\" language=\"de-DE\">Hallo &amp; willkommen</Say>\
             </Gather><Redirect method=\"POST\">\
             https://x.example/voice/webhook/transcription?turn=1&amp;a=b</Redirect></Response>"
        )
    );
}

#[test]
fn a_filler_redirects_twilio_and_a_goodbye_hangs_up() {
    assert_eq!(
        Script::new()
            .say(Language::EnglishUs, "One moment.")
            .redirect("https://x/?a=1&n=2")
            .expose(),
        format!(
            "{XML}<Response><Say voice=\"Polly.Joanna-Neural\" language=\"en-US\">One moment.</Say>\
             <Redirect method=\"POST\">https://x/?a=1&amp;n=2</Redirect></Response>"
        )
    );
    assert_eq!(
        Script::new().hang_up().expose(),
        format!("{XML}<Response><Hangup/></Response>")
    );
}

#[test]
fn a_relay_contains_its_socket_url_its_settings_and_the_url_that_twilio_requests_afterwards() {
    let relay = Relay::new("https://x/done", "wss://x/relay", Language::EnglishGb)
        .greeting("\"Hi\"")
        .parameter("ticket", "a<b");

    assert_eq!(
        Script::new().connect(&relay).expose(),
        format!(
            "{XML}<Response><Connect action=\"https://x/done\" method=\"POST\">\
             <ConversationRelay url=\"wss://x/relay\" welcomeGreeting=\"&quot;Hi&quot;\" language=\"en-GB\" \
             ttsProvider=\"Amazon\" voice=\"Amy-Neural\" interruptible=\"any\" dtmfDetection=\"true\" \
             profanityFilter=\"false\" applicationReconnect=\"true\"><Parameter name=\"ticket\" \
             value=\"a&lt;b\"/></ConversationRelay></Connect></Response>"
        )
    );
}

#[test]
fn forbidden_characters_are_dropped_and_special_ones_escaped() {
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
fn a_long_text_is_split_between_sentences() {
    let sentence = "This is a sentence of fifty characters, like each. ";
    let document = Script::new()
        .say(Language::EnglishUs, &sentence.repeat(100))
        .hang_up()
        .into_exposed();

    assert_eq!(document.matches("<Say ").count(), 2);
    assert_eq!(document.matches("like each.</Say>").count(), 2);
}

#[test]
fn a_blank_text_is_not_said() {
    let document = Script::new().say(Language::EnglishUs, " \n ").hang_up();
    assert_eq!(document, Script::new().hang_up());
}

#[test]
fn a_text_too_long_for_a_document_is_cut_and_the_ending_stays() {
    for text in ["Seven. ", "&<>\"'", "क्या है। ", "x"] {
        let gather = Gather::new("https://x/", Language::Hindi)
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
fn debug_output_hides_speech() {
    let gather = Gather::new("https://x/", Language::Dutch).say("secret");
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
    fn any_text_leaves_the_document_well_formed(text in any::<String>()) {
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
