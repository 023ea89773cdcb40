//! What each service's role may not do, whatever the service sends.

use std::time::Duration;

use claw_store::Role;
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, DbErr};

use crate::world::{World, url};

/// SQLSTATE: the role lacks a right.
const INSUFFICIENT_PRIVILEGE: &str = "42501";

/// What no service may do.
const FOR_ALL: [&str; 21] = [
    "DELETE FROM \"user\"",
    "DELETE FROM message",
    "DELETE FROM delivery",
    "DELETE FROM sandbox",
    "DELETE FROM \"call\"",
    "DELETE FROM refusal",
    "INSERT INTO access_list VALUES (gen_random_uuid(), 'allow', '', now())",
    "DELETE FROM access_list",
    "INSERT INTO invite (id, note, uses, expires_at, created_at) VALUES (gen_random_uuid(), '', 1, now(), now())",
    "UPDATE invite SET uses = 1000",
    "TRUNCATE message",
    "ALTER TABLE message ADD COLUMN x text",
    "DROP TABLE message",
    "CREATE TABLE x (y text)",
    "CREATE TEMP TABLE x (y text)",
    "CREATE FUNCTION x() RETURNS void LANGUAGE sql AS ''",
    "CREATE ROLE x",
    "SELECT FROM alias",
    "SELECT FROM seaql_migrations",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO PROGRAM 'true'",
];

const FOR_PROVISIONER: [&str; 10] = [
    "SELECT note FROM access_list",
    "SELECT phone FROM refusal",
    "SELECT forget_refusals(now(), gen_random_uuid())",
    "SELECT phone FROM \"user\"",
    "SELECT pin_sealed FROM \"user\"",
    "SELECT content FROM message",
    "SELECT FROM delivery",
    "SELECT * FROM \"call\"",
    "UPDATE \"user\" SET name = 'x'",
    "INSERT INTO message (id) VALUES (gen_random_uuid())",
];

const FOR_GATEWAY: [&str; 8] = [
    "SELECT forget_spare(gen_random_uuid())",
    "SELECT model_key_sealed FROM sandbox",
    "SELECT * FROM sandbox",
    "UPDATE sandbox SET status = 'ready'",
    "UPDATE sandbox SET endpoint = 'ws://elsewhere'",
    "INSERT INTO sandbox (id) VALUES (gen_random_uuid())",
    "SELECT FROM delivery",
    "UPDATE delivery SET state = 0",
];

const FOR_OUTBOUND: [&str; 13] = [
    "SELECT forget_spare(gen_random_uuid())",
    "SELECT note FROM access_list",
    "UPDATE refusal SET phone = '+1'",
    "SELECT forget_refusals(now(), gen_random_uuid())",
    "SELECT FROM invite",
    "SELECT name FROM \"user\"",
    "SELECT pin_sealed FROM \"user\"",
    "SELECT * FROM \"user\"",
    "UPDATE \"user\" SET phone = '+1'",
    "SELECT content FROM message",
    "SELECT FROM sandbox",
    "SELECT FROM \"call\"",
    "INSERT INTO \"user\" (id) VALUES (gen_random_uuid())",
];

#[tokio::test]
async fn a_role_has_no_right_that_its_service_does_not_need() {
    let world = World::new().await;
    for role in Role::ALL {
        let of_role: &[&str] = match role {
            Role::Provisioner => &FOR_PROVISIONER,
            Role::Gateway => &FOR_GATEWAY,
            Role::Outbound => &FOR_OUTBOUND,
        };
        let database = connect(&world, role).await;

        for sql in FOR_ALL.iter().chain(of_role) {
            let outcome = database.execute_unprepared(sql).await;

            let error = outcome.expect_err(sql);
            assert!(is_refusal(&error), "{role:?}: {sql}: {error}");
        }
    }
}

#[tokio::test]
async fn a_role_can_give_itself_nothing_and_owns_nothing() {
    let world = World::new().await;
    for role in Role::ALL {
        let name = role.name();
        let database = connect(&world, role).await;

        let granted = database
            .execute_unprepared(&format!("GRANT ALL ON message TO {name}"))
            .await;
        // Without a right to grant, Postgres answers with an error or with a warning and no effect.
        assert!(granted.is_err() || has_no_right_to_delete(&world, name).await);
        for sql in [
            "SET ROLE clawkaka".to_owned(),
            format!("ALTER ROLE {name} SUPERUSER"),
        ] {
            let refused = database.execute_unprepared(&sql).await;
            let error = refused.expect_err(&sql);
            assert!(is_refusal(&error), "{sql}: {error}");
        }
        let owned = format!("pg_class WHERE relowner = '{name}'::regrole");
        assert_eq!(world.count(&owned).await, 0);
        let powers = format!(
            "pg_roles WHERE rolname = '{name}' AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)"
        );
        assert_eq!(world.count(&powers).await, 0);
    }
}

#[tokio::test]
async fn a_right_that_was_granted_by_hand_is_revoked_by_the_next_migration() {
    let world = World::new().await;
    world.sql("GRANT ALL ON message TO outbound").await;
    world
        .sql("GRANT SELECT (name) ON \"user\" TO outbound")
        .await;

    world.migrate().await;

    let database = connect(&world, Role::Outbound).await;
    for sql in ["SELECT content FROM message", "SELECT name FROM \"user\""] {
        assert!(database.execute_unprepared(sql).await.is_err(), "{sql}");
    }
}

#[tokio::test]
async fn a_migration_sets_the_passwords_that_it_is_given_and_no_others() {
    let world = World::new().await;
    let password = r"it's a \password";

    let passwords = [(Role::Gateway, password.into())];
    let url = url(&world.server);
    let migrated = claw_store::migrate(&url, &passwords, Duration::ZERO).await;
    migrated.unwrap();

    let with_password = "pg_authid WHERE rolpassword LIKE 'SCRAM-SHA-256$%' AND rolname =";
    for (role, count) in [("gateway", 1), ("outbound", 0)] {
        assert_eq!(
            world.count(&format!("{with_password} '{role}'")).await,
            count
        );
    }
}

async fn connect(world: &World, role: Role) -> DatabaseConnection {
    let url = world.server.url_of(role.name());
    Database::connect(url).await.unwrap()
}

async fn has_no_right_to_delete(world: &World, name: &str) -> bool {
    let right =
        format!("(SELECT 1) AS one WHERE has_table_privilege('{name}', 'message', 'DELETE')");
    world.count(&right).await == 0
}

/// Whether the error says that the role lacks a right.
fn is_refusal(error: &DbErr) -> bool {
    format!("{error:?}").contains(INSUFFICIENT_PRIVILEGE)
}
