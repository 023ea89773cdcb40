use std::{fs, os::unix::fs::PermissionsExt};

use claw_testkit::{TestNats, TestPostgres, USER_ID_KEY};
use serde_json::json;

use crate::world::run;

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_buckets_are_created_and_listed_and_a_second_run_changes_nothing() {
    let nats = TestNats::start().await.unwrap();
    let url = nats.url("admin");

    let made = run("bus ensure", &[("NATS_URL", &url)]).await;
    let again = run("bus ensure --json", &[("NATS_URL", &url)]).await;

    assert_eq!((made.status, made.err.as_str()), (0, ""));
    assert!(
        made.out
            .contains("stream INBOUND of gateway is up to date\n")
    );
    assert!(made.out.contains("bucket CALLS of ingress is up to date\n"));
    assert_eq!(
        again.json()[0],
        json!({"kind": "stream", "name": "INBOUND", "account": "gateway"})
    );
    assert_eq!(again.json().len(), made.out.lines().count());
}

#[tokio::test]
async fn the_schema_is_migrated_from_an_address_in_a_variable_or_in_a_file() {
    let server = TestPostgres::start().await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("database_url");
    fs::write(&file, format!("{}\n", server.url())).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o440)).unwrap();
    let file = file.to_str().unwrap();

    let migrated = run("db migrate", &[("DATABASE_URL", &server.url())]).await;
    let from_file = run("db migrate", &[("DATABASE_URL_FILE", file)]).await;

    for ran in [migrated, from_file] {
        assert_eq!((ran.status, ran.out.as_str()), (0, ""));
        assert_eq!(ran.err, "the schema is up to date\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_or_missing_key_of_user_ids_is_refused_and_the_old_one_goes_on() {
    let (nats, postgres) = tokio::try_join!(TestNats::start(), TestPostgres::start()).unwrap();
    let (nats, postgres) = (nats.url("admin"), postgres.url());
    let other = "0".repeat(64);
    for line in ["db migrate", "bus ensure"] {
        let with = |key| {
            let (nats, postgres) = (nats.as_str(), postgres.as_str());
            let variables = [
                ("NATS_URL", nats),
                ("DATABASE_URL", postgres),
                ("USER_ID_KEY", key),
            ];
            async move { run(line, &variables).await }
        };

        for (key, status, error) in [
            ("", 1, "USER_ID_KEY: required"),
            ("k1:00", 1, "USER_ID_KEY: expected 64 hex digits"),
            (USER_ID_KEY, 0, ""),
            (
                &other,
                1,
                "every user would be a stranger. Restore the old key",
            ),
            (USER_ID_KEY, 0, ""),
        ] {
            let ran = with(key).await;
            assert_eq!(ran.status, status, "{line}: {}", ran.err);
            assert!(ran.err.contains(error), "{line}: {}", ran.err);
        }
    }
}

#[tokio::test]
async fn a_missing_or_duplicate_address_is_reported_in_a_sentence() {
    for (line, variables) in [
        ("db migrate", [("DATABASE_URL", ""), ("NATS_URL", "x")]),
        ("dead list", [("NATS_URL", ""), ("DATABASE_URL", "x")]),
        ("bus ensure", [("NATS_URL", "x"), ("NATS_URL_FILE", "y")]),
    ] {
        let mut variables = variables.to_vec();
        variables.push(("RUST_BACKTRACE", "1"));

        let ran = run(line, &variables).await;

        let name = if line == "db migrate" {
            "DATABASE_URL"
        } else {
            "NATS_URL"
        };
        let mentions_both = ran.err.contains(&format!("{name} "));
        assert!(
            mentions_both && ran.err.contains(&format!("{name}_FILE")),
            "{}",
            ran.err
        );
        assert!(!ran.err.contains("backtrace"), "{}", ran.err);
        assert_eq!((ran.status, ran.out.as_str()), (1, ""));
    }
}

#[tokio::test]
async fn the_metrics_are_listed_as_a_table_or_as_json() {
    let table = run("metrics", &[]).await;
    let lines = run("metrics --json", &[]).await;

    assert!(table.out.starts_with("| Metric |"), "{}", table.out);
    assert_eq!(table.out.lines().count(), lines.json().len() + 2);
    for (row, line) in table.out.lines().skip(2).zip(lines.json()) {
        let (name, kind) = (line["name"].as_str(), line["type"].as_str());
        let start = format!("| `{}` | {} |", name.unwrap(), kind.unwrap());
        assert!(row.starts_with(&start), "{row}");
    }
}

#[tokio::test]
async fn help_and_completions_go_to_stdout_and_usage_errors_to_stderr() {
    let bare = run("", &[]).await;
    let help = run("dead replay --help", &[]).await;
    let completions = run("completions bash", &[]).await;
    let mistake = run("dead lost", &[]).await;

    assert!(bare.out.contains("completions"), "{}", bare.out);
    for words in [
        "Example",
        "--json",
        "Exit status",
        "--ticket",
        "Claw-Replay-Of",
    ] {
        assert!(help.out.contains(words), "{words} is not in {}", help.out);
    }
    assert!(completions.out.contains("clawkaka,dead)"));
    assert_eq!([bare.status, help.status, completions.status], [0, 0, 0]);
    assert_eq!((mistake.status, mistake.out.as_str()), (2, ""));
    assert!(mistake.err.contains("'lost'"), "{}", mistake.err);
}
