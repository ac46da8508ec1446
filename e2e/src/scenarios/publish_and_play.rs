//! A real ffmpeg publishes and real players play, and the back end is asked and told as SRS would ask and tell it.

use super::site::{SOON, Site};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::Context;
use crate::media::{Publisher, Track, probe};
use crate::receiver::{Answer, Call};
use std::time::{Duration, Instant};

/// What it proves.
pub(super) const ABOUT: &str = "ffmpeg publishes, RTMP and HTTP-FLV play, hooks in SRS's order, fields and types";

const PUBLISH: &[&str] = &[
    "server_id",
    "service_id",
    "action",
    "client_id",
    "ip",
    "vhost",
    "app",
    "tcUrl",
    "stream",
    "param",
    "stream_url",
    "stream_id",
];
const PLAY: &[&str] = &[
    "server_id",
    "service_id",
    "action",
    "client_id",
    "ip",
    "vhost",
    "app",
    "stream",
    "tcUrl",
    "param",
    "pageUrl",
    "stream_url",
    "stream_id",
];

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    // A slow back end: nothing may look like success before it has answered.
    let delay = Duration::from_millis(1500);
    site.back_end.answer("on_publish", Answer::allow_object().after(delay));
    let begun = Instant::now();
    let mut publisher = Publisher::start(&format!("{}&x=1", site.alice().await?)).await?;
    site.back_end.wait_for("on_publish", 1, SOON).await?;
    ensure!(
        site.streams().await?.is_empty(),
        "the stream is live before the back end has answered"
    );
    site.stream().await?;
    ensure!(
        begun.elapsed() >= delay,
        "the stream was live before the back end had answered"
    );

    for url in [site.rtmp("alice").await?, site.flv("alice").await?] {
        let tracks = probe(&url).await?;
        let seen: Vec<_> = tracks
            .iter()
            .map(|t: &Track| (t.codec.as_str(), t.width, t.height))
            .collect();
        ensure!(
            seen == [("h264", Some(640), Some(360)), ("aac", None, None)],
            "{url} gave {seen:?}"
        );
    }
    publisher.must_be_live()?;
    site.back_end.wait_for("on_stop", 2, SOON).await?;
    publisher.stop().await?;
    site.back_end.wait_for("on_unpublish", 1, SOON).await?;
    site.no_streams().await?;
    // Long enough for a doubled event to come.
    tokio::time::sleep(Duration::from_secs(2)).await;
    told_as_srs_tells(&site.back_end.calls(), &site.key("alice-key").await?)
}

fn told_as_srs_tells(calls: &[Call], key: &str) -> Result<()> {
    let events: Vec<_> = calls.iter().map(|c| c.event.as_str()).collect();
    ensure!(
        events == ["on_publish", "on_play", "on_stop", "on_play", "on_stop", "on_unpublish"],
        "the events came as {events:?}"
    );
    let [publish, rtmp_play, rtmp_stop, flv_play, flv_stop, unpublish] = calls else {
        return Ok(());
    };
    for (call, fields) in [
        (publish, PUBLISH),
        (unpublish, PUBLISH),
        (rtmp_play, PLAY),
        (rtmp_stop, PUBLISH),
        (flv_play, PLAY),
        (flv_stop, PUBLISH),
    ] {
        let body = call.json();
        let object = body.as_object().context(format_args!("{} has no object", call.event))?;
        let names: Vec<_> = object.keys().map(String::as_str).collect();
        ensure!(names == fields, "{} has the fields {names:?}", call.event);
        ensure!(
            object.values().all(serde_json::Value::is_string),
            "{} has a field that is no text: {body}",
            call.event
        );
        ensure!(!body.to_string().contains(key), "{} shows the stream key", call.event);
        let field = |name: &str| call.field(name).unwrap_or_default();
        ensure!(
            field("app") == "live" && field("stream") == "alice" && field("stream_url") == "/live/alice",
            "{} says {body}",
            call.event
        );
        ensure!(
            field("client_id").len() == 8,
            "{} has client_id {:?}",
            call.event,
            field("client_id")
        );
    }
    ensure!(
        publish.field("param").as_deref() == Some("?x=1"),
        "on_publish has param {:?}",
        publish.field("param")
    );
    for (opening, closing) in [(publish, unpublish), (rtmp_play, rtmp_stop), (flv_play, flv_stop)] {
        for id in [
            "client_id",
            "server_id",
            "service_id",
            "stream_id",
            "vhost",
            "param",
            "ip",
        ] {
            ensure!(
                opening.field(id) == closing.field(id),
                "{} and {} differ in {id}",
                opening.event,
                closing.event
            );
        }
    }
    ensure!(
        publish.field("client_id") != rtmp_play.field("client_id"),
        "two clients have one client_id"
    );
    Ok(())
}
