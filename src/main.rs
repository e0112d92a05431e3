//! The program `lipcert`: arguments in, a job done, one result and an exit status out.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod commands;
mod files;
mod output;
mod status;

use output::Output;
use status::Status;

fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return output::usage(&error).into(),
    };
    let output = Output::new(&cli.global);
    let status = commands::run(&cli, &output).unwrap_or_else(|error| {
        output.error(&error);
        Status::Fault
    });
    status.into()
}
