//! What is asked: how long a decision takes, whoever makes it.

use super::measure::{Times, count, paced, until};
use super::people::{endpoint, session};
use super::receiver::Receiver;
use super::{Options, TRAFFIC, failed, floor, folder, hooks};
use crate::benches::Figure;
use crate::error::{Context as _, Error, Result};
use headgate_control::{CachePolicy, Dialect, HookEvent};
use headgate_hub::SessionKind;
use std::time::Instant;

/// Added latency at a pace, beside the bare loop.
pub(super) async fn asked(options: &Options, receiver: &Receiver) -> Result<Vec<Figure>> {
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
pub(super) async fn cached(receiver: &Receiver) -> Result<Vec<Figure>> {
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
    let (hit, local, floor) = (hit.sorted(), local.sorted(), floor::measure(5000).await?);
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
        Figure::new(
            "floor of both: a record handed to another thread, written by it, and its word waited for, p50",
            floor.p50(),
            "ms",
        ),
        Figure::new("the same, p99", floor.p99(), "ms"),
    ])
}

/// Three endpoints that take 50 ms each, asked at once.
pub(super) async fn in_parallel(receiver: &Receiver) -> Result<Vec<Figure>> {
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
pub(super) async fn behind_a_breaker() -> Result<Vec<Figure>> {
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
