//! Headgate's operator: makes media pods out of MediaServers, tells them what to run, and says how they do.

mod admin;
mod attachment;
mod cache;
mod cli;
mod client;
mod cluster;
mod context;
mod events;
mod hook_endpoint;
mod lease;
mod leave;
mod link;
mod media_server;
mod metrics;
mod names;
mod namespace;
mod node;
mod orphans;
mod pace;
mod process;
mod queue;
mod rbac;
mod room;
mod routes;
mod runner;
mod standby;
mod status;
mod stream;
mod stream_key;
mod tls;

use clap::Parser as _;
use std::process::ExitCode;

/// What thousands of streams that come and go leave is given back. Built to keep one arena, and little for long: `.cargo/config.toml`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static MEMORY: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    // Before anything that speaks TLS: rustls takes the first provider it is given.
    let first = rustls::crypto::aws_lc_rs::default_provider().install_default();
    if first.is_err() {
        return ExitCode::FAILURE;
    }
    cli::Cli::parse().run().await
}
