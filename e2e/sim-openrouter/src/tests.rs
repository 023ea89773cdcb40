use std::path::Path;

use serde_json::{Value, json};

use super::*;

#[tokio::test]
async fn keys_are_created_shown_changed_and_deleted_with_the_recorded_shapes() {
    let api = Api::start().await;

    let (status, made) = api
        .manage(
            "POST",
            "/keys",
            json!({"name": "sandbox:1", "limit": 5, "limit_reset": "daily"}),
        )
        .await;
    assert_eq!(status, 201);
    assert_same_shape(&made, "keys_create_201.json");
    let hash = made["data"]["hash"].as_str().unwrap();
    let path = format!("/keys/{hash}");
    let (_, shown) = api.manage("GET", &path, Value::Null).await;
    assert_same_shape(&shown, "key_get_200.json");
    assert_eq!(shown["data"]["limit_remaining"], 5.0);
    let (_, changed) = api
        .manage("PATCH", &path, json!({"disabled": true, "limit": null}))
        .await;
    assert_same_shape(&changed, "key_patch_200.json");
    assert_eq!(
        (&changed["data"]["limit"], &changed["data"]["limit_reset"]),
        (&Value::Null, &json!("daily"))
    );
    let (_, listed) = api.manage("GET", "/keys", Value::Null).await;
    assert_eq!(listed, json!({ "data": [] }));
    let (_, listed) = api
        .manage("GET", "/keys?include_disabled=true", Value::Null)
        .await;
    assert_same_shape(&listed, "keys_list_200.json");
    assert_eq!(
        api.manage("DELETE", &path, Value::Null).await.1,
        json!({ "deleted": true })
    );
    assert_eq!(api.manage("DELETE", &path, Value::Null).await.0, 404);
}

#[tokio::test]
async fn keys_are_listed_in_pages_of_a_hundred() {
    let api = Api::start().await;
    for n in 0..130 {
        api.make_key(json!({ "name": format!("k{n}") })).await;
    }

    let count = async |offset: u32| {
        let (_, page) = api
            .manage("GET", &format!("/keys?offset={offset}"), Value::Null)
            .await;
        page["data"].as_array().unwrap().len()
    };

    assert_eq!(
        (count(0).await, count(100).await, count(200).await),
        (100, 30, 0)
    );
}

#[tokio::test]
async fn only_the_management_key_makes_keys_and_only_other_keys_call_models() {
    let api = Api::start().await;
    let key = api.make_key(json!({ "name": "k" })).await;
    let new = json!({ "name": "x" });

    assert_eq!(
        api.call("POST", "/keys", Some(&key), new.clone()).await.0,
        403
    );
    assert_eq!(
        api.call("POST", "/keys", Some("stranger"), new.clone())
            .await
            .0,
        401
    );
    let (status, nobody) = api.call("POST", "/keys", None, new).await;
    assert_eq!(
        (status, nobody),
        (
            401,
            json!({"error": {"code": 401, "message": "Missing Authentication header"}})
        )
    );
    let manager = api.sim.management_key();
    assert_eq!(
        api.call("POST", "/chat/completions", Some(&manager), request("hi"))
            .await
            .0,
        401
    );
    for wrong in [
        json!({ "name": "" }),
        json!({}),
        json!({"name": "x", "expires_at": "2027-01-01T00:00:00+01:00"}),
    ] {
        assert_eq!(api.manage("POST", "/keys", wrong).await.0, 400);
    }
}

#[tokio::test]
async fn a_key_whose_limit_is_used_up_gets_402_and_its_own_view_shows_the_overdraft() {
    let api = Api::start().await;
    let key = api
        .make_key(json!({ "name": "k", "limit": 0.001, "limit_reset": "daily" }))
        .await;

    let statuses =
        [(); 4].map(|()| api.call("POST", "/chat/completions", Some(&key), request("hi")));
    let statuses: Vec<u16> = futures_util::future::join_all(statuses)
        .await
        .into_iter()
        .map(|a| a.0)
        .collect();
    let (_, own) = api.call("GET", "/key", Some(&key), Value::Null).await;

    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 3);
    assert_eq!(statuses.iter().filter(|status| **status == 402).count(), 1);
    assert!(own["data"]["limit_remaining"].as_f64().unwrap() < 0.0);
    assert_same_shape(&own, "key_current_200.json");
    let stats = api.sim.stats();
    assert_eq!((stats.completions, stats.refused[&402]), (3, 1));
    let (_, credits) = api.manage("GET", "/credits", Value::Null).await;
    assert_same_shape(&credits, "credits_200.json");
}

