//! `cargo e2e …`: a local Kubernetes, and the scenarios that run on it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    headgate_e2e::cli::main().await
}
