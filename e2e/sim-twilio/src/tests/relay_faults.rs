use serde_json::json;

use super::{application::Application, relay::connecting, *};

#[tokio::test]
async fn a_lost_socket_fails_the_session_and_the_call_continues() {
    for is_our_fault in [true, false] {
        let application = Application::listen().await;
        let server = connecting(&application, "").await;
        let sim = sim_at(&server).await;

        let call = sim.call(ALICE);
        let session = application.accept().await;
        if is_our_fault {
            drop(session);
        } else {
            call.drop_socket().await.unwrap();
        }

        assert_eq!(
            call.ended(LIMIT).await.unwrap().why,
            EndReason::DocumentEnded
        );
        assert_eq!(call.view().heard_texts(), ["Back again."]);
        let done = &server.got("/done")[0];
        assert_eq!(done.field("SessionStatus"), "failed");
        assert_eq!(done.field("ErrorCode"), "64105");
        assert_same_names(&call.view().requests[1], "connect_action_failed.form");
    }
}

#[tokio::test]
async fn an_application_that_cannot_be_reached_fails_the_session() {
    let application = Application::listen().await;
    let server = connecting(&application, "").await;
    drop(application);
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);

    assert_eq!(
        call.ended(LIMIT).await.unwrap().why,
        EndReason::DocumentEnded
    );
    assert_eq!(server.got("/done")[0].field("ErrorCode"), "64102");
    assert_eq!(call.view().relays[0].error, Some(64_102));
}

#[tokio::test]
async fn an_upgrade_that_is_refused_fails_the_session() {
    let server = Server::start(|received| match received.path.as_str() {
        "/relay" => Reply::raw(403, "text/plain", "no"),
        "/done" => Reply::twiml("<Hangup/>"),
        _ => Reply::twiml(&format!(
            "<Connect action='/done'><ConversationRelay url='ws://{}/relay'/></Connect>",
            received.header("host")
        )),
    })
    .await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);

    assert_eq!(call.ended(LIMIT).await.unwrap().why, EndReason::Hangup);
    assert_eq!(server.got("/done")[0].field("ErrorCode"), "64102");
}

#[tokio::test]
async fn an_application_with_reconnect_is_connected_again_and_gets_missed_events() {
    let application = Application::listen().await;
    let server = connecting(&application, "applicationReconnect='true'").await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    let first = application.accept().await;
    call.drop_socket().await.unwrap();
    let mut again = application.accept().await;
    call.say("Still there?").await.unwrap();

    assert_eq!(again.setup["sessionId"], first.setup["sessionId"]);
    assert_eq!(again.next().await["voicePrompt"], "Still there?");
    assert_eq!(call.view().relays[0].connections, 2);
}

#[tokio::test]
async fn events_are_kept_while_the_application_is_disconnected() {
    let application = Application::listen().await;
    let server = connecting(&application, "applicationReconnect='true'").await;
    let sim = SimTwilio::start(SimTwilioConfig {
        pace: Pace {
            time_factor: 3.0,
            ..Pace::REAL
        },
        ..number_at(&server)
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);
    let session = application.accept().await;
    let addr = application.addr();
    drop((application, session));
    let is_away = |view: &CallView| view.warnings.iter().any(|one| one.starts_with("64102"));
    call.view_where(is_away, LIMIT).await.unwrap();
    call.say("Are you there?").await.unwrap();
    let application = Application::listen_again(addr).await;
    let mut session = application.accept().await;

    assert_eq!(session.next().await["voicePrompt"], "Are you there?");
}

#[tokio::test]
async fn an_invalid_message_is_answered_with_an_error_and_the_session_continues() {
    let application = Application::listen().await;
    let server = connecting(&application, "").await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    let mut session = application.accept().await;
    session.send_raw("502 Bad Gateway").await;
    let error = session.next().await;
    session.token("Here.", true).await;
    call.next_heard("Here.", LIMIT).await.unwrap();

    assert_eq!(
        error,
        json!({ "type": "error", "description": "Invalid message received: 502 Bad Gateway" })
    );
    assert!(call.view().warnings[0].starts_with("64107"));
}

#[tokio::test]
async fn without_an_action_the_end_of_a_session_ends_the_call() {
    let application = Application::listen().await;
    let url = application.url();
    let server = Server::start(move |_| {
        Reply::twiml(&format!(
            "<Connect><ConversationRelay url='{url}'/></Connect>"
        ))
    })
    .await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    let mut session = application.accept().await;
    session.send(json!({ "type": "end" })).await;

    assert_eq!(
        call.ended(LIMIT).await.unwrap().why,
        EndReason::DocumentEnded
    );
}