#[tokio::test]
async fn a_stream_has_comments_deltas_usage_and_an_end() {
    let api = Api::start().await;
    let key = api.make_key(json!({ "name": "k" })).await;

    let lines = api.stream(&key, "[[SAY Hello there]]").await;

    assert_eq!(lines[0], ": OPENROUTER PROCESSING");
    assert_eq!(lines.last().unwrap(), "data: [DONE]");
    let chunks = chunks(&lines);
    let text: String = chunks
        .iter()
        .filter_map(|c| c["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "Hello there");
    assert_eq!(
        chunks[chunks.len() - 2]["choices"][0]["finish_reason"],
        "stop"
    );
    assert_eq!(chunks.last().unwrap()["choices"], json!([]));
    assert_eq!(chunks.last().unwrap()["usage"]["cost"], 0.00042);
}

#[tokio::test]
async fn a_tool_call_is_streamed_in_pieces_that_add_up_to_its_arguments() {
    let api = Api::start().await;
    let key = api.make_key(json!({ "name": "k" })).await;

    let lines = api.stream(&key, "[[EXEC echo \"hi\"]]").await;

    let chunks = chunks(&lines);
    let call = |chunk: &Value| chunk["choices"][0]["delta"]["tool_calls"][0].clone();
    assert_eq!(call(&chunks[0])["function"]["name"], "exec");
    let arguments: String = chunks
        .iter()
        .filter_map(|c| call(c)["function"]["arguments"].as_str().map(str::to_owned))
        .collect();
    let arguments: Value = serde_json::from_str(&arguments).unwrap();
    assert_eq!(arguments, json!({ "command": "echo \"hi\"" }));
    assert_eq!(
        chunks[chunks.len() - 2]["choices"][0]["finish_reason"],
        "tool_calls"
    );
}

#[tokio::test]
async fn a_reminder_begins_with_a_search_for_the_tool() {
    let api = Api::start().await;
    let key = api.make_key(json!({ "name": "k" })).await;

    let wish = request("Remind me in 20 seconds to call mum");
    let (_, answer) = api
        .call("POST", "/chat/completions", Some(&key), wish)
        .await;

    let choice = &answer["choices"][0];
    let called = &choice["message"]["tool_calls"][0]["function"];
    assert_eq!(
        (&called["name"], &choice["finish_reason"]),
        (&json!("tool_search"), &json!("tool_calls"))
    );
}

#[tokio::test]
async fn errors_come_before_the_stream_or_inside_it() {
    let api = Api::start().await;
    let key = api.make_key(json!({ "name": "k" })).await;

    let (status, body) = api
        .call(
            "POST",
            "/chat/completions",
            Some(&key),
            request("[[ERROR 429]]"),
        )
        .await;
    let broken = chunks(&api.stream(&key, "[[BREAK The answer]]").await);

    assert_eq!((status, &body["error"]["code"]), (429, &json!(429)));
    let last = broken.last().unwrap();
    assert_eq!(last["error"]["code"], "server_error");
    assert_eq!(last["choices"][0]["finish_reason"], "error");
}

#[tokio::test]
async fn an_answer_in_one_document_has_the_recorded_shape_and_is_listed() {
    let api = Api::start().await;
    let key = api.make_key(json!({ "name": "k" })).await;

    let (_, mut answer) = api
        .call("POST", "/chat/completions", Some(&key), request("hello"))
        .await;

    answer["usage"].as_object_mut().unwrap().remove("cost");
    assert_same_shape(&answer, "chat_200.json");
    let requests = api.sim.requests();
    assert_eq!((requests.len(), requests[0].said.as_str()), (1, "hello"));
    let (_, models) = api.call("GET", "/models", None, Value::Null).await;
    assert!(models["data"][0]["pricing"]["prompt"].is_string());
}

fn request(text: &str) -> Value {
    let tools = ["exec", "tool_search", "tool_call"];
    let tools = tools.map(|name| json!({ "type": "function", "function": { "name": name } }));
    json!({
        "model": "simulated/assistant",
        "messages": [{ "role": "user", "content": text }],
        "tools": tools,
    })
}

fn chunks(lines: &[String]) -> Vec<Value> {
    lines
        .iter()
        .filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok())
        .collect()
}

struct Api {
    sim: SimOpenRouter,
    client: reqwest::Client,
}

impl Api {
    async fn start() -> Self {
        let sim = SimOpenRouter::start(SimOpenRouterConfig::default())
            .await
            .unwrap();
        let client = claw_runtime::http::client(claw_runtime::HttpTimeouts::default());
        Self { sim, client }
    }

    async fn manage(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.call(method, path, Some(&self.sim.management_key()), body)
            .await
    }

    async fn call(&self, method: &str, path: &str, key: Option<&str>, body: Value) -> (u16, Value) {
        let url = format!("{}{path}", self.sim.base_url());
        let mut request = self.client.request(method.parse().unwrap(), url);
        if let Some(key) = key {
            request = request.bearer_auth(key);
        }
        if !body.is_null() {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    async fn make_key(&self, new: Value) -> String {
        let (_, made) = self.manage("POST", "/keys", new).await;
        made["key"].as_str().unwrap().to_owned()
    }

    /// Lines of the stream that are not empty.
    async fn stream(&self, key: &str, text: &str) -> Vec<String> {
        let mut body = request(text);
        body["stream"] = json!(true);
        let url = format!("{}/chat/completions", self.sim.base_url());
        let answer = self
            .client
            .post(url)
            .bearer_auth(key)
            .json(&body)
            .send()
            .await
            .unwrap();
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        let text = answer.text().await.unwrap();
        text.lines()
            .filter(|line| !line.is_empty())
            .map(str::to_owned)
            .collect()
    }
}

/// Asserts that our reply has exactly the keys of the recorded one, if this machine has the recordings.
fn assert_same_shape(ours: &Value, name: &str) {
    let Some(root) = option_env!("CLAWKAKA_FIXTURES") else {
        return;
    };
    let theirs = std::fs::read(Path::new(root).join("openrouter").join(name)).unwrap();
    let theirs: Value = serde_json::from_slice(&theirs).unwrap();
    assert_eq!(shape(ours), shape(&theirs), "{name}");
}

fn shape(value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(k, v)| (k.clone(), shape(v))).collect(),
        Value::Array(items) => items.iter().map(shape).collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Value::Null,
    }
}
