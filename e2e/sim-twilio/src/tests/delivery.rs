use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A server that answers with 503 so many times before it returns a document.
async fn failing(times: usize) -> Server {
    let seen = AtomicUsize::new(0);
    Server::start(move |_| {
        if seen.fetch_add(1, Ordering::SeqCst) < times {
            Reply::raw(503, "text/plain", "later")
        } else {
            Reply::twiml("<Say>Here I am.</Say>")
        }
    })
    .await
}

fn tokens(server: &Server) -> Vec<String> {
    let got = server.got("/voice");
    let token = |received: &server::Received| {
        let token = received.header("i-twilio-idempotency-token");
        token.to_owned()
    };
    got.iter().map(token).collect()
}

#[tokio::test]
async fn a_failed_webhook_is_retried_as_its_url_says_with_the_same_token() {
    let server = failing(2).await;
    let sim = SimTwilio::start(SimTwilioConfig {
        voice_url: server.url("/voice#rc=2&rp=ct,5xx"),
        ..number_at(&server)
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);

    assert_eq!(
        call.ended(LIMIT).await.unwrap().why,
        EndReason::DocumentEnded
    );
    let tokens = tokens(&server);
    assert_eq!(tokens.len(), 3);
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(call.view().requests[0].tries, 3);
}

#[tokio::test]
async fn by_default_an_answer_with_5xx_is_not_retried() {
    let server = failing(1).await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);

    let ended = call.ended(LIMIT).await.unwrap();
    assert_eq!(ended.why, EndReason::ApplicationError(11_200));
    assert_eq!(tokens(&server).len(), 1);
}

#[tokio::test]
async fn an_answer_after_the_read_limit_fails_the_call() {
    let server = Server::start(|_| Reply::never()).await;
    let sim = SimTwilio::start(SimTwilioConfig {
        read_limit: Duration::from_millis(50),
        ..number_at(&server)
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);

    let ended = call.ended(LIMIT).await.unwrap();
    assert_eq!(ended.why, EndReason::ApplicationError(11_205));
}

#[tokio::test]
async fn an_address_that_refuses_connections_fails_the_call() {
    let sim = SimTwilio::start(SimTwilioConfig {
        connect_to: vec![server::refusing_addr().await],
        ..SimTwilioConfig::default()
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);

    let ended = call.ended(LIMIT).await.unwrap();
    assert_eq!(ended.why, EndReason::ApplicationError(11_205));
    assert_eq!(call.view().requests[0].tries, 2);
}

#[tokio::test]
async fn a_webhook_can_be_delivered_twice_and_its_answer_can_be_lost() {
    let twice = TwilioFaults {
        twice: Some(1),
        ..TwilioFaults::default()
    };
    let lost = TwilioFaults {
        lose_answers: Some(1),
        ..TwilioFaults::default()
    };
    for fault in [twice, lost] {
        let server = failing(0).await;
        let sim = sim_at(&server).await;
        sim.set_faults(fault);

        let call = sim.call(ALICE);

        assert_eq!(
            call.ended(LIMIT).await.unwrap().why,
            EndReason::DocumentEnded
        );
        let tokens = tokens(&server);
        assert_eq!(tokens.len(), 2);
        assert_eq!(tokens[0], tokens[1]);
        assert_eq!(call.view().heard_texts(), ["Here I am."]);
    }
}

#[tokio::test]
async fn a_caller_can_hang_up_while_a_webhook_is_in_flight() {
    let server = Server::start(|received| match received.path.as_str() {
        "/slow" => Reply::never(),
        _ => Reply::twiml("<Say>Hi</Say><Redirect>/slow</Redirect>"),
    })
    .await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    let is_in_flight = |view: &CallView| {
        view.requests
            .iter()
            .any(|r| r.tries == 1 && r.url.ends_with("/slow"))
    };
    call.view_where(is_in_flight, LIMIT).await.unwrap();
    call.hang_up();

    assert_eq!(
        call.ended(LIMIT).await.unwrap().why,
        EndReason::CallerHungUp
    );
    assert_eq!(call.view().status, "completed");
}

#[tokio::test]
async fn a_caller_who_hangs_up_before_the_call_is_answered_cancels_it() {
    let server = Server::start(|_| Reply::never()).await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    call.hang_up();

    call.ended(LIMIT).await.unwrap();
    assert_eq!(call.view().status, "canceled");
}
