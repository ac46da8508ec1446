//! Several pods act as one server: what one takes in, each gives out, and a name has one publisher among them all.

mod autoscaler;

use super::fleet::{Pod, origin_and_other, scale};
use super::site::{SOON, Site, becomes, operators};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::harness::{Context, eventually};
use crate::http_get::{http_body, http_get};
use crate::media::{Player, Publisher, probe};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

/// What it proves.
pub(super) const ABOUT: &str = "kubectl scale, autoscaling by viewers: each pod plays what any pod takes in, one publisher a name, also without an operator";

const ANYONE: &str = "
apiVersion: headgate.dev/v1alpha1
kind: StreamKey
metadata: {name: rooms}
spec: {serverRefs: [{name: live}], stream: {app: live, name: 'room-*'}, secretRef: {name: rooms-key}}
";

/// The scenario.
pub(super) async fn run(context: &Context) -> Result<()> {
    let site = Site::quickstart(context).await?;
    scale(context, 2).await?;
    context.apply(ANYONE).await?;
    becomes(context, "streamkey", "rooms", "Programmed", "True", SOON).await?;
    let key = site.key("rooms-key").await?;

    let mut publisher = Publisher::start(&site.alice().await?).await?;
    site.stream().await?;
    autoscaler::within_bounds(context).await?;
    publisher.must_be_live()?;
    let (origin, edge) = origin_and_other(context, &site.stream().await?).await?;
    plays_from_each(&site, &origin, &edge).await?;
    hls_through_the_service(&site).await?;
    viewers_are_summed(&site, &origin, &edge).await?;
    publisher.must_be_live()?;

    one_of_two(context, &site, &origin, &edge, &key).await?;
    takeover(context, &site, &origin, &edge, &key).await?;
    without_operator(context, &origin, &edge, &key).await?;
    autoscaler::by_viewers(context).await?;
    publisher.must_be_live()?;
    publisher.stop().await
}

/// Over every output, with the viewer's hooks from where the viewer is.
async fn plays_from_each(site: &Site<'_>, origin: &Pod, edge: &Pod) -> Result<()> {
    let urls = [
        origin.rtmp("alice"),
        edge.rtmp("alice"),
        origin.flv("alice"),
        edge.flv("alice"),
    ];
    for url in &urls {
        let tracks = probe(url).await?;
        let codecs: Vec<_> = tracks.iter().map(|t| t.codec.as_str()).collect();
        ensure!(codecs == ["h264", "aac"], "{url} gave {codecs:?}");
    }
    site.back_end.wait_for("on_stop", urls.len(), SOON).await?;
    let plays = site.back_end.calls_of("on_play");
    ensure!(plays.len() == urls.len(), "{} players were asked about", plays.len());
    let publishes = site.back_end.calls_of("on_publish").len();
    ensure!(
        publishes == 1,
        "{publishes} publishers were asked about: a relay is none"
    );
    let ids: Vec<_> = plays.iter().filter_map(|c| c.field("stream_id")).collect();
    ensure!(
        ids.iter().all(|id| Some(id) == ids.first()),
        "one stream has the ids {ids:?}"
    );
    Ok(())
}

