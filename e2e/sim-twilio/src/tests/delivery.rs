use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// A page that fails so many times before it answers.
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
async fn a_failed_webhook_is_tried_again_as_its_url_says_under_the_same_token() {
    let server = failing(2).await;
    let sim = SimTwilio::start(SimTwilioConfig {
        voice_url: server.url("/voice#rc=2&rp=ct,5xx"),
        ..number_at(&server)
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);

    assert_eq!(call.ended(LIMIT).await.unwrap().why, Why::DocumentEnded);
    let tokens = tokens(&server);
    assert_eq!(tokens.len(), 3);
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(call.view().requests[0].tries, 3);
}

#[tokio::test]
async fn by_default_a_failure_of_ours_is_not_tried_again() {
    let server = failing(1).await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);

    let ended = call.ended(LIMIT).await.unwrap();
    assert_eq!(ended.why, Why::ApplicationError(11_200));
    assert_eq!(tokens(&server).len(), 1);
}

#[tokio::test]
async fn an_answer_that_is_too_late_is_none() {
    let server = Server::start(|_| Reply::never()).await;
    let sim = SimTwilio::start(SimTwilioConfig {
        read_limit: Duration::from_millis(50),
        ..number_at(&server)
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);

    let ended = call.ended(LIMIT).await.unwrap();
    assert_eq!(ended.why, Why::ApplicationError(11_205));
}

#[tokio::test]
async fn where_nobody_listens_the_call_fails() {
    let sim = SimTwilio::start(SimTwilioConfig {
        connect_to: vec![server::refusing_addr().await],
        ..SimTwilioConfig::default()
    });
    let sim = sim.await.unwrap();

    let call = sim.call(ALICE);

    let ended = call.ended(LIMIT).await.unwrap();
    assert_eq!(ended.why, Why::ApplicationError(11_205));
    assert_eq!(call.view().requests[0].tries, 2);
}

#[tokio::test]
async fn a_webhook_can_come_twice_and_its_answer_be_lost() {
    let twice = Faults {
        twice: Some(1),
        ..Faults::default()
    };
    let lost = Faults {
        lose_answers: Some(1),
        ..Faults::default()
    };
    for fault in [twice, lost] {
        let server = failing(0).await;
        let sim = sim_at(&server).await;
        sim.set_faults(fault);

        let call = sim.call(ALICE);

        assert_eq!(call.ended(LIMIT).await.unwrap().why, Why::DocumentEnded);
        let tokens = tokens(&server);
        assert_eq!(tokens.len(), 2);
        assert_eq!(tokens[0], tokens[1]);
        assert_eq!(call.view().heard_texts(), ["Here I am."]);
    }
}

#[tokio::test]
async fn a_caller_can_hang_up_while_a_webhook_is_under_way() {
    let server = Server::start(|received| match received.path.as_str() {
        "/slow" => Reply::never(),
        _ => Reply::twiml("<Say>Hi</Say><Redirect>/slow</Redirect>"),
    })
    .await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    let is_under_way = |view: &CallView| {
        view.requests
            .iter()
            .any(|r| r.tries == 1 && r.url.ends_with("/slow"))
    };
    call.view_where(is_under_way, LIMIT).await.unwrap();
    call.hang_up();

    assert_eq!(call.ended(LIMIT).await.unwrap().why, Why::CallerHungUp);
    assert_eq!(call.view().status, "completed");
}

#[tokio::test]
async fn who_hangs_up_before_we_answer_has_cancelled() {
    let server = Server::start(|_| Reply::never()).await;
    let sim = sim_at(&server).await;

    let call = sim.call(ALICE);
    call.hang_up();

    call.ended(LIMIT).await.unwrap();
    assert_eq!(call.view().status, "canceled");
}
