use e2e::harness::Service;

use crate::crowd::Crowd;

/// Two users, whose words may be only in payloads and tables.
const CROWD: Crowd = Crowd {
    users: 2,
    messages_each: 2,
    per_second: 10,
    copies: 1,
};

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_logs_tables_or_events_and_no_personal_data_in_logs_or_subjects() {
    let world = Crowd::world().await;
    CROWD.write(&world.meta).await;
    CROWD.verify(&world).await;

    let logs: String = Service::ALL.map(|service| world.log_of(service)).concat();
    let tables = world.postgres.dump().await.unwrap();
    let events = world.nats.dump().await.unwrap();

    for (name, secret) in world.secrets() {
        assert!(!logs.contains(&secret), "{name} is in a log");
        assert!(!tables.contains(&secret), "{name} is in a table");
        assert!(!events.contains(&secret), "{name} is in an event");
    }
    for personal in ["4915150000000", "user 0 says"] {
        assert!(!logs.contains(personal), "{personal:?} is in a log");
        let subjects = events.lines().filter(|line| line.starts_with("subject "));
        let named = subjects.filter(|line| line.contains(personal)).count();
        assert_eq!(named, 0, "{personal:?} is in a subject");
    }
    assert!(
        logs.contains("is answered"),
        "the searched logs have no entry of an answer"
    );
    assert!(
        tables.contains("user 0 says"),
        "the searched tables do not have the message"
    );
    assert!(
        events.contains("user 0 says"),
        "the searched events do not have the message"
    );
}
