use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;

use crate::harness::{Ingress, OUR_NUMBER, nats_server, streams_of};

/// Recorded webhooks of Meta's. They are outside the repository; without them these tests are skipped.
const FOLDER: &str = "../../../shared/fixtures/whatsapp";

/// A recorded webhook body with its signature.
struct Recorded {
    file: String,
    signature: String,
    body: Vec<u8>,
}

#[tokio::test]
async fn every_message_and_report_of_the_recorded_webhooks_is_stored_once() {
    let Some(folder) = folder() else { return };
    let nats = nats_server().await;
    let mut expected = BTreeSet::new();

    for (number, recordings) in by_number(recordings(&folder)) {
        let ingress = Ingress::start_for(&nats, &number, "unused").await;
        for recorded in recordings {
            expected.extend(ids_in(&recorded.body));
            let response = ingress
                .post_signed(recorded.body, &recorded.signature)
                .await;
            assert_eq!(response.status(), 200, "{}", recorded.file);
        }
    }

    let mut streams = streams_of(&nats).await;
    assert!(expected.len() > 20, "{expected:?}");
    assert_eq!(
        streams.count("INBOUND").await + streams.count("STATUS").await,
        expected.len() as u64,
        "{expected:#?}"
    );
    assert_eq!(streams.count("DEAD").await, 0);
}

#[tokio::test]
async fn every_recorded_subscription_is_answered_as_recorded() {
    let Some(folder) = folder() else { return };
    let nats = nats_server().await;

    for case in cases(&folder, "verify_get_cases.json") {
        let ingress = Ingress::start_for(&nats, OUR_NUMBER, text(&case, "verify_token")).await;
        let (status, body) = ingress
            .get(&format!("/whatsapp/webhook?{}", text(&case, "query")))
            .await;

        assert_eq!(
            Some(u64::from(status)),
            case["expect_status"].as_u64(),
            "{case}"
        );
        if let Some(expected) = case["expect_body"].as_str() {
            assert_eq!(body, expected, "{case}");
        }
    }
}

#[tokio::test]
async fn every_recorded_signature_is_accepted_or_refused_as_recorded() {
    let Some(folder) = folder() else { return };
    let nats = nats_server().await;
    let ingress = Ingress::start(&nats).await;

    for case in cases(&folder, "signature_cases.json") {
        let body = fs::read(folder.join(text(&case, "body_file"))).unwrap();
        let response = ingress.post_signed(body, text(&case, "header")).await;

        let expected = if case["valid"] == true { 200 } else { 403 };
        assert_eq!(response.status(), expected, "{case}");
    }
}

fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(FOLDER);
    if folder.is_dir() {
        return Some(folder);
    }
    eprintln!("skipped: there are no recorded webhooks in {FOLDER}");
    None
}

/// The rows of the index with a signature: `| file | … | … | `sha256=…` |`.
fn recordings(folder: &Path) -> Vec<Recorded> {
    let index = fs::read_to_string(folder.join("INDEX.md")).unwrap();
    index
        .lines()
        .filter_map(|row| {
            let signature = row.split('`').find(|cell| cell.starts_with("sha256="))?;
            let file = row.split('|').nth(1)?.trim();
            Some(Recorded {
                file: file.to_owned(),
                signature: signature.to_owned(),
                body: fs::read(folder.join(file)).unwrap(),
            })
        })
        .collect()
}

fn by_number(recordings: Vec<Recorded>) -> BTreeMap<String, Vec<Recorded>> {
    let mut groups = BTreeMap::<String, Vec<Recorded>>::new();
    for recorded in recordings {
        let number = number_in(&recorded.body).unwrap_or_else(|| OUR_NUMBER.to_owned());
        groups.entry(number).or_default().push(recorded);
    }
    groups
}

fn number_in(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let number = &body["entry"][0]["changes"][0]["value"]["metadata"]["phone_number_id"];
    number.as_str().map(str::to_owned)
}

/// An identity for each message and report in a body.
fn ids_in(body: &[u8]) -> Vec<String> {
    let body: Value = serde_json::from_slice(body).unwrap();
    let live = each(&body, "entry")
        .flat_map(|entry| each(entry, "changes"))
        .filter(|change| change["field"] == "messages")
        .map(|change| &change["value"]);
    live.flat_map(|value| {
        let messages = each(value, "messages").map(|message| message["id"].to_string());
        let reports =
            each(value, "statuses").map(|report| format!("{} {}", report["id"], report["status"]));
        messages.chain(reports)
    })
    .collect()
}

fn each<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[key].as_array().into_iter().flatten()
}

fn cases(folder: &Path, file: &str) -> Vec<Value> {
    serde_json::from_slice(&fs::read(folder.join(file)).unwrap()).unwrap()
}

fn text<'a>(case: &'a Value, key: &str) -> &'a str {
    case[key].as_str().unwrap()
}
