use crate::harness::{Door, bus, look_into, one_text, signed};

/// Largest body taken.
const LIMIT_BYTES: usize = 3 * 1024 * 1024;

#[tokio::test]
async fn what_meta_did_not_sign_is_refused_and_nothing_of_it_stored() {
    let nats = bus().await;
    let door = Door::open(&nats).await;
    let body = one_text("wamid.A");
    let good = signed(&body);
    let of_another_body = signed(b"{}");

    for signature in [&of_another_body, "", "sha256=", &good["sha256=".len()..]] {
        let response = door.post_signed(body.clone(), signature).await;
        assert_eq!(response.status(), 401, "{signature:?}");
    }
    assert_eq!(door.post_unsigned(body).await, 401);

    let mut streams = look_into(&nats).await;
    assert_eq!(
        (streams.count("INBOUND").await, streams.count("DEAD").await),
        (0, 0)
    );
}

#[tokio::test]
async fn a_body_at_the_limit_is_taken_and_one_byte_more_is_not() {
    let nats = bus().await;
    let door = Door::open(&nats).await;

    assert_eq!(door.post(padded("wamid.A", 3_000_000)).await, 200);
    assert_eq!(door.post(padded("wamid.B", LIMIT_BYTES)).await, 200);
    assert_eq!(door.post(padded("wamid.C", LIMIT_BYTES + 1)).await, 413);

    assert_eq!(look_into(&nats).await.count("INBOUND").await, 2);
}

#[tokio::test]
async fn other_methods_and_paths_are_nobodys() {
    let nats = bus().await;
    let door = Door::open(&nats).await;

    assert_eq!(door.get("/").await.0, 404);
    assert_eq!(door.get("/whatsapp/webhook").await.0, 400);
}

fn padded(wamid: &str, bytes: usize) -> Vec<u8> {
    let mut body = one_text(wamid);
    body.resize(bytes, b' ');
    body
}
