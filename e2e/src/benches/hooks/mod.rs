//! `cargo e2e bench hooks`: what the hooks add to a back end's own time, and how many notifications a pod delivers. The back end is a process of its own.
//!
//! Beside the admissions stands a bare loop: the same bodies, posted at the same pace with the same client to the same back end. What of a figure is the
//! machine's and the client's is in both.

mod admissions;
mod floor;
mod forwarding;
mod measure;
mod notifications;
pub(super) mod people;
pub mod receiver;

use super::release;
use super::results::{Figure, Results};
use crate::error::{Context as _, Error, Result};
use crate::ui::say;
use headgate_control::HookEndpoint;
use headgate_hooks::{Hooks, Place, Storage};
use headgate_hub::Traffic;
use people::server;
use receiver::Receiver;
use std::fmt::Display;
use std::path::Path;

const TRAFFIC: Traffic = Traffic {
    sent: 1_000_000,
    received: 2_000_000,
};
/// Streams that notifications are about.
const STREAMS: usize = 1000;
/// Notifications that wait while the memory is looked at.
const PENDING: usize = 100_000;
/// Of the clients; as for the pool of an endpoint.
const IN_FLIGHT: usize = 64;

/// How much is measured.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How long each figure with a pace is measured, in seconds.
    #[arg(long, default_value_t = 8)]
    seconds: u32,
    /// Admissions a second.
    #[arg(long, default_value_t = 1000)]
    rate: u32,
}

/// Measures, prints, and keeps the results.
pub async fn run(options: &Options) -> Result<()> {
    release::programs("headgate-e2e").await?;
    let receiver = Receiver::start().await?;
    let mut figures = Vec::new();
    let mut add = |found: Vec<Figure>| {
        for figure in &found {
            say(format_args!("{}: {:.3} {}", figure.what, figure.value, figure.unit));
        }
        figures.extend(found);
    };
    add(admissions::asked(options, &receiver).await?);
    add(admissions::cached(&receiver).await?);
    add(admissions::in_parallel(&receiver).await?);
    add(admissions::behind_a_breaker().await?);
    add(notifications::delivered(options, &receiver).await?);
    add(notifications::pending(&receiver).await?);
    add(forwarding::measure(&receiver).await?);
    let results = Results {
        name: "hooks",
        command: format!("cargo e2e bench hooks --seconds {} --rate {}", options.seconds, options.rate),
        setting: "Release build, receiver in a process of its own over loopback, outbox on disk (durability Process), SRS bodies unless said otherwise.".into(),
        figures,
    };
    results.save()
}

fn hooks(state: &Path, endpoints: &[HookEndpoint]) -> Result<(Hooks, prometheus::Registry)> {
    let registry = prometheus::Registry::new();
    let place = Place {
        allow_loopback: true,
        ..Place::default()
    };
    let storage = Storage {
        state: Some(state),
        seal: None,
    };
    let hooks = Hooks::new(&registry, "benchmark", &place, &storage).map_err(failed("making hooks"))?;
    hooks.reconfigure(&server(), endpoints);
    Ok((hooks, registry))
}

/// What was tried, before what came of it.
fn failed<E: Display>(what: &'static str) -> impl FnOnce(E) -> Error {
    move |cause| Error::new(format!("{what}: {cause}"))
}

fn folder() -> Result<tempfile::TempDir> {
    tempfile::tempdir().context("making a folder")
}
