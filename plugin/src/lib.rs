//! `kubectl hello`: looks after HelloServices from a terminal.
//!
//! Data flows downwards: `cli` chooses a verb, each verb has a file or a folder, and all of them use `follow` (waiting for
//! an end), `cluster` (the API server), `terminal` and `words`. What a verb shows is computed by pure functions of what
//! was read; the texts about conditions are the operator's own, and the next command of a reason comes from `hello_crds`.

mod backup;
mod backups;
mod cli;
mod cluster;
mod completion;
mod error;
mod follow;
mod logs;
mod pause;
mod promote;
mod psql;
mod restore;
mod status;
mod terminal;
mod top;
mod words;

use std::{ffi::OsString, process::ExitCode};

pub use error::Exit;
pub use terminal::Terminal;

/// Runs the program on the terminal of this process.
#[must_use]
pub fn main() -> ExitCode {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let mut terminal = Terminal::of_this_process();
    match runtime {
        Ok(runtime) => runtime
            .block_on(run(std::env::args_os(), &mut terminal))
            .into(),
        Err(error) => {
            terminal.report(&format!("error: {error}"));
            Exit::Unable.into()
        }
    }
}

/// Runs the program with these arguments, of which the first is its name.
pub async fn run(
    arguments: impl IntoIterator<Item = OsString>,
    terminal: &mut Terminal<'_>,
) -> Exit {
    match cli::run(arguments, terminal).await {
        Ok(exit) => exit,
        // As for every program of a pipe whose reader has had enough.
        Err(error::Error::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Exit::Well
        }
        Err(error) => {
            terminal.report(&format!("error: {error}"));
            error.exit()
        }
    }
}
