use super::*;

const ASK: &str = "<Gather input='dtmf speech' action='/heard?turn=1' speechTimeout='auto' \
                   language='de-DE'><Say>What can I do for you?</Say></Gather><Say>Goodbye.</Say>";

#[tokio::test]
async fn the_callers_words_are_posted_to_the_action_and_interrupt_nested_speech() {
    let server = Server::of_pages(&[("/voice", ASK), ("/heard", "<Hangup/>")]).await;
    let sim = SimTwilio::start(SimTwilioConfig {
        pace: Pace {
            // One character is spoken per second, but a Gather's time limits pass a hundred times as fast.
            characters_per_second: 0.01,
            time_factor: 100.0,
        },
        ..number_at(&server)
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);
    call.begins_to_hear("What can I do", LIMIT).await.unwrap();
    call.say("Remind me & mine").await.unwrap();
    call.ended(LIMIT).await.unwrap();

    let prompt = &call.heard()[0];
    assert!(prompt.interrupted && prompt.spoken.len() < prompt.text.len());
    let heard = &server.got("/heard")[0];
    assert_eq!(heard.field("SpeechResult"), "Remind me & mine");
    assert_eq!(heard.field("Language"), "de-DE");
    let view = call.view();
    assert!(view.requests[1].url.ends_with("/heard?turn=1"));
    assert_same_names(&view.requests[1], "gather_speech.form");
}

#[tokio::test]
async fn speech_outside_a_gather_is_not_interrupted() {
    let server = Server::of_pages(&[
        (
            "/voice",
            "<Say>Let me look.</Say><Gather input='speech' action='/heard'/>",
        ),
        ("/heard", "<Hangup/>"),
    ])
    .await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    call.say("Hello?").await.unwrap();
    call.ended(LIMIT).await.unwrap();

    assert!(!call.heard()[0].interrupted);
}

#[tokio::test]
async fn silence_continues_with_the_next_verb() {
    let server = Server::of_pages(&[("/voice", ASK)]).await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    call.silent().await.unwrap();
    call.next_heard("Goodbye", LIMIT).await.unwrap();

    assert_eq!(
        call.ended(LIMIT).await.unwrap().why,
        EndReason::DocumentEnded
    );
    assert!(!call.heard()[0].interrupted);
    assert!(server.got("/heard").is_empty());
    assert_eq!(call.view().silences, 1);
}

#[tokio::test]
async fn silence_is_posted_to_the_action_with_action_on_empty_result() {
    let server = Server::of_pages(&[
        (
            "/voice",
            "<Gather input='speech' action='/heard' actionOnEmptyResult='true'/>",
        ),
        ("/heard", "<Hangup/>"),
    ])
    .await;
    let sim = SimTwilio::start(SimTwilioConfig {
        silence: Silence::AsTimed,
        ..number_at(&server)
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);

    assert_eq!(call.ended(LIMIT).await.unwrap().why, EndReason::Hangup);
    assert_eq!(server.got("/heard")[0].field("SpeechResult"), "");
    assert_same_names(
        &call.view().requests[1],
        "gather_empty_action_on_empty.form",
    );
}

#[tokio::test]
async fn without_an_action_the_input_is_posted_to_the_documents_own_url() {
    let server = Server::start(|received| {
        if received.fields.contains_key("Digits") {
            Reply::twiml("<Hangup/>")
        } else {
            Reply::twiml("<Gather/>")
        }
    })
    .await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    call.key("1").await.unwrap();

    assert_eq!(call.ended(LIMIT).await.unwrap().why, EndReason::Hangup);
    assert_eq!(server.got("/voice")[1].field("Digits"), "1");
    assert_same_names(&call.view().requests[1], "gather_digits.form");
}

#[tokio::test]
async fn keys_end_with_the_finishing_key_their_number_or_a_pause() {
    let cases = [
        ("", "1234#", "1234", "#"),
        ("numDigits='4'", "1234", "1234", ""),
        ("finishOnKey='*'", "12#4*", "12#4", "*"),
        ("finishOnKey=''", "12#", "12#", ""),
    ];
    for (attributes, keys, digits, finished_on) in cases {
        let server = Server::start(move |received| match received.path.as_str() {
            "/heard" => Reply::twiml("<Hangup/>"),
            _ => Reply::twiml(&format!("<Gather {attributes} action='/heard'/>")),
        })
        .await;
        let sim = sim_at(&server).await;

        let call = sim.call(ALICE);
        call.key(keys).await.unwrap();
        call.ended(LIMIT).await.unwrap();

        let heard = &server.got("/heard")[0];
        assert_eq!(heard.field("Digits"), digits);
        assert_eq!(heard.field("FinishedOnKey"), finished_on);
    }
}

#[tokio::test]
async fn an_action_without_effect_reports_the_reason() {
    let server = Server::of_pages(&[
        ("/voice", "<Gather action='/heard' numDigits='1'/>"),
        ("/heard", "<Pause length='1000'/>"),
    ])
    .await;
    let sim = SimTwilio::start(SimTwilioConfig {
        action_timeout: Duration::from_millis(200),
        ..number_at(&server)
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);
    let unheard = call.say("Hello").await.unwrap_err();
    assert!(unheard.reason.contains("takes no speech"), "{unheard}");
    let too_many = call.key("12").await.unwrap_err();
    assert!(
        too_many.reason.contains("before the last key"),
        "{too_many}"
    );
    let late = call.key("1").await.unwrap_err();
    assert!(late.reason.contains("did not listen in time"), "{late}");
    call.hang_up();
    assert_eq!(
        call.ended(LIMIT).await.unwrap().why,
        EndReason::CallerHungUp
    );
    let over = call.say("Hello").await.unwrap_err();
    assert!(over.reason.contains("has ended"), "{over}");
}

#[tokio::test]
async fn partial_results_are_posted_to_their_callback() {
    let server = Server::of_pages(&[
        (
            "/voice",
            "<Gather input='speech' action='/heard' partialResultCallback='/partial'/>",
        ),
        ("/heard", "<Hangup/>"),
        ("/partial", "<Say>never</Say>"),
    ])
    .await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    call.say("what is on").await.unwrap();
    let is_reported = |view: &CallView| {
        let partial = view.requests_of(RequestKind::Partial);
        partial.iter().any(|request| request.took_ms.is_some())
    };
    let view = call.view_where(is_reported, LIMIT).await.unwrap();

    assert_same_names(
        view.requests_of(RequestKind::Partial)[0],
        "gather_partial.form",
    );
    assert!(call.ended(LIMIT).await.is_ok());
    assert!(call.heard().is_empty());
}
