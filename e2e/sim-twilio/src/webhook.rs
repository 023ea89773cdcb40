use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Url,
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use secrecy::ExposeSecret;
use sim_kit::timeline::EntryKind;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{
    form::{self, Fields},
    line::Line,
    overrides::{ConnectionOverrides, Failure},
    signature,
    view::RequestKind,
    world::World,
};

/// A webhook of Twilio to the application.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) kind: RequestKind,
    /// The URL with its fragment.
    pub(crate) url: String,
    pub(crate) fields: Fields,
}

/// An answer with a status of success.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    /// Index of the request in the view.
    pub(crate) index: usize,
}

/// A request ready to be sent, the same in every attempt.
struct PreparedRequest {
    target: Url,
    host: String,
    body: String,
    signature: String,
    token: String,
    limits: ConnectionOverrides,
}

/// Sends `post` with the connection overrides of its URL; `Err` is Twilio's error code.
pub(crate) async fn deliver(world: Arc<World>, line: Arc<Line>, post: Post) -> Result<Answer, u32> {
    let limits = ConnectionOverrides::of(&post.url, world.config.read_limit);
    let token = Uuid::new_v4().to_string();
    let index = line.add_request(post.kind, &limits.url, &post.fields, &token);
    if let Some(ms) = world.faults.now().delay_ms {
        sleep(Duration::from_millis(ms)).await;
    }
    let since = Instant::now();
    let speech = post.fields.iter().find(|(name, _)| name == "SpeechResult");
    if let Some((_, speech)) = speech {
        world.record(&line, || EntryKind::UtteranceSent(speech.clone()));
    }
    let outcome = match prepare(&world, &post, limits, token) {
        Some(prepared) => send_with_retries(&world, &line, index, &prepared).await,
        None => Err(11_100),
    };
    if let Ok(answer) = &outcome {
        let document = || String::from_utf8_lossy(&answer.body).into_owned();
        world.record(&line, || EntryKind::DocumentReceived(document()));
    }
    let took = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    line.update(|view| {
        view.requests[index].took_ms = Some(took);
        view.requests[index].error = outcome.as_ref().err().copied();
    });
    outcome
}

fn prepare(
    world: &World,
    post: &Post,
    limits: ConnectionOverrides,
    token: String,
) -> Option<PreparedRequest> {
    let target = Url::parse(&limits.url).ok()?;
    let host = authority(&target)?;
    let key = world.config.auth_token.expose_secret();
    Some(PreparedRequest {
        signature: signature::of(key, &limits.url, &post.fields),
        body: form::encoded(&post.fields),
        target,
        host,
        token,
        limits,
    })
}

/// The value of the header `Host`.
fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

async fn send_with_retries(
    world: &World,
    line: &Line,
    index: usize,
    prepared: &PreparedRequest,
) -> Result<Answer, u32> {
    let all = async {
        let mut left = prepared.limits.retries;
        loop {
            let loses_answer = world.faults.take_lost_answer();
            let attempt = attempt(world, line, index, prepared).await;
            if loses_answer {
                // The answer is lost on its way, as if the application had not answered.
                left = left.saturating_sub(1);
                continue;
            }
            match attempt {
                Ok(answer) => return Ok(answer),
                Err(failure) if left > 0 && prepared.limits.retries_after(failure) => left -= 1,
                Err(failure) => return Err(code_of(failure)),
            }
        }
    };
    timeout(prepared.limits.total, all)
        .await
        .unwrap_or(Err(code_of(Failure::Read)))
}

fn code_of(failure: Failure) -> u32 {
    match failure {
        Failure::Connect | Failure::Read => 11_205,
        Failure::Status(_) => 11_200,
    }
}

/// Sends the request once, or twice at the same time if that fault is set.
async fn attempt(
    world: &World,
    line: &Line,
    index: usize,
    prepared: &PreparedRequest,
) -> Result<Answer, Failure> {
    if !world.faults.take_twice() {
        return send(world, line, index, prepared).await;
    }
    let (first, _) = tokio::join!(
        send(world, line, index, prepared),
        send(world, line, index, prepared)
    );
    first
}

async fn send(
    world: &World,
    line: &Line,
    index: usize,
    prepared: &PreparedRequest,
) -> Result<Answer, Failure> {
    line.update(|view| view.requests[index].tries += 1);
    let replicas: Vec<Option<SocketAddr>> = match world.replicas().as_slice() {
        [] => vec![None],
        replicas => replicas.iter().copied().map(Some).collect(),
    };
    for replica in replicas {
        let exchange = exchange(world, prepared, replica);
        let answered = timeout(prepared.limits.read, exchange)
            .await
            .map_err(|_| Failure::Read)?;
        match answered {
            Ok((status, content_type, body)) => {
                line.update(|view| {
                    view.requests[index].status = Some(status);
                    view.requests[index].body = String::from_utf8_lossy(&body).into_owned();
                });
                return if (200..300).contains(&status) {
                    Ok(Answer {
                        content_type,
                        body,
                        index,
                    })
                } else {
                    Err(Failure::Status(status))
                };
            }
            Err(error) if error.is_connect() => {}
            // A connection that breaks counts as a missing answer.
            Err(_) => return Err(Failure::Read),
        }
    }
    Err(Failure::Connect)
}

async fn exchange(
    world: &World,
    prepared: &PreparedRequest,
    replica: Option<SocketAddr>,
) -> reqwest::Result<(u16, String, Bytes)> {
    let mut url = prepared.target.clone();
    if let Some(replica) = replica {
        // Replicas are behind a proxy that terminates TLS.
        url.set_scheme("http").ok();
        url.set_ip_host(replica.ip()).ok();
        url.set_port(Some(replica.port())).ok();
    }
    let answer = world
        .client
        .post(url)
        .header(HOST, &prepared.host)
        .header(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=UTF-8",
        )
        .header(USER_AGENT, "TwilioProxy/1.1")
        .header("X-Twilio-Signature", &prepared.signature)
        .header("I-Twilio-Idempotency-Token", &prepared.token)
        .body(prepared.body.clone())
        .send()
        .await?;
    let status = answer.status().as_u16();
    let content_type = answer.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    Ok((status, content_type, answer.bytes().await?))
}
