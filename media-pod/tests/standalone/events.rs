//! `hls.playlist: Event`, and how long a publisher may be silent.

use crate::client::RtmpClient;
use crate::place::{Place, manifest};
use crate::timing::{MARK, Times, place, publish};
use std::time::{Duration, Instant};

async fn text(place: &Place, path: &str) -> String {
    let url = format!("http://127.0.0.1:{}{path}", place.http);
    let answer = reqwest::get(url).await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

/// The playlist of a viewer that comes now.
async fn playlist(place: &Place) -> String {
    let master = text(place, "/live/cam.m3u8").await;
    let own = master.lines().rfind(|line| !line.starts_with('#')).unwrap();
    text(place, &format!("/live/{}", own.trim_start_matches("./"))).await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_to_an_event_can_go_back_to_its_beginning_and_to_a_live_window_not() {
    for (hls, is_event) in [
        ("playlist: Event, windowSegments: 3", true),
        ("windowSegments: 3", false),
    ] {
        let place = place(&format!("hls: {{{hls}}}")).await;
        let _publisher = publish(RtmpClient::publish(place.rtmp, "cam").await.unwrap(), Times::default());
        // Nobody watches.
        tokio::time::sleep(Duration::from_millis(8_500)).await;
        let playlist = playlist(&place).await;
        assert_eq!(
            playlist.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"),
            is_event,
            "{playlist}"
        );
        // What comes before the first picture is a segment of its own.
        let mut named = Vec::new();
        for segment in playlist.lines().filter(|line| !line.starts_with('#')) {
            let url = format!("http://127.0.0.1:{}/live/cam/{segment}", place.http);
            named.extend_from_slice(&reqwest::get(url).await.unwrap().bytes().await.unwrap());
        }
        let beginning = [MARK, b"000000"].concat();
        let has_beginning = named.windows(beginning.len()).any(|w| w == beginning);
        assert_eq!(has_beginning, is_event, "{playlist}");
        assert!(!is_event || playlist.matches("#EXTINF").count() >= 4, "{playlist}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_goes_on_when_its_publisher_comes_back_though_nobody_watched() {
    let place = place("hls: {playlist: Event, windowSegments: 3}").await;
    for _ in 0..2 {
        let publisher = publish(RtmpClient::publish(place.rtmp, "cam").await.unwrap(), Times::default());
        tokio::time::sleep(Duration::from_secs(5)).await;
        drop(publisher);
        while !place.pod.report().streams.is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    let _publisher = publish(RtmpClient::publish(place.rtmp, "cam").await.unwrap(), Times::default());
    let playlist = playlist(&place).await;
    assert!(playlist.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n"), "{playlist}");
    let (segments, breaks) = (
        playlist.matches("#EXTINF").count(),
        playlist.matches("#EXT-X-DISCONTINUITY\n").count(),
    );
    assert!(segments >= 4 && breaks >= 1, "{playlist}");
    assert!(!playlist.contains("ENDLIST"), "{playlist}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_publisher_may_be_silent_as_long_as_the_setting_says_also_when_it_changes() {
    let place = place("hls: {}").await;
    let mut publisher = RtmpClient::publish(place.rtmp, "cam").await.unwrap();
    assert!(publisher.is_live().await);
    let spec = |publish: &str| {
        let listener = format!("{{name: rtmp, protocol: RTMP, port: {}}}", place.rtmp);
        manifest(
            "MediaServer",
            "live",
            &format!("listeners: [{listener}], publish: {{authentication: None, {publish}}}"),
        )
    };
    let settings = "idleTimeoutSeconds: 1, firstPacketTimeoutSeconds: 2";
    place.put_in_force("server", &spec(settings)).await;
    publisher.send_audio().await;
    let start = Instant::now();
    while publisher.event().await.is_some() {}
    let took = start.elapsed().as_millis();
    assert!((900..4_000).contains(&took), "{took} ms of silence");
    place
        .shows_metric("headgate_sessions_ended_total{reason=\"Idle\"} 1")
        .await;
}
