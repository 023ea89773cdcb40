use super::*;

/// Status and sequence number of each status callback of a call, once `count` have been posted.
async fn statuses(sim: &SimTwilio, server: &Server, count: usize) -> Vec<(String, String)> {
    let call = sim.call(ALICE);
    let are_there = |view: &CallView| {
        let all = view.requests_of(RequestKind::Status);
        let done = all.iter().filter(|request| request.took_ms.is_some());
        view.ended.is_some() && done.count() == count
    };
    let view = call.view_where(are_there, LIMIT).await.unwrap();
    let requests = view.requests_of(RequestKind::Status);
    assert_same_names(requests.last().unwrap(), "status_completed.form");
    let got = server.got("/status");
    let word = |received: &server::Received| {
        let status = received.field("CallStatus").to_owned();
        (status, received.field("SequenceNumber").to_owned())
    };
    got.iter().map(word).collect()
}

async fn reporting(events: &[&str]) -> (Server, SimTwilio) {
    let server = Server::of_pages(&[("/voice", "<Say>Hi</Say>"), ("/status", "")]).await;
    let sim = SimTwilio::start(SimTwilioConfig {
        status_url: Some(server.url("/status")),
        status_events: events.iter().map(|&event| event.to_owned()).collect(),
        ..number_at(&server)
    });
    (server, sim.await.unwrap())
}

fn report(status: &str, sequence: &str) -> (String, String) {
    (status.to_owned(), sequence.to_owned())
}

#[tokio::test]
async fn the_end_is_reported_with_its_duration() {
    let (server, sim) = reporting(&[]).await;

    assert_eq!(statuses(&sim, &server, 1).await, [report("completed", "0")]);
    let seconds: u64 = server.got("/status")[0]
        .field("CallDuration")
        .parse()
        .unwrap();
    assert_eq!(
        sim.calls()[0].ended.as_ref().unwrap().duration_seconds,
        seconds
    );
    assert!(sim.calls()[0].warnings.is_empty());
}

#[tokio::test]
async fn configured_events_are_reported_in_order() {
    let (server, sim) = reporting(&["initiated", "ringing", "answered"]).await;

    assert_eq!(
        statuses(&sim, &server, 4).await,
        [
            report("initiated", "0"),
            report("ringing", "1"),
            report("in-progress", "2"),
            report("completed", "3"),
        ]
    );
}

#[tokio::test]
async fn status_callbacks_can_be_lost_repeated_and_out_of_order() {
    let (server, sim) = reporting(&["ringing", "answered"]).await;
    sim.set_faults(TwilioFaults {
        reverse_statuses: Some(true),
        lose_statuses: Some(1),
        repeat_statuses: Some(1),
        ..TwilioFaults::default()
    });
    let call = sim.call(ALICE);
    let are_there = |view: &CallView| view.requests_of(RequestKind::Status).len() == 3;
    call.view_where(are_there, LIMIT).await.unwrap();

    let is_over = |view: &CallView| view.requests.iter().all(|r| r.took_ms.is_some());
    call.view_where(is_over, LIMIT).await.unwrap();
    let got = server.got("/status");
    let sequence: Vec<&str> = got.iter().map(|one| one.field("SequenceNumber")).collect();
    assert_eq!(sequence, ["1", "1", "0"]);
}
