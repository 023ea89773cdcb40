use std::{collections::VecDeque, sync::Arc};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{Path, Query, State},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use parking_lot::Mutex;
use rand::RngExt;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::{error::GraphError, graph, world::World};

/// Files kept; a further file replaces the oldest.
const FILES_KEPT: usize = 64;

/// Files that users sent and files that the business uploaded.
#[derive(Debug, Default)]
pub(crate) struct MediaStore(Mutex<VecDeque<File>>);

#[derive(Debug, Clone)]
struct File {
    id: String,
    mime_type: String,
    bytes: Bytes,
}

impl MediaStore {
    /// Stores a file and returns its id.
    pub(crate) fn put(&self, mime_type: String, bytes: Bytes) -> String {
        let id = rand::rng()
            .random_range(10_u64.pow(15)..10_u64.pow(16))
            .to_string();
        let mut files = self.0.lock();
        files.push_back(File {
            id: id.clone(),
            mime_type,
            bytes,
        });
        if files.len() > FILES_KEPT {
            files.pop_front();
        }
        id
    }

    fn find(&self, id: &str) -> Option<File> {
        self.0.lock().iter().find(|file| file.id == id).cloned()
    }
}

/// `GET /{media id}`, `POST /{phone number id}/media`, and the download URL that the former returns.
pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/{id}", get(describe_unversioned))
        .route("/{version}/{id}", get(describe_versioned))
        .route("/{phone}/media", post(upload))
        .route("/{version}/{phone}/media", post(upload))
        .route("/sim/media", post(put))
        .route("/sim/media/{id}", get(download))
}

async fn describe_unversioned(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    describe(&world, &id, &headers)
}

async fn describe_versioned(
    State(world): State<Arc<World>>,
    Path((_, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    describe(&world, &id, &headers)
}

fn describe(world: &World, id: &str, headers: &HeaderMap) -> Response {
    if let Err(refused) = graph::check_token(world, headers) {
        return refused.into_response();
    }
    let Some(file) = world.media.find(id) else {
        return GraphError::no_such_object(id).into_response();
    };
    let host = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    Json(json!({
        "messaging_product": "whatsapp",
        "url": format!("http://{}/sim/media/{id}", host.unwrap_or("localhost")),
        "mime_type": file.mime_type,
        "sha256": STANDARD.encode(Sha256::digest(&file.bytes)),
        "file_size": file.bytes.len().to_string(),
        "id": id,
    }))
    .into_response()
}

async fn upload(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    if let Err(refused) = graph::check_token(&world, &headers) {
        return refused.into_response();
    }
    // The multipart body is stored as it is: nothing here reads uploaded files.
    let id = world.media.put("application/octet-stream".to_owned(), body);
    Json(json!({ "id": id })).into_response()
}

#[derive(Deserialize)]
struct PutQuery {
    mime_type: String,
}

async fn put(
    State(world): State<Arc<World>>,
    Query(query): Query<PutQuery>,
    body: Bytes,
) -> Json<serde_json::Value> {
    Json(json!({ "id": world.media.put(query.mime_type, body) }))
}

async fn download(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Err(refused) = graph::check_token(&world, &headers) {
        return refused.into_response();
    }
    match world.media.find(&id) {
        Some(file) => ([(header::CONTENT_TYPE, file.mime_type)], file.bytes).into_response(),
        None => axum::http::StatusCode::NOT_FOUND.into_response(),
    }
}
