//! Prometheus scrapes the operator and the media pods with the chart's configuration, and what was promised is there and moves.

use super::site::{SOON, Site};
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::harness::{Context, eventually};
use crate::http_get::{http_body, http_get};
use crate::media::{Player, Publisher};
use crate::scrape::{PROMISED, documented, from_files, metrics_named, targets};
use crate::tools::paths::{read, workspace, write};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// What it proves.
pub(super) const ABOUT: &str = "Prometheus scrapes operator and pods; every promised metric is there and moves";

/// Where this scenario's Prometheus listens.
const PROMETHEUS: &str = "127.0.0.1:19090";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    let folder = tempfile::tempdir().context("making a directory for Prometheus")?;
    let mut prometheus = start(context, folder.path()).await?;
    refuse_one(&site).await?;
    let mut publisher = Publisher::start(&site.alice().await?).await?;
    let mut player = Player::start(&site.flv("alice").await?)?;
    player.gets(10, SOON).await?;
    for (query, least) in [
        ("up{job=\"headgate-operator\"}", 1.0),
        ("up{job=\"headgate-media-pods\"}", 1.0),
        ("headgate_streams", 1.0),
        ("headgate_publishers", 1.0),
        ("headgate_viewers{protocol=\"HTTP-FLV\"}", 1.0),
        ("headgate_leader", 1.0),
        ("headgate_sessions_refused_total{reason=\"KeyWrong\"}", 1.0),
        ("headgate_hook_requests_total{outcome=\"allow\"}", 1.0),
    ] {
        at_least(query, least).await?;
    }
    for counter in [
        "headgate_ingest_bytes_total",
        "headgate_egress_bytes_total{protocol=\"HTTP-FLV\"}",
    ] {
        let now = at_least(counter, 1.0).await?;
        at_least(counter, now + 1.0).await?;
    }
    all_that_was_promised().await?;
    publisher.must_be_live()?;
    player.must_play()?;
    publisher.stop().await?;
    prometheus.kill().await.context("ending Prometheus")
}

async fn start(context: &Context, folder: &Path) -> Result<Child> {
    let config = read(&workspace().join("config/prometheus/prometheus.yaml"))?;
    let pods = context.kubectl.run(&["get", "pods", "-A", "-o", "json"]).await?;
    let found = targets(&config, &serde_json::from_str(&pods)?).map_err(|e| Error::new(e.to_string()))?;
    ensure!(found.len() == 2, "the configuration has the jobs {:?}", found.keys());
    for (job, targets) in found {
        ensure!(
            targets.as_array().is_some_and(|t| !t.is_empty()),
            "job {job} finds no pod"
        );
        write(&folder.join(format!("{job}.json")), targets.to_string())?;
    }
    let adapted = from_files(&config, &folder.to_string_lossy()).map_err(|e| Error::new(e.to_string()))?;
    write(
        &folder.join("prometheus.yaml"),
        adapted.replace("scrape_interval: 15s", "scrape_interval: 1s"),
    )?;
    write(
        &folder.join("rules.yaml"),
        read(&workspace().join("config/prometheus/rules.yaml"))?,
    )?;
    let child = Command::new("prometheus")
        .arg(format!("--config.file={}", folder.join("prometheus.yaml").display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("data").display()))
        .arg(format!("--web.listen-address={PROMETHEUS}"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting prometheus")?;
    eventually(Duration::from_secs(20), "Prometheus is ready", async || {
        http_body(PROMETHEUS, "/-/ready").await
    })
    .await?;
    Ok(child)
}

async fn refuse_one(site: &Site<'_>) -> Result<()> {
    let mut wrong = Publisher::start(&site.rtmp("alice?secret=wrong").await?).await?;
    wrong.ends_within(SOON).await.map(drop)
}

/// The first value of a query, once it is this large.
async fn at_least(query: &str, least: f64) -> Result<f64> {
    eventually(Duration::from_secs(20), &format!("{query} ≥ {least}"), async || {
        let results = ask(query).await?;
        let value = results
            .pointer("/0/value/1")
            .and_then(Value::as_str)
            .context("no such series")?;
        let value: f64 = value.parse().map_err(|_| Error::new(format!("it is {value}")))?;
        let enough = value >= least;
        ensure!(enough, "it is {value}");
        Ok(value)
    })
    .await
}

async fn ask(query: &str) -> Result<Value> {
    let encoded = query
        .bytes()
        .fold(String::new(), |text, byte| text + &format!("%{byte:02X}"));
    let (_, body) = http_get(PROMETHEUS, &format!("/api/v1/query?query={encoded}")).await?;
    let answer: Value = serde_json::from_str(&body)?;
    answer
        .pointer("/data/result")
        .cloned()
        .context(format_args!("Prometheus answered {body}"))
}

async fn all_that_was_promised() -> Result<()> {
    let names = ask("group by (__name__) ({__name__=~\"headgate_.*\"})").await?;
    let there: BTreeSet<_> = names
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|r| r.pointer("/metric/__name__")?.as_str())
        .collect();
    let has = |name: &str| there.contains(name) || there.contains(format!("{name}_count").as_str());
    let missing: Vec<_> = PROMISED.iter().filter(|name| !has(name)).collect();
    ensure!(
        missing.is_empty(),
        "promised and not there: {missing:?}; there are {there:?}"
    );
    let known = documented();
    let unknown: Vec<_> = there
        .iter()
        .flat_map(|name| metrics_named(name))
        .filter(|name| !known.contains(name))
        .collect();
    ensure!(unknown.is_empty(), "not in docs/metrics.md: {unknown:?}");
    Ok(())
}
