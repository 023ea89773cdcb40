//! `claw-bus ensure`: creates the streams and buckets, or brings them to what this version needs.

use anyhow::{Context, Result, bail};
use claw_bus::{Bus, BusConfig, ensure};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .as_slice()
    {
        ["ensure"] => ensure_streams().await,
        _ => bail!(
            "usage: claw-bus ensure   (NATS_URL or NATS_URL_FILE names the server and the admin user)"
        ),
    }
}

async fn ensure_streams() -> Result<()> {
    let bus = Bus::connect(&BusConfig {
        url: url()?.into(),
        service: "admin",
    })
    .await?;
    ensure(&bus).await?;
    Ok(())
}

#[expect(
    clippy::disallowed_methods,
    reason = "a one-shot command outside any service"
)]
fn url() -> Result<String> {
    if let Ok(url) = std::env::var("NATS_URL") {
        return Ok(url);
    }
    let file = std::env::var("NATS_URL_FILE").context("set NATS_URL or NATS_URL_FILE")?;
    let url = std::fs::read_to_string(&file).with_context(|| format!("reading {file}"))?;
    Ok(url.trim_end().to_owned())
}