/// A viewer whose every request is a new connection, which may reach either pod: one session, playlists that only grow, and segments that are there.
async fn hls_through_the_service(site: &Site<'_>) -> Result<()> {
    let address = site.address("http").await?;
    let before = site.back_end.calls_of("on_play").len();
    let master = eventually(SOON, "a viewer of HLS is let in", async || {
        http_body(&address, "/live/alice.m3u8").await
    })
    .await?;
    let own = last_line(&master)?.trim_start_matches("./").to_owned();
    let (mut newest, mut segments) = (0, BTreeSet::new());
    for _ in 0..30 {
        let playlist = http_body(&address, &format!("/live/{own}")).await?;
        let number = playlist
            .lines()
            .find_map(|line| line.strip_prefix("#EXT-X-MEDIA-SEQUENCE:"));
        let number: u64 = number.and_then(|n| n.parse().ok()).context("no media sequence")?;
        ensure!(number >= newest, "the playlist went back from {newest} to {number}");
        newest = number;
        let segment = format!("/live/alice/{}", last_line(&playlist)?);
        let (status, _) = http_get(&address, &segment).await?;
        ensure!(status == 200, "{segment} is answered {status}");
        segments.insert(segment);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    ensure!(
        segments.len() <= 5,
        "six seconds had {} segments of two",
        segments.len()
    );
    let plays = site.back_end.calls_of("on_play").len().saturating_sub(before);
    ensure!(plays <= 2, "one viewer was asked about {plays} times");
    Ok(())
}

fn last_line(playlist: &str) -> Result<&str> {
    let last = playlist.lines().rfind(|line| !line.starts_with('#'));
    last.context(format_args!("nothing is in {playlist:?}"))
}

async fn viewers_are_summed(site: &Site<'_>, origin: &Pod, edge: &Pod) -> Result<()> {
    let (mut here, mut there) = (
        Player::start(&origin.rtmp("alice"))?,
        Player::start(&edge.rtmp("alice"))?,
    );
    here.gets(10, SOON).await?;
    there.gets(10, SOON).await?;
    eventually(SOON, "the Stream counts the viewers of both pods", async || {
        let stream = site.stream().await?;
        let viewers = stream.pointer("/status/viewers").cloned().unwrap_or_default();
        ensure!(viewers.to_string().contains('2'), "viewers are {viewers}");
        Ok(())
    })
    .await?;
    here.stop().await?;
    there.stop().await
}

/// Two publishers start at the same instant, each at another pod.
async fn one_of_two(context: &Context, site: &Site<'_>, a: &Pod, b: &Pod, key: &str) -> Result<()> {
    for round in 0..3 {
        let name = format!("room-{round}?secret={key}");
        let (first, second) = (a.rtmp(&name), b.rtmp(&name));
        let (first, second) = tokio::join!(Publisher::start(&first), Publisher::start(&second));
        let (mut first, mut second) = (first?, second?);
        tokio::time::sleep(Duration::from_secs(2)).await;
        let lives = [first.must_be_live().is_ok(), second.must_be_live().is_ok()];
        ensure!(
            lives[0] != lives[1],
            "of two publishers at the same instant live: {lives:?}; {}; {}",
            first.log(),
            second.log()
        );
        let loser = if lives[0] { second.log() } else { first.log() };
        ensure!(loser.contains("NameBusy"), "the other one was told: {loser}");
        drop((first, second));
    }
    let told = |event: &str| {
        site.back_end
            .calls_of(event)
            .iter()
            .filter(|c| c.field("stream").is_some_and(|s| s.starts_with("room-")))
            .count()
    };
    eventually(SOON, "each that was let in was told of once", async || {
        let (publishes, unpublishes) = (told("on_publish"), told("on_unpublish"));
        ensure!(
            publishes == 3 && unpublishes == 3,
            "{publishes} on_publish, {unpublishes} on_unpublish"
        );
        Ok(())
    })
    .await?;
    eventually(SOON, "only alice is live", async || {
        let names: Vec<Value> = context
            .kubectl
            .list("streams.headgate.dev", &context.namespace, "")
            .await?;
        ensure!(names.len() == 1, "{} Streams", names.len());
        Ok(())
    })
    .await
}

/// With Takeover the newcomer wins, wherever the older one is.
async fn takeover(context: &Context, site: &Site<'_>, a: &Pod, b: &Pod, key: &str) -> Result<()> {
    let policy = |value: &str| json!({"spec": {"publish": {"onConflict": value}}});
    let patch = async |value: &str| {
        context
            .kubectl
            .patch("mediaserver", &context.namespace, "live", &policy(value))
            .await?;
        tokio::time::sleep(Duration::from_secs(2)).await;
        becomes(context, "mediaserver", "live", "Ready", "True", SOON)
            .await
            .map(drop)
    };
    patch("Takeover").await?;
    let name = format!("room-t?secret={key}");
    let mut older = Publisher::start(&a.rtmp(&name)).await?;
    let mut viewer = Player::start(&a.flv("room-t"))?;
    viewer.gets(25, SOON).await?;
    let mut newer = Publisher::start(&b.rtmp(&name)).await?;
    older.ends_within(SOON).await?;
    newer.must_be_live()?;
    viewer.gets(50, SOON).await?;
    newer.must_be_live()?;
    newer.stop().await?;
    let told = || {
        site.back_end
            .calls_of("on_unpublish")
            .iter()
            .filter(|c| c.field("stream").as_deref() == Some("room-t"))
            .count()
    };
    eventually(SOON, "both ends are told", async || {
        ensure!(told() == 2, "on_unpublish came {} times", told());
        Ok(())
    })
    .await?;
    patch("Reject").await
}

/// The pods need nobody.
async fn without_operator(context: &Context, a: &Pod, b: &Pod, key: &str) -> Result<()> {
    operators(context, 0).await?;
    let mut publisher = Publisher::start(&b.rtmp(&format!("room-o?secret={key}"))).await?;
    let mut player = Player::start(&a.rtmp("room-o"))?;
    player.gets(25, SOON).await?;
    let mut second = Publisher::start(&a.rtmp(&format!("room-o?secret={key}"))).await?;
    let (_, log) = second.ends_within(SOON).await?;
    ensure!(log.contains("NameBusy"), "a second publisher was told: {log}");
    publisher.must_be_live()?;
    player.gets(25, SOON).await?;
    publisher.stop().await?;
    operators(context, 1).await
}
