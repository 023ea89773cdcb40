//! The Engine API. A path may begin with a version, which is ignored.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{ConnectInfo, Query, State},
    http::{Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use serde_json::{Value, json};
use sim_kit::server::Connection;

use super::{
    engine::{Changed, Engine},
    error::ApiError,
    filters::Filters,
};

/// The exit code of a container that was killed.
const KILLED: i64 = 137;

const CONTAINER_FILTERS: [&str; 5] = ["label", "status", "name", "id", "volume"];

const VOLUME_FILTERS: [&str; 3] = ["label", "name", "dangling"];

pub(crate) fn router(engine: Arc<Engine>) -> Router {
    Router::new().fallback(answer).with_state(engine)
}

/// Answers a request, or fails as the faults demand.
async fn answer(
    State(engine): State<Arc<Engine>>,
    ConnectInfo(connection): ConnectInfo<Connection>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Response {
    tokio::time::sleep(engine.faults.latency()).await;
    if engine.faults.is_failing() {
        engine.count_refusal();
        return ApiError::internal("the simulated engine refuses every request").into_response();
    }
    let changes = method != Method::GET && method != Method::HEAD;
    let request = carry_out(Arc::clone(&engine), method, uri, body);
    // A request that was begun is carried out even if its client goes away.
    let answer = match tokio::spawn(request).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => error.into_response(),
        Err(panic) => ApiError::internal(panic.to_string()).into_response(),
    };
    if changes && engine.faults.loses_answer() {
        connection.cut();
    }
    answer
}

async fn carry_out(
    engine: Arc<Engine>,
    method: Method,
    uri: Uri,
    body: Bytes,
) -> Result<Response, ApiError> {
    let query = Parameters::read(&uri);
    let path: Vec<&str> = uri.path().split('/').skip(1).collect();
    let path = match path.as_slice() {
        [version, rest @ ..] if is_version(version) => rest,
        whole => whole,
    };
    let answer = match (method.as_str(), path) {
        ("GET" | "HEAD", ["_ping"]) => ([("Api-Version", "1.41")], "OK").into_response(),
        ("GET", ["version"]) => Json(version()).into_response(),
        ("GET", ["info"]) => Json(engine.info()).into_response(),
        ("POST", ["containers", "create"]) => {
            let id = engine.create(query.text("name"), read_json(&body)?)?;
            let created = json!({ "Id": id, "Warnings": [] });
            (StatusCode::CREATED, Json(created)).into_response()
        }
        ("GET", ["containers", "json"]) => {
            let filters = Filters::parse(query.text("filters"), &CONTAINER_FILTERS)?;
            Json(engine.list(query.is_true("all"), &filters)).into_response()
        }
        ("GET", ["containers", container, "json"]) => {
            Json(engine.inspect(container)?).into_response()
        }
        ("POST", ["containers", container, "start"]) => engine.start(container)?.into_response(),
        ("POST", ["containers", container, "stop"]) => {
            let seconds = query.number("t")?;
            engine.stop(container, seconds).await?.into_response()
        }
        ("POST", ["containers", container, "kill"]) => {
            match query
                .text("signal")
                .unwrap_or("KILL")
                .trim_start_matches("SIG")
            {
                "KILL" | "9" => engine.kill(container, KILLED).await?,
                "TERM" | "15" => {
                    let (engine, container) = (Arc::clone(&engine), (*container).to_owned());
                    // The request is answered once the signal is sent. A stop without end does not fail.
                    tokio::spawn(async move { engine.stop(&container, Some(-1)).await });
                }
                // OpenClaw ignores the other signals.
                _ => {}
            }
            StatusCode::NO_CONTENT.into_response()
        }
        ("DELETE", ["containers", container]) => {
            engine.remove(container, query.is_true("force")).await?;
            StatusCode::NO_CONTENT.into_response()
        }
        ("GET", ["volumes"]) => {
            let filters = Filters::parse(query.text("filters"), &VOLUME_FILTERS)?;
            let volumes = engine.list_volumes(&filters);
            Json(json!({ "Volumes": volumes, "Warnings": null })).into_response()
        }
        ("POST", ["volumes", "create"]) => {
            let volume = engine.create_volume(&read_json(&body)?);
            (StatusCode::CREATED, Json(volume)).into_response()
        }
        ("GET", ["volumes", name]) => Json(engine.inspect_volume(name)?).into_response(),
        ("DELETE", ["volumes", name]) => {
            engine.remove_volume(name, query.is_true("force"))?;
            StatusCode::NO_CONTENT.into_response()
        }
        _ => return Err(ApiError::not_found("page not found")),
    };
    Ok(answer)
}

impl IntoResponse for Changed {
    fn into_response(self) -> Response {
        match self {
            Self::Done => StatusCode::NO_CONTENT,
            Self::Not => StatusCode::NOT_MODIFIED,
        }
        .into_response()
    }
}

/// Whether a part of a path is a version, such as `v1.41`.
fn is_version(part: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    part.strip_prefix('v')
        .and_then(|number| number.split_once('.'))
        .is_some_and(|(major, minor)| digits(major) && digits(minor))
}

fn version() -> Value {
    json!({
        "Version": "20.10.24",
        "ApiVersion": "1.41",
        "MinAPIVersion": "1.12",
        "Os": "linux",
        "Arch": "amd64",
    })
}

fn read_json(body: &Bytes) -> Result<Value, ApiError> {
    let read = serde_json::from_slice(body);
    read.map_err(|error| ApiError::bad_request(format!("invalid JSON: {error}")))
}

/// The parameters of a request's query.
struct Parameters(HashMap<String, String>);

impl Parameters {
    fn read(uri: &Uri) -> Self {
        let read = Query::try_from_uri(uri).map(|Query(values)| values);
        Self(read.unwrap_or_default())
    }

    fn text(&self, name: &str) -> Option<&str> {
        let value = self.0.get(name).map(String::as_str);
        value.filter(|value| !value.is_empty())
    }

    fn is_true(&self, name: &str) -> bool {
        let value = self.text(name).unwrap_or_default();
        !matches!(value, "" | "0" | "false" | "no" | "none")
    }

    fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        let invalid = |_| ApiError::bad_request(format!("the parameter {name} is not a number"));
        self.text(name).map(str::parse).transpose().map_err(invalid)
    }
}
