use std::time::Duration;

use claw_domain::{Address, PhoneNumber};
use claw_testkit::{TestNats, TestPostgres, user_of};
use serde_json::Value;

use crate::world::{Ran, run};

const NUMBER: &str = "+15551234567";

/// A migrated database, and a NATS server.
struct Database {
    server: TestPostgres,
    nats: TestNats,
}

impl Database {
    async fn new() -> Self {
        let (nats, server) = tokio::join!(TestNats::start(), TestPostgres::start());
        let (nats, server) = (nats.unwrap(), server.unwrap());
        let url = server.url().into();
        claw_store::migrate(&url, &[], Duration::ZERO)
            .await
            .unwrap();
        Self { server, nats }
    }

    async fn run(&self, line: &str) -> Ran {
        let (nats, url) = (self.nats.url("admin"), self.server.url());
        let variables = [
            ("NATS_URL", nats.as_str()),
            ("DATABASE_URL", url.as_str()),
            ("WHATSAPP_NUMBER", NUMBER),
        ];
        run(line, &variables).await
    }
}

#[tokio::test]
async fn a_number_is_blocked_and_allowed_by_its_user_id() {
    let database = Database::new().await;
    let user = user_of(&Address::Phone(PhoneNumber::try_from(NUMBER).unwrap())).to_string();

    let blocked = database
        .run(&format!("person block {NUMBER} --note spam"))
        .await;
    let listed = database.run("person list --json").await;
    let not_allowed = database.run(&format!("person disallow {user}")).await;
    let unblocked = database.run(&format!("person unblock {user}")).await;
    let allowed = database.run(&format!("person allow {NUMBER}")).await;
    let text = database.run("person list").await;
    database.run(&format!("person disallow {NUMBER}")).await;
    let empty = database.run("person list").await;

    assert_eq!(blocked.err, format!("{user} is on the block list\n"));
    let line = &listed.json()[0];
    assert_eq!(
        [&line["user"], &line["list"], &line["note"]],
        [user.as_str(), "block", "spam"]
    );
    assert_eq!(
        not_allowed.err,
        format!("{user} was not on the allow list\n")
    );
    assert_eq!(
        unblocked.err,
        format!("{user} is no longer on the block list\n")
    );
    assert_eq!(allowed.err, format!("{user} is on the allow list\n"));
    assert!(
        text.out.starts_with(&format!("{user}  allow")),
        "{}",
        text.out
    );
    assert_eq!(empty.err, "nobody is on the allow or the block list\n");
    let dump = database.server.dump().await.unwrap();
    assert!(!dump.contains("5551234567"), "the number is stored");
}

#[tokio::test]
async fn an_invite_is_made_with_a_link_and_its_code_is_shown_once() {
    let database = Database::new().await;

    let made = database
        .run("invite create --uses 20 --expires 7d --note class")
        .await;
    let json = database.run("invite create --json").await;
    let listed = database.run("invite list --json").await;
    let code = made.out.lines().next().unwrap();
    let revoked = database.run(&format!("invite revoke {code}")).await;
    let again = database.run(&format!("invite revoke {code}")).await;
    let text = database.run("invite list").await;

    let link = format!("https://wa.me/15551234567?text={code}");
    assert_eq!(made.out, format!("{code}\n{link}\n"));
    let lines = listed.json();
    assert_eq!(
        (&lines[0]["uses"], &lines[0]["note"]),
        (&20.into(), &"class".into())
    );
    assert_eq!(lines[1]["id"], json.json()[0]["id"]);
    assert!(matches!(&json.json()[0]["code"], Value::String(other) if other != code));
    let id = lines[0]["id"].as_str().unwrap();
    assert_eq!(revoked.err, format!("{id} is revoked\n"));
    assert_eq!(again.err, format!("clawkaka: there is no invite {id}\n"));
    assert_eq!((again.status, text.out.lines().count()), (1, 1));
    let dump = database.server.dump().await.unwrap();
    assert!(!dump.contains(code) && !listed.out.contains("CLAW-"));
}
