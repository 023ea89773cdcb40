//! `claw-bus`: makes the streams, shows what could not be handled, and replays events. See `--help`.

use std::{
    io::{self, Write},
    process::ExitCode,
};

use anyhow::{Context, Result};
use claw_bus::{Bus, BusConfig, Command, Terminal, UsageError};

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let command = match Command::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(UsageError::Help) => return help(),
        Err(error) => {
            eprintln!("claw-bus: {error} (claw-bus --help tells all)");
            return ExitCode::from(2);
        }
    };
    match run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("claw-bus: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn help() -> ExitCode {
    match io::stdout().write_all(claw_bus::USAGE.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_closed) => ExitCode::FAILURE,
    }
}

async fn run(command: Command) -> Result<()> {
    let bus = Bus::connect(&BusConfig {
        url: url()?.into(),
        service: "admin",
    })
    .await?;
    let mut terminal = Terminal {
        out: &mut io::stdout(),
        remarks: &mut io::stderr(),
    };
    command.run(&bus, &mut terminal).await?;
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
