use std::{net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::{
    Url,
    header::{CONTENT_TYPE, HOST, USER_AGENT},
};
use secrecy::ExposeSecret;
use sim_kit::moments::Note;
use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::{
    form::{self, Fields},
    line::Line,
    overrides::{Failure, Overrides},
    signature,
    view::RequestKind,
    world::World,
};

/// A request of Twilio to us.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub(crate) kind: RequestKind,
    /// With its fragment.
    pub(crate) url: String,
    pub(crate) fields: Fields,
}

/// What came back with a status of success.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) content_type: String,
    pub(crate) body: Bytes,
    /// The place of the request in the view.
    pub(crate) place: usize,
}

/// A request as it goes over the wire, the same in every try.
struct Letter {
    target: Url,
    host: String,
    body: String,
    signature: String,
    token: String,
    limits: Overrides,
}

/// Sends `post` as the overrides of its URL say; `Err` is Twilio's error code.
pub(crate) async fn deliver(world: Arc<World>, line: Arc<Line>, post: Post) -> Result<Answer, u32> {
    let limits = Overrides::of(&post.url, world.config.read_limit);
    let token = Uuid::new_v4().to_string();
    let place = line.requests(post.kind, &limits.url, &post.fields, &token);
    if let Some(ms) = world.faults.now().delay_ms {
        sleep(Duration::from_millis(ms)).await;
    }
    let since = Instant::now();
    let speech = post.fields.iter().find(|(name, _)| name == "SpeechResult");
    if let Some((_, speech)) = speech {
        world.notes(&line, || Note::Said(speech.clone()));
    }
    let outcome = match letter(&world, &post, limits, token) {
        Some(letter) => tries(&world, &line, place, &letter).await,
        None => Err(11_100),
    };
    if let Ok(answer) = &outcome {
        let document = || String::from_utf8_lossy(&answer.body).into_owned();
        world.notes(&line, || Note::Document(document()));
    }
    let took = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    line.change(|view| {
        view.requests[place].took_ms = Some(took);
        view.requests[place].error = outcome.as_ref().err().copied();
    });
    outcome
}

fn letter(world: &World, post: &Post, limits: Overrides, token: String) -> Option<Letter> {
    let target = Url::parse(&limits.url).ok()?;
    let host = authority(&target)?;
    let key = world.config.auth_token.expose_secret();
    Some(Letter {
        signature: signature::of(key, &limits.url, &post.fields),
        body: form::encoded(&post.fields),
        target,
        host,
        token,
        limits,
    })
}

/// Host and port as a client names them.
pub(crate) fn authority(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

async fn tries(world: &World, line: &Line, place: usize, letter: &Letter) -> Result<Answer, u32> {
    let all = async {
        let mut left = letter.limits.retries;
        loop {
            let loses_answer = world.faults.take_lost_answer();
            let got = one_try(world, line, place, letter).await;
            if loses_answer {
                // Lost on the way back: for Twilio as if we had never answered.
                left = left.saturating_sub(1);
                continue;
            }
            match got {
                Ok(answer) => return Ok(answer),
                Err(failure) if left > 0 && letter.limits.tries_again_after(failure) => left -= 1,
                Err(failure) => return Err(code_of(failure)),
            }
        }
    };
    timeout(letter.limits.total, all)
        .await
        .unwrap_or(Err(code_of(Failure::Read)))
}

fn code_of(failure: Failure) -> u32 {
    match failure {
        Failure::Connect | Failure::Read => 11_205,
        Failure::Status(_) => 11_200,
    }
}

/// Sends it once, or twice at the same time if that fault is set.
async fn one_try(
    world: &World,
    line: &Line,
    place: usize,
    letter: &Letter,
) -> Result<Answer, Failure> {
    if !world.faults.take_twice() {
        return send(world, line, place, letter).await;
    }
    let (first, _) = tokio::join!(
        send(world, line, place, letter),
        send(world, line, place, letter)
    );
    first
}

async fn send(
    world: &World,
    line: &Line,
    place: usize,
    letter: &Letter,
) -> Result<Answer, Failure> {
    line.change(|view| view.requests[place].tries += 1);
    let replicas: Vec<Option<SocketAddr>> = match world.replicas().as_slice() {
        [] => vec![None],
        replicas => replicas.iter().copied().map(Some).collect(),
    };
    for replica in replicas {
        let exchange = exchange(world, letter, replica);
        let answered = timeout(letter.limits.read, exchange)
            .await
            .map_err(|_| Failure::Read)?;
        match answered {
            Ok((status, content_type, body)) => {
                line.change(|view| {
                    view.requests[place].status = Some(status);
                    view.requests[place].body = String::from_utf8_lossy(&body).into_owned();
                });
                return if (200..300).contains(&status) {
                    Ok(Answer {
                        content_type,
                        body,
                        place,
                    })
                } else {
                    Err(Failure::Status(status))
                };
            }
            Err(error) if error.is_connect() => {}
            // A connection that breaks is no answer either.
            Err(_) => return Err(Failure::Read),
        }
    }
    Err(Failure::Connect)
}

async fn exchange(
    world: &World,
    letter: &Letter,
    replica: Option<SocketAddr>,
) -> reqwest::Result<(u16, String, Bytes)> {
    let mut url = letter.target.clone();
    if let Some(replica) = replica {
        // Behind the public name the way is plain, as behind a proxy that ends TLS.
        url.set_scheme("http").ok();
        url.set_ip_host(replica.ip()).ok();
        url.set_port(Some(replica.port())).ok();
    }
    let answer = world
        .client
        .post(url)
        .header(HOST, &letter.host)
        .header(
            CONTENT_TYPE,
            "application/x-www-form-urlencoded; charset=UTF-8",
        )
        .header(USER_AGENT, "TwilioProxy/1.1")
        .header("X-Twilio-Signature", &letter.signature)
        .header("I-Twilio-Idempotency-Token", &letter.token)
        .body(letter.body.clone())
        .send()
        .await?;
    let status = answer.status().as_u16();
    let content_type = answer.headers().get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    Ok((status, content_type, answer.bytes().await?))
}
