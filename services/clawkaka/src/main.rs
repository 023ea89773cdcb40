//! The operator's command: see the crate's documentation, or `clawkaka --help`.

use std::{env, process::ExitCode};

use claw_runtime::Env;
use clawkaka::Arguments;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = match Arguments::read(env::args_os()) {
        Ok(arguments) => arguments,
        // Prints help to stdout with status 0, and mistakes to stderr with status 2.
        Err(error) => error.exit(),
    };
    match clawkaka::run(arguments, &Env::of_process()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("clawkaka: {error:#}");
            ExitCode::FAILURE
        }
    }
}
