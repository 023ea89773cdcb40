use e2e::harness::Service;

use crate::crowd::Crowd;

/// Two people and a few words of theirs that nothing but the payloads may hold.
const CROWD: Crowd = Crowd {
    people: 2,
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
        assert!(!logs.contains(&secret), "{name} stands in a log");
        assert!(!tables.contains(&secret), "{name} stands in a table");
        assert!(!events.contains(&secret), "{name} stands in an event");
    }
    for personal in ["4915150000000", "person 0 says"] {
        assert!(!logs.contains(personal), "{personal:?} stands in a log");
        let subjects = events.lines().filter(|line| line.starts_with("subject "));
        let named = subjects.filter(|line| line.contains(personal)).count();
        assert_eq!(named, 0, "{personal:?} stands in a subject");
    }
    assert!(
        logs.contains("is answered"),
        "the logs that were searched hold nothing"
    );
    assert!(
        tables.contains("person 0 says"),
        "the tables that were searched hold nothing"
    );
    assert!(
        events.contains("person 0 says"),
        "the events that were searched hold nothing"
    );
}
