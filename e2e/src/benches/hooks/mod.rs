//! `cargo e2e bench hooks`: what the hooks add to a back end's own time, and how many notifications a pod delivers. The back end is a process of its own.
//!
//! Beside the admissions stands a bare loop: the same bodies, posted at the same pace with the same client to the same back end. What of a figure is the
//! machine's and the client's is in both.

mod forwarding;
pub(super) mod people;
pub mod receiver;

use super::release;
use super::results::{Figure, Results};
use crate::error::{Context as _, Error, Result};
use crate::ui::say;
use headgate_control::{CachePolicy, Dialect, HookEndpoint, HookEvent};
use headgate_hooks::{Hooks, Place, Storage};
use headgate_hub::{SessionKind, Traffic};
use people::{endpoint, server, session};
use receiver::Receiver;
use std::fmt::Display;
use std::future::Future;
use std::path::Path;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

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
    add(admissions(options, &receiver).await?);
    add(cached(&receiver).await?);
    add(in_parallel(&receiver).await?);
    add(behind_a_breaker().await?);
    add(notifications(options, &receiver).await?);
    add(pending(&receiver).await?);
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

/// Waits for the turn of this number, when so many come in a second.
async fn until(begun: Instant, number: u32, rate: u32) {
    let turn = f64::from(number) / f64::from(rate.max(1));
    let wait = Duration::from_secs_f64(turn).saturating_sub(begun.elapsed());
    tokio::time::sleep(wait).await;
}

/// Calls at a pace, whatever becomes of those before; how long each took, from when its turn was. An error where one failed.
async fn paced<F>(rate: u32, count: u32, call: impl Fn(u32) -> F) -> Result<Times>
where
    F: Future<Output = bool> + Send + 'static,
{
    let begun = Instant::now();
    let mut calls = JoinSet::new();
    for number in 0..count {
        until(begun, number, rate).await;
        let call = call(number);
        calls.spawn(async move {
            let started = Instant::now();
            (call.await, started.elapsed())
        });
    }
    let mut times = Times::default();
    for (good, time) in calls.join_all().await {
        if !good {
            return Err(Error::new("a call failed".to_owned()));
        }
        times.0.push(time);
    }
    Ok(times.sorted())
}

/// Added latency at a pace, beside the bare loop.
async fn admissions(options: &Options, receiver: &Receiver) -> Result<Vec<Figure>> {
    let (state, url) = (folder()?, receiver.url("/yes"));
    let (hooks, _registry) = hooks(
        state.path(),
        &[endpoint("b", &url, Dialect::Srs, &[HookEvent::Publish])],
    )?;
    let count = options.rate.saturating_mul(options.seconds);
    let ask = |number: u32| {
        let hooks = hooks.clone();
        async move {
            let session = session(SessionKind::Publish, &format!("s{number}"));
            let good = hooks.publish(&session).await.is_ok();
            hooks.unpublish(&session, TRAFFIC);
            good
        }
    };
    paced(options.rate, options.rate, ask).await?;
    let asked = paced(options.rate, count, ask).await?;
    let client = reqwest::Client::builder()
        .no_proxy()
        .http1_only()
        .build()
        .map_err(failed("a client"))?;
    let body = r#"{"server_id":"vid-0xk989d","service_id":"benchmark","action":"on_publish","client_id":"3ul1iu70","ip":"127.0.0.1","vhost":"__defaultVhost__","app":"live","tcUrl":"rtmp://127.0.0.1:11935/live","stream":"s12345","param":"?token=abc&x=1","stream_url":"/live/s12345","stream_id":"vid-124q9y3"}"#;
    let post = |_| {
        let request = client.post(&url).header("content-type", "application/json").body(body);
        async move {
            let response = request.send().await;
            match response {
                Ok(response) => response.status() == 200 && response.bytes().await.is_ok(),
                Err(_) => false,
            }
        }
    };
    paced(options.rate, options.rate, post).await?;
    let bare = paced(options.rate, count, post).await?;
    let added = |of: fn(&Times) -> f64| (of(&asked) - of(&bare)).max(0.0);
    let rate = options.rate;
    Ok(vec![
        Figure::new(format!("admission at {rate}/s, whole, p50"), asked.p50(), "ms"),
        Figure::new(format!("admission at {rate}/s, whole, p99"), asked.p99(), "ms"),
        Figure::new(format!("bare loop at {rate}/s, p50"), bare.p50(), "ms"),
        Figure::new(format!("bare loop at {rate}/s, p99"), bare.p99(), "ms"),
        Figure::new("ratio of the two, p50", asked.p50() / bare.p50(), "x"),
        Figure::new("ratio of the two, p99", asked.p99() / bare.p99(), "x"),
        Figure::new("added to the bare loop, p50", added(Times::p50), "ms").goal(0.2),
        Figure::new("added to the bare loop, p99", added(Times::p99), "ms").goal(2.0),
    ])
}

