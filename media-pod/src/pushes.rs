//! Streams that go on to other servers: where a back end may send them, and the push that takes them there.

use headgate_hooks::Place;
use headgate_hooks::transport::AddressGuard;
use headgate_hub::Hub;
use headgate_relay::{Lookup, Push, PushLimits, PushMetrics};
use prometheus::{IntCounter, Registry};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// Pushes until `shutdown`, only to where hooks may go as well; the guard is told where that is.
pub(crate) fn push(
    hub: &Hub,
    place: &Place<'_>,
    registry: &Registry,
    shutdown: &CancellationToken,
) -> Result<(Push, AddressGuard), prometheus::Error> {
    let blocked = IntCounter::new(
        "headgate_push_blocked_total",
        "Addresses to push to that are never dialled.",
    )?;
    registry.register(Box::new(blocked.clone()))?;
    let guard = AddressGuard::new(place.allow_loopback, blocked).and_never(place.never);
    let push = Push::new(
        hub.clone(),
        lookup(guard.clone()),
        PushLimits::default(),
        PushMetrics::register(registry)?,
        shutdown.clone(),
    );
    Ok((push, guard))
}

fn lookup(guard: AddressGuard) -> Lookup {
    Arc::new(move |host, port| {
        let guard = guard.clone();
        Box::pin(async move {
            let addresses = guard.look_up(host).await.map_err(io::Error::other)?;
            Ok(addresses.into_iter().map(|a| SocketAddr::new(a.ip(), port)).collect())
        })
    })
}
