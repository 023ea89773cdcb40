use std::time::Duration;

use claw_domain::{Origin, Wamid};
use claw_store::{Store, migrate};
use claw_testkit::TestPostgres;
use sea_orm::ConnectionTrait;
use tokio::task::JoinSet;

use crate::world::{World, call, message, receive, speech, url};

#[tokio::test]
async fn migrating_again_keeps_the_data() {
    let world = World::new().await;
    world.user(1).await;

    migrate(&url(&world.server), &[], Duration::ZERO)
        .await
        .unwrap();

    assert!(!world.receive(&message(1, 0)).await.fresh);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_concurrent_migrations_succeed() {
    let server = TestPostgres::start().await.unwrap();
    let mut calls = JoinSet::new();
    for _ in 0..8 {
        let url = url(&server);
        calls.spawn(async move { migrate(&url, &[], Duration::ZERO).await });
    }

    for answer in calls.join_all().await {
        answer.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_waits_for_a_database_that_is_starting() {
    let server = TestPostgres::start().await.unwrap();
    server.stop().await.unwrap();
    let url = url(&server);
    let migration = tokio::spawn(async move { migrate(&url, &[], Duration::from_secs(20)).await });

    server.start_again().await.unwrap();

    migration.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_migration_does_not_wait_for_a_database_that_does_not_exist() {
    let server = TestPostgres::start().await.unwrap();
    let unknown = server.url().replace("/postgres", "/nowhere");
    assert_ne!(unknown, server.url());

    let error = migrate(&unknown.into(), &[], Duration::from_hours(1))
        .await
        .unwrap_err();

    assert!(
        format!("{error:?}").contains("\"nowhere\" does not exist"),
        "{error:?}"
    );
}

/// The first schema, from before the migration that lets messages wait in the database (the inbox).
const FIRST_SCHEMA: &str = include_str!("../../src/sql/schema_1.sql");

#[tokio::test]
async fn the_migration_to_the_inbox_keeps_messages_that_are_still_unanswered() {
    let server = TestPostgres::start().await.unwrap();
    let database = sea_orm::Database::connect(server.url()).await.unwrap();
    let asked = message(1, 0);
    let (user, id) = (asked.user.as_uuid(), asked.id.as_uuid());
    for sql in [
        FIRST_SCHEMA,
        "CREATE TABLE seaql_migrations (version varchar PRIMARY KEY, applied_at bigint NOT NULL)",
        "INSERT INTO seaql_migrations VALUES ('m000001_the_first_schema', 0)",
        &format!(
            "INSERT INTO \"user\" VALUES ('{user}', '+15550000001', NULL, NULL, now(), now())"
        ),
        &format!(
            "INSERT INTO message (id, user_id, role, status, source, kind, content, wamid, sent_at, created_at) \
             VALUES ('{id}', '{user}', 'user', 'received', 'whatsapp', 'text', 'hi', 'w', now(), now())"
        ),
    ] {
        database.execute_unprepared(sql).await.unwrap();
    }

    migrate(&url(&server), &[], Duration::ZERO).await.unwrap();

    let store = Store::connect(&url(&server), 2).await.unwrap();
    let again = receive(&store, &asked).await;
    let waiting = store.messages().waiting(asked.user, 10).await.unwrap();
    assert_eq!((again.fresh, waiting.len()), (false, 1));
    assert_eq!((waiting[0].id, waiting[0].sequence), (asked.id, 0));
}

/// The migration that adds the inbox.
const INBOX: &str = include_str!("../../src/sql/schema_2.sql");

#[tokio::test]
async fn the_schema_for_phone_calls_keeps_the_data_of_a_database_in_use() {
    let server = TestPostgres::start().await.unwrap();
    let database = sea_orm::Database::connect(server.url()).await.unwrap();
    let asked = message(1, 0);
    let (user, id) = (asked.user.as_uuid(), asked.id.as_uuid());
    let (said, known_call) = (speech(1, 1), call(2));
    for sql in [
        FIRST_SCHEMA,
        INBOX,
        "CREATE TABLE seaql_migrations (version varchar PRIMARY KEY, applied_at bigint NOT NULL)",
        "INSERT INTO seaql_migrations VALUES ('m000001_the_first_schema', 0), ('m000002_the_inbox', 0)",
        &format!(
            "INSERT INTO \"user\" (id, phone, created_at, last_inbound_at) \
             VALUES ('{user}', '+15550000001', now(), now())"
        ),
        &format!(
            "INSERT INTO message (id, user_id, role, status, source, kind, content, wamid, sent_at, created_at, \
             sequence) VALUES ('{id}', '{user}', 'user', 'received', 'whatsapp', 'voice', 'hi', 'w', now(), now(), 4)"
        ),
        &format!(
            "INSERT INTO message (id, user_id, role, status, source, kind, content, created_at, completed_at) \
             VALUES (gen_random_uuid(), '{user}', 'assistant', 'complete', 'chat', 'text', 'hello', now(), now())"
        ),
        &format!(
            "INSERT INTO \"call\" (id, user_id, started_at) VALUES ('{}', '{user}', now())",
            known_call.as_uuid()
        ),
    ] {
        database.execute_unprepared(sql).await.unwrap();
    }

    migrate(&url(&server), &[], Duration::ZERO).await.unwrap();

    let store = Store::connect(&url(&server), 2).await.unwrap();
    let messages = store.messages();
    messages.receive_voice(&said).await.unwrap().unwrap();
    let waiting = messages.waiting(asked.user, 10).await.unwrap();
    let wamid = Wamid::new("w");
    assert_eq!((waiting[0].id, waiting[0].sequence), (asked.id, 4));
    assert_eq!(waiting[0].origin, Origin::WhatsApp { wamid });
    assert_eq!(waiting[1].id, said.id);
    let kept = store.calls().of(known_call).await.unwrap().unwrap();
    assert_eq!((kept.user, kept.is_open()), (asked.user, false));
    assert_eq!(
        store.users().has_pin(asked.user).await.unwrap(),
        Some(false)
    );
}