/// A decision that is kept, and one that nobody has to be asked about.
async fn cached(receiver: &Receiver) -> Result<Vec<Figure>> {
    let state = folder()?;
    let mut kept = endpoint("b", &receiver.url("/yes"), Dialect::Srs, &[HookEvent::Play]);
    kept.cache = CachePolicy {
        allow_seconds: Some(600),
        ..CachePolicy::default()
    };
    let (hooks, registry) = hooks(state.path(), &[kept])?;
    let player = session(SessionKind::Play, "alice");
    let (mut hit, mut local) = (Times::default(), Times::default());
    let begun = Instant::now();
    for number in 0..5000 {
        // Paced: each hit is told to the back end as well, and that is not to be measured.
        until(begun, number, 1000).await;
        let started = Instant::now();
        hooks.play(&player).await.map_err(failed("a cached yes"))?;
        hit.0.extend((number > 0).then(|| started.elapsed()));
        let publisher = session(SessionKind::Publish, "bob");
        let started = Instant::now();
        hooks.publish(&publisher).await.map_err(failed("a local yes"))?;
        local.0.push(started.elapsed());
        hooks.unpublish(&publisher, TRAFFIC);
    }
    // What is told of those who come meanwhile is no question.
    if count(&registry, "headgate_hook_requests_total", "admission") != 1 {
        return Err(Error::new(
            "the back end was asked about a decision that was kept".to_owned(),
        ));
    }
    let (hit, local) = (hit.sorted(), local.sorted());
    Ok(vec![
        Figure::new(
            "cache hit at 1,000/s, with its entry in the ledger, p50",
            hit.p50(),
            "ms",
        ),
        Figure::new(
            "cache hit at 1,000/s, with its entry in the ledger, p99",
            hit.p99(),
            "ms",
        )
        .goal(0.1),
        Figure::new(
            "nobody to ask (stream key), with its entry in the ledger, p99",
            local.p99(),
            "ms",
        )
        .goal(0.1),
    ])
}

/// Three endpoints that take 50 ms each, asked at once.
async fn in_parallel(receiver: &Receiver) -> Result<Vec<Figure>> {
    let state = folder()?;
    let slow = |name: &str| {
        endpoint(
            name,
            &receiver.url("/wait/50"),
            Dialect::CloudEvents,
            &[HookEvent::Publish],
        )
    };
    let (hooks, _registry) = hooks(state.path(), &[slow("a"), slow("b"), slow("c")])?;
    let mut times = Times::default();
    for _ in 0..40 {
        let publisher = session(SessionKind::Publish, "alice");
        let started = Instant::now();
        hooks.publish(&publisher).await.map_err(failed("three yeses"))?;
        times.0.push(started.elapsed());
        hooks.unpublish(&publisher, TRAFFIC);
    }
    let median = times.sorted().p50();
    Ok(vec![
        Figure::new("three CloudEvents endpoints of 50 ms each, p50", median, "ms").goal(55.0),
    ])
}

