use super::*;

#[tokio::test]
async fn a_ring_is_posted_to_the_public_url_at_the_first_replica_that_accepts() {
    let server = Server::of_pages(&[("/voice", "<Hangup/>")]).await;
    let refusing = server::refusing_addr().await;
    let sim = SimTwilio::start(SimTwilioConfig {
        voice_url: "https://voice.example.com/voice?a=b%20c#rc=2".to_owned(),
        connect_to: vec![refusing, server.addr()],
        auth_token: "12345".into(),
        ..SimTwilioConfig::default()
    });
    let sim = sim.await.unwrap();

    let call = sim.call(CallerIdentity {
        stir: Some("TN-Validation-Passed-A".to_owned()),
        ..CallerIdentity::from(ALICE)
    });

    assert_eq!(call.ended(LIMIT).await.unwrap().why, EndReason::Hangup);
    let ring = &server.got("/voice")[0];
    assert!(ring.is_signed_for("https://voice.example.com", "12345"));
    assert_eq!(ring.header("host"), "voice.example.com");
    assert_eq!(ring.field("CallStatus"), "ringing");
    assert_eq!(ring.field("From"), ALICE);
    assert_eq!(ring.field("CallSid"), call.sid());
    let view = call.view();
    assert_eq!(
        view.requests[0].url,
        "https://voice.example.com/voice?a=b%20c"
    );
    assert_same_names(&view.requests[0], "voice_inbound_ringing.form");
}

#[tokio::test]
async fn verbs_are_executed_in_order_and_urls_can_be_relative() {
    let server = Server::of_pages(&[
        (
            "/voice",
            "<Say>Hello &amp; welcome</Say><Pause length='2'/><Redirect>next/page?n=1</Redirect>\
             <Say>never</Say>",
        ),
        (
            "/next/page",
            "<Play loop='2'>https://sounds.example/a.mp3</Play>",
        ),
    ])
    .await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);

    assert_eq!(
        call.ended(LIMIT).await.unwrap().why,
        EndReason::DocumentEnded
    );
    let sound = "<play https://sounds.example/a.mp3>";
    let view = call.view();
    assert_eq!(view.heard_texts(), ["Hello & welcome", sound, sound]);
    assert_eq!(view.status, "completed");
    assert_eq!(
        server.got("/next/page")[0].field("CallStatus"),
        "in-progress"
    );
}

#[tokio::test]
async fn a_rejected_call_is_never_answered() {
    let server = Server::of_pages(&[("/voice", "<Reject reason='busy'/>")]).await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);

    assert_eq!(call.ended(LIMIT).await.unwrap().why, EndReason::Rejected);
    assert_eq!(call.view().status, "busy");
}

#[tokio::test]
async fn every_invalid_answer_leads_to_the_fallback_with_its_error_code() {
    let cases = [
        (11_200, Reply::raw(500, "text/xml", "<Response/>")),
        (12_300, Reply::raw(200, "application/json", "{}")),
        (12_100, Reply::raw(200, "text/xml", "\n<Response/>")),
        (
            12_100,
            Reply::raw(200, "text/xml", "<Response><Say>a & b</Say></Response>"),
        ),
        (11_750, Reply::twiml(&"<Pause/>".repeat(10_000))),
    ];
    for (code, wrong) in cases {
        let server = Server::start(move |received| match received.path.as_str() {
            "/fallback" => Reply::twiml("<Say>One moment, please.</Say>"),
            _ => wrong.clone(),
        })
        .await;
        let sim = SimTwilio::start(SimTwilioConfig {
            fallback_url: Some(server.url("/fallback")),
            ..number_at(&server)
        });
        let sim = sim.await.unwrap();

        let call = sim.call(ALICE);

        assert_eq!(
            call.ended(LIMIT).await.unwrap().why,
            EndReason::DocumentEnded
        );
        assert_eq!(call.view().heard_texts(), ["One moment, please."]);
        let fallback = &server.got("/fallback")[0];
        assert_eq!(fallback.field("ErrorCode"), code.to_string());
        assert_eq!(fallback.field("ErrorUrl"), server.url("/voice"));
        assert_eq!(call.view().requests[0].error, Some(code));
    }
}

#[tokio::test]
async fn without_a_working_fallback_the_caller_hears_an_application_error() {
    let server = Server::of_pages(&[("/voice", "<Redirect>/gone</Redirect>")]).await;
    for fallback in [None, Some(server.url("/gone-too"))] {
        let sim = SimTwilio::start(SimTwilioConfig {
            fallback_url: fallback,
            ..number_at(&server)
        });
        let sim = sim.await.unwrap();

        let call = sim.call(ALICE);

        let ended = call.ended(LIMIT).await.unwrap();
        assert_eq!(ended.why, EndReason::ApplicationError(11_200));
        assert!(call.view().heard[0].text.contains("application error"));
        assert_eq!(call.view().status, "completed");
    }
}

#[tokio::test]
async fn unknown_verbs_and_attributes_are_ignored_with_a_warning() {
    let server = Server::of_pages(&[("/voice", "<Sing/><Say tone='x'>Hi</Say>")]).await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    call.ended(LIMIT).await.unwrap();

    assert_eq!(call.view().heard_texts(), ["Hi"]);
    assert_eq!(call.view().warnings.len(), 2);
}

#[tokio::test]
async fn silence_is_measured_while_the_caller_waits_for_us() {
    let server = Server::of_pages(&[
        ("/voice", "<Say>Hi</Say><Redirect>/more</Redirect>"),
        ("/more", "<Gather input='speech'/>"),
    ])
    .await;
    let sim = sim_at(&server).await;
    sim.set_faults(TwilioFaults {
        delay_ms: Some(80),
        ..TwilioFaults::default()
    });

    let call = sim.call(ALICE);
    call.silent().await.unwrap();
    call.ended(LIMIT).await.unwrap();

    assert!(call.view().longest_silence_ms >= 80, "{:?}", call.view());
}
