//! What is told: how fast it is delivered, what handing it over costs, and what it takes while nobody wants it.

use super::measure::{Times, appended_within, own_time, real, resident, until};
use super::people::{endpoint, session};
use super::receiver::Receiver;
use super::{IN_FLIGHT, Options, PENDING, STREAMS, TRAFFIC, failed, folder, hooks};
use crate::benches::Figure;
use crate::error::{Context as _, Error, Result};
use headgate_control::{Dialect, HookEvent};
use headgate_hub::SessionKind;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// So many end at once.
const CROWD: u32 = 100;

/// How long it takes to deliver what ten seconds of the promised pace bring, and what handing one over costs whoever does it.
pub(super) async fn delivered(options: &Options, receiver: &Receiver) -> Result<Vec<Figure>> {
    let state = folder()?;
    let told = endpoint("b", &receiver.url("/yes"), Dialect::Srs, &[HookEvent::Unpublish]);
    let (hooks, registry) = hooks(state.path(), &[told])?;
    let count = 10_000_u32.saturating_mul(options.seconds);
    let sessions: Vec<_> = (0..STREAMS)
        .map(|n| session(SessionKind::Publish, &format!("s{n}")))
        .collect();
    let before = receiver.answered().await?;
    let (begun, mut handing, mut busy) = (Instant::now(), Times::default(), Times::default());
    let (mut first, mut others) = (Times::default(), Times::default());
    for number in 0..count {
        // In steps of a hundredth of a second, as sessions end in crowds.
        let is_first = number.is_multiple_of(CROWD);
        if is_first {
            until(begun, number, 10_000).await;
        }
        let at = usize::try_from(number).unwrap_or(0).checked_rem(STREAMS).unwrap_or(0);
        let Some(session) = sessions.get(at) else { continue };
        let (started, before) = (Instant::now(), own_time());
        hooks.unpublish(session, TRAFFIC);
        let after = own_time();
        let took = started.elapsed();
        handing.0.push(took);
        let kind = if is_first { &mut first } else { &mut others };
        kind.0.push(took);
        busy.0.push(after.saturating_sub(before));
    }
    let left = hooks.flush(Duration::from_mins(1)).await;
    let took = begun.elapsed().as_secs_f64();
    let delivered = receiver.answered().await?.saturating_sub(before);
    if left > 0 || delivered < u64::from(count) {
        return Err(Error::new(format!(
            "{delivered} of {count} were delivered, {left} are left"
        )));
    }
    let bare = bare_posts(receiver, count.min(50_000)).await?;
    let (handing, busy) = (handing.sorted(), busy.sorted());
    let (first, others) = (first.sorted(), others.sorted());
    Ok(vec![
        Figure::new(
            format!("{count} notifications at 10,000/s, until the last is taken"),
            took,
            "s",
        )
        .goal(f64::from(options.seconds) + 0.5),
        Figure::new("notifications a second, reached", f64::from(count) / took, "/s"),
        Figure::new("bare loop with 64 in flight, posts a second", bare, "/s"),
        Figure::new("handing a notification over, p50", handing.p50() * 1000.0, "µs"),
        Figure::new(
            "handing a notification over (what ends a session pays), p99",
            handing.p99() * 1000.0,
            "µs",
        )
        .goal(10.0),
        Figure::new("the same, time of the processor alone, p99", busy.p99() * 1000.0, "µs"),
        Figure::new(
            format!("the same, of the first of each {CROWD}, p50"),
            first.p50() * 1000.0,
            "µs",
        ),
        Figure::new("the same, of the others, p99", others.p99() * 1000.0, "µs"),
        Figure::new(
            "from there to its write, share within 3 ms",
            appended_within(&registry, 0.003),
            "%",
        ),
    ])
}

/// As fast as the client can with as many in flight as the hooks may have.
async fn bare_posts(receiver: &Receiver, count: u32) -> Result<f64> {
    let client = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .build()
        .map_err(failed("a client"))?;
    let (url, begun) = (receiver.url("/yes"), Instant::now());
    let mut lanes = JoinSet::new();
    for _ in 0..IN_FLIGHT {
        let (client, url) = (client.clone(), url.clone());
        let share = usize::try_from(count).unwrap_or(0) / IN_FLIGHT;
        lanes.spawn(async move {
            for _ in 0..share {
                let body = "x".repeat(400);
                if let Ok(response) = client.post(&url).body(body).send().await {
                    let _ = response.bytes().await;
                }
            }
        });
    }
    lanes.join_all().await;
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// Memory for what a back end that hangs does not take.
pub(super) async fn pending(receiver: &Receiver) -> Result<Vec<Figure>> {
    let state = folder()?;
    let deaf = endpoint("b", &receiver.url("/hang"), Dialect::Srs, &[HookEvent::Unpublish]);
    let (hooks, _registry) = hooks(state.path(), &[deaf])?;
    let before = resident()?;
    for number in 0..PENDING {
        hooks.unpublish(&session(SessionKind::Publish, &format!("s{number}")), TRAFFIC);
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mebibytes = (resident()? - before) / 1024.0;
    let waiting = hooks.reports().first().map_or(0, |report| report.pending);
    if usize::try_from(waiting).unwrap_or(0) != PENDING {
        return Err(Error::new(format!("{waiting} are pending, not {PENDING}")));
    }
    drop(hooks);
    // Calls that are under way end with it, and then nobody has the folder.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let mut figures = vec![Figure::new("memory for 100,000 pending notifications", mebibytes, "MiB").goal(64.0)];
    figures.extend(after_a_restart(receiver, state.path()).await?);
    Ok(figures)
}

/// Another process on the same folder, with a back end that takes what waits.
async fn after_a_restart(receiver: &Receiver, state: &Path) -> Result<Vec<Figure>> {
    let told = endpoint("b", &receiver.url("/yes"), Dialect::Srs, &[HookEvent::Unpublish]);
    let (before, begun) = (receiver.answered().await?, Instant::now());
    let (hooks, _registry) = hooks(state, &[told])?;
    let mut first = None;
    while first.is_none() && begun.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(5)).await;
        first = (receiver.answered().await? > before).then(|| begun.elapsed().as_secs_f64());
    }
    let first = first.context("nothing came after the restart")?;
    let left = hooks.flush(Duration::from_mins(1)).await;
    let took = begun.elapsed().as_secs_f64();
    let came = receiver.answered().await?.saturating_sub(before);
    if left > 0 || came < u64::try_from(PENDING).unwrap_or(u64::MAX) {
        return Err(Error::new(format!("{came} came after the restart, {left} are left")));
    }
    Ok(vec![
        Figure::new("restart with 100,000 pending: until the first is taken", first, "s").goal(1.0),
        Figure::new("restart with 100,000 pending: until the last is taken", took, "s").goal(20.0),
        Figure::new("the same, notifications a second", real(came) / took, "/s"),
    ])
}
