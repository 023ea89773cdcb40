use serde_json::json;
use sim_kit::timeline::{EntryKind, Timeline};

use super::{super::signature, application::Application, *};

/// A server whose document connects to `application`, and has an action that is requested after the session.
pub(super) async fn connecting(application: &Application, attributes: &str) -> Server {
    let (url, attributes) = (application.url(), attributes.to_owned());
    Server::start(move |received| match received.path.as_str() {
        "/done" => Reply::twiml("<Say>Back again.</Say>"),
        _ => Reply::twiml(&format!(
            "<Connect action='/done'><ConversationRelay url='{url}' {attributes}>\
             <Parameter name='ticket' value='t&amp;1'/></ConversationRelay></Connect>"
        )),
    })
    .await
}

#[tokio::test]
async fn a_session_exchanges_speech_and_ends_after_the_last_word() {
    let application = Application::listen().await;
    let server = connecting(&application, "welcomeGreeting='Hello!'").await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    let mut session = application.accept().await;
    assert_eq!(
        session.signature,
        signature::of("auth-token-of-the-simulator", &application.url(), &[])
    );
    assert_eq!(session.setup["type"], "setup");
    assert_eq!(session.setup["callSid"], call.sid());
    assert_eq!(
        session.setup["customParameters"],
        json!({ "ticket": "t&1" })
    );
    call.next_heard("Hello!", LIMIT).await.unwrap();
    call.say("What is new?").await.unwrap();
    assert_eq!(
        session.next().await,
        json!({ "type": "prompt", "voicePrompt": "What is new?", "lang": "en-US", "last": true })
    );
    session.token("Nothing ", false).await;
    session.token("much.", false).await;
    session.token("", true).await;
    session
        .send(json!({ "type": "end", "handoffData": "{\"a\":1}" }))
        .await;
    session.closed().await;

    assert_eq!(
        call.ended(LIMIT).await.unwrap().why,
        EndReason::DocumentEnded
    );
    let view = call.view();
    assert_eq!(
        view.heard_texts(),
        ["Hello!", "Nothing much.", "Back again."]
    );
    assert_eq!(view.relays[0].tokens.len(), 3);
    let done = &server.got("/done")[0];
    assert_eq!(done.field("SessionStatus"), "ended");
    assert_eq!(done.field("HandoffData"), "{\"a\":1}");
    assert_same_names(&view.requests[1], "connect_action_ended_by_app.form");
}

#[tokio::test]
async fn a_caller_who_speaks_interrupts_and_the_application_learns_what_was_heard() {
    let timeline = Timeline::with_limit(4);
    let application = Application::listen().await;
    let server = connecting(&application, "").await;
    let sim = SimTwilio::start(SimTwilioConfig {
        pace: SLOW,
        timeline: timeline.clone(),
        ..number_at(&server)
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);
    let mut session = application.accept().await;
    session
        .token("Life is a complex set of events.", true)
        .await;
    call.begins_to_hear("Life", LIMIT).await.unwrap();
    call.say("Stop").await.unwrap();
    let interrupt = session.next().await;
    let prompt = session.next().await;
    call.hang_up();

    assert_eq!(interrupt["type"], "interrupt");
    let heard = call.next_heard("Life", LIMIT).await.unwrap();
    assert!(heard.interrupted);
    assert_eq!(interrupt["utteranceUntilInterrupt"], heard.spoken);
    assert!(interrupt["durationUntilInterruptMs"].is_u64());
    assert_eq!(prompt["voicePrompt"], "Stop");
    let [document, token, spoken_over, said] = &timeline.entries()[..] else {
        panic!("{timeline:?}");
    };
    assert!(
        matches!(&document.kind, EntryKind::DocumentReceived(document) if document.contains("Relay"))
    );
    assert!(matches!(&token.kind, EntryKind::TokenReceived(token) if token.starts_with("Life")));
    assert_eq!(spoken_over.kind, EntryKind::InterruptSent);
    assert_eq!(said.kind, EntryKind::UtteranceSent("Stop".to_owned()));
}

#[tokio::test]
async fn uninterruptible_speech_is_heard_to_its_end() {
    let application = Application::listen().await;
    let server = connecting(&application, "interruptible='none'").await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    let mut session = application.accept().await;
    session.token("One thing first.", true).await;
    call.begins_to_hear("One thing", LIMIT).await.unwrap();
    call.say("Yes?").await.unwrap();

    assert_eq!(session.next().await["type"], "prompt");
    assert!(!call.heard()[0].interrupted);
}

#[tokio::test]
async fn keys_and_partial_prompts_are_sent_when_the_document_enables_them() {
    let application = Application::listen().await;
    let server = connecting(&application, "dtmfDetection='true' partialPrompts='true'").await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    let mut session = application.accept().await;
    call.key("1#").await.unwrap();
    call.say("Good day").await.unwrap();

    assert_eq!(
        session.next().await,
        json!({ "type": "dtmf", "digit": "1" })
    );
    assert_eq!(
        session.next().await,
        json!({ "type": "dtmf", "digit": "#" })
    );
    let (partial, whole) = (session.next().await, session.next().await);
    assert_eq!(
        (&partial["voicePrompt"], &partial["last"]),
        (&json!("Good"), &json!(false))
    );
    assert_eq!(
        (&whole["voicePrompt"], &whole["last"]),
        (&json!("Good day"), &json!(true))
    );
}

#[tokio::test]
async fn a_caller_who_hangs_up_completes_the_session() {
    let application = Application::listen().await;
    let server = connecting(&application, "").await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    let session = application.accept().await;
    call.hang_up();
    session.closed().await;
    assert_eq!(
        call.ended(LIMIT).await.unwrap().why,
        EndReason::CallerHungUp
    );
    let is_reported = |view: &CallView| {
        let reports = view.requests_of(RequestKind::Connect);
        reports.iter().any(|request| request.status.is_some())
    };
    call.view_where(is_reported, LIMIT).await.unwrap();

    let done = &server.got("/done")[0];
    assert_eq!(done.field("SessionStatus"), "completed");
    assert_eq!(done.field("CallStatus"), "completed");
    assert!(call.heard().is_empty());
}
