//! The media pod's process.

use clap::Parser;
use headgate_media_pod::cli::Cli;
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // One crypto provider for all; that it is set already means that it is the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    headgate_media_pod::nofile::raise();
    Cli::parse().run().await
}