/// A back end that is not there, once the breaker knows.
async fn behind_a_breaker() -> Result<Vec<Figure>> {
    let state = folder()?;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .and_then(|l| l.local_addr())
        .context("a port")?;
    let dead = endpoint("b", &format!("http://{nobody}/"), Dialect::Srs, &[HookEvent::Publish]);
    let (hooks, _registry) = hooks(state.path(), &[dead])?;
    let mut times = Times::default();
    for number in 0..2000 {
        let publisher = session(SessionKind::Publish, "alice");
        let started = Instant::now();
        if hooks.publish(&publisher).await.is_ok() {
            return Err(Error::new("nobody said yes".to_owned()));
        }
        times.0.extend((number >= 100).then(|| started.elapsed()));
    }
    Ok(vec![
        Figure::new("open breaker, a decision, p99", times.sorted().p99(), "ms").goal(1.0),
    ])
}

/// How long it takes to deliver what ten seconds of the promised pace bring, and what handing one over costs whoever does it.
async fn notifications(options: &Options, receiver: &Receiver) -> Result<Vec<Figure>> {
    let state = folder()?;
    let told = endpoint("b", &receiver.url("/yes"), Dialect::Srs, &[HookEvent::Unpublish]);
    let (hooks, registry) = hooks(state.path(), &[told])?;
    let count = 10_000_u32.saturating_mul(options.seconds);
    let sessions: Vec<_> = (0..STREAMS)
        .map(|n| session(SessionKind::Publish, &format!("s{n}")))
        .collect();
    let before = receiver.answered().await?;
    let (begun, mut handing) = (Instant::now(), Times::default());
    for number in 0..count {
        // In steps of a hundredth of a second, as sessions end in crowds.
        if number.is_multiple_of(100) {
            until(begun, number, 10_000).await;
        }
        let at = usize::try_from(number).unwrap_or(0).checked_rem(STREAMS).unwrap_or(0);
        let Some(session) = sessions.get(at) else { continue };
        let started = Instant::now();
        hooks.unpublish(session, TRAFFIC);
        handing.0.push(started.elapsed());
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
    let handing = handing.sorted();
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
        Figure::new(
            "from there to its write, share within 90 µs",
            appended_within(&registry, 0.000_09),
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
async fn pending(receiver: &Receiver) -> Result<Vec<Figure>> {
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

/// Of this process, in KiB.
fn resident() -> Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status").context("reading the status of this process")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    let number = line.trim().split(' ').next().unwrap_or_default();
    number.parse::<f64>().map_err(failed("VmRSS"))
}

/// The sum of a counter over its series that have this value as a label.
fn count(registry: &prometheus::Registry, name: &str, label: &str) -> u64 {
    let families = registry.gather();
    let series = families
        .iter()
        .filter(|f| f.name() == name)
        .flat_map(prometheus::proto::MetricFamily::get_metric);
    let meant = series.filter(|m| m.get_label().iter().any(|pair| pair.value() == label));
    let values = meant.map(|m| m.get_counter().get_value());
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small whole number"
    )]
    let sum = values.sum::<f64>() as u64;
    sum
}

/// Percent of the records that were written within so many seconds of being handed over.
fn appended_within(registry: &prometheus::Registry, seconds: f64) -> f64 {
    let families = registry.gather();
    let family = families
        .iter()
        .find(|f| f.name() == "headgate_hook_outbox_append_seconds");
    let Some(histogram) = family
        .and_then(|f| f.get_metric().first())
        .map(prometheus::proto::Metric::get_histogram)
    else {
        return 0.0;
    };
    let within = histogram
        .get_bucket()
        .iter()
        .filter(|b| b.upper_bound() <= seconds + 1e-9);
    let within = within
        .map(prometheus::proto::Bucket::cumulative_count)
        .max()
        .unwrap_or(0);
    100.0 * real(within) / real(histogram.get_sample_count().max(1))
}

fn real(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

/// How long many of a kind took.
#[derive(Default)]
struct Times(Vec<Duration>);

impl Times {
    fn sorted(mut self) -> Self {
        self.0.sort_unstable();
        self
    }

    /// Milliseconds that so many of a thousand do not exceed.
    fn quantile(&self, thousandths: usize) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let at = last.saturating_mul(thousandths).div_ceil(1000);
        self.0.get(at).map_or(f64::NAN, |time| time.as_secs_f64() * 1000.0)
    }

    fn p50(&self) -> f64 {
        self.quantile(500)
    }

    fn p99(&self) -> f64 {
        self.quantile(990)
    }
}
