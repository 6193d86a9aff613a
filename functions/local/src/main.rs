//! `event-service`: the whole service in one process.

use std::process::ExitCode;

use clap::Parser as _;
use local::options::Options;

#[tokio::main]
async fn main() -> ExitCode {
    match local::run(Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // One line that says what is wrong and what to do, for whoever sits at the terminal.
            local::terminal::complain(&error);
            ExitCode::FAILURE
        }
    }
}
