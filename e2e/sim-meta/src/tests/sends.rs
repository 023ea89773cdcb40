use super::*;

#[tokio::test]
async fn a_send_gets_metas_answer_and_three_statuses_with_its_tracker() {
    let setup = Setup::with(SimMetaConfig::default()).await;
    setup.sim.write(ALICE, "hi").unwrap();

    let (status, answer) = setup.send(ALICE, "hello", Some("dlv_1")).await;

    assert_eq!(status, 200);
    assert_same_shape(&answer, "whatsapp/api_send_text_200.json");
    assert_eq!(answer["contacts"][0]["wa_id"], ALICE);
    let statuses = setup.receiver.statuses(3).await;
    let told: Vec<_> = statuses.iter().map(|s| s["status"].clone()).collect();
    assert_eq!(told, ["sent", "delivered", "read"]);
    assert!(
        statuses
            .iter()
            .all(|s| s["biz_opaque_callback_data"] == "dlv_1")
    );
    assert!(
        statuses
            .iter()
            .all(|s| s["id"] == answer["messages"][0]["id"])
    );
    let chat = setup.sim.chat(ALICE);
    assert_eq!(chat.lines[1].state, "read");
    assert_eq!(chat.received_texts(), ["hello"]);
}

#[tokio::test]
async fn refusals_have_metas_error_code_and_http_status() {
    let setup = Setup::with(SimMetaConfig {
        throughput: 0,
        ..SimMetaConfig::default()
    })
    .await;
    let text = |body: &str| json!({"messaging_product": "whatsapp", "to": ALICE, "type": "text", "text": {"body": body}});
    let cases = [
        (text("out of the blue"), 400, 131_047),
        (text(&"x".repeat(4097)), 400, 100),
        (text(""), 400, 131_008),
        (
            json!({"messaging_product": "whatsapp", "text": {"body": "x"}}),
            400,
            131_008,
        ),
        (
            json!({"messaging_product": "whatsapp", "to": "nobody", "text": {"body": "x"}}),
            400,
            131_009,
        ),
        (json!({"to": ALICE, "text": {"body": "x"}}), 400, 100),
    ];

    for (body, status, code) in cases {
        let answer = setup.post(&body).await;
        assert_eq!(
            (answer.0, &answer.1["error"]["code"]),
            (status, &json!(code)),
            "{body}"
        );
        assert_same_shape(&answer.1, "whatsapp/api_error_100.json");
    }
    let stranger = setup
        .post_as("wrong token", &setup.path(), &text("x"))
        .await;
    assert_eq!(
        (stranger.0, &stranger.1["error"]["code"]),
        (401, &json!(190))
    );
    let elsewhere = setup
        .post_as(&setup.token(), "/v24.0/1/messages", &text("x"))
        .await;
    assert_eq!(elsewhere.1["error"]["code"], 100);
    assert_eq!(setup.sim.stats().accepted, 0);
    assert_eq!(setup.sim.stats().refused[&131_047], 1);
}

#[tokio::test]
async fn an_approved_template_is_accepted_outside_the_window_and_shown_rendered() {
    let setup = Setup::with(SimMetaConfig::default()).await;

    let (status, _) = setup.post(&template("en", &json!(["it rains"]))).await;

    assert_eq!(status, 200);
    let chat = setup.sim.chat(ALICE);
    assert_eq!(chat.received_texts(), ["Your assistant writes: it rains"]);
}

#[tokio::test]
async fn invalid_templates_are_refused_with_metas_codes() {
    let setup = Setup::with(SimMetaConfig::default()).await;
    let cases = [
        (template("de", &json!(["x"])), 404, 132_001),
        (template("en", &json!([])), 400, 132_000),
        (template("en", &json!(["x", "y"])), 400, 132_000),
        (template("en", &json!(["x".repeat(1_002)])), 400, 132_005),
        (template("en", &json!(["two\nlines"])), 400, 132_018),
        (template("en", &json!(["five     blanks"])), 400, 132_018),
        (template("en", &json!([""])), 400, 131_008),
    ];

    for (body, status, code) in cases {
        let answer = setup.post(&body).await;
        assert_eq!(
            (answer.0, &answer.1["error"]["code"]),
            (status, &json!(code)),
            "{body}"
        );
    }
    assert_eq!(setup.sim.stats().accepted, 0);
}

fn template(language: &str, texts: &Value) -> Value {
    let texts = texts.as_array().into_iter().flatten();
    let parameters: Vec<Value> = texts
        .map(|text| json!({"type": "text", "text": text}))
        .collect();
    json!({
        "messaging_product": "whatsapp", "to": ALICE, "type": "template",
        "template": {
            "name": "assistant_writes", "language": {"code": language},
            "components": [{"type": "body", "parameters": parameters}],
        },
    })
}

#[tokio::test]
async fn a_typing_indicator_marks_the_message_read_and_is_counted_in_the_chat() {
    let setup = Setup::with(SimMetaConfig::default()).await;
    let wamid = setup.sim.write(ALICE, "hi").unwrap();

    let call = json!({"messaging_product": "whatsapp", "status": "read", "message_id": wamid,
        "typing_indicator": {"type": "text"}});
    let (status, answer) = setup.post(&call).await;

    assert_eq!((status, answer), (200, json!({"success": true})));
    let chat = setup.sim.chat(ALICE);
    assert_eq!((chat.typing, chat.lines[0].state.as_str()), (1, "read"));
    assert_eq!(setup.sim.stats().read_marks, 1);
}
