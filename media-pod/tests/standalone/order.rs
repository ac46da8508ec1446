//! The order in which a back end hears of ends that are not the client's own will, and of streams that share a name in different virtual hosts.

use crate::back_end::{BackEnd, text};
use crate::client::RtmpClient;
use crate::place::{Place, hook, manifest};
use crate::timing;
use headgate_rtmp::client::Event;
use std::time::{Duration, Instant};

/// Everybody may come, and `rest` of the server besides.
async fn place(back_end: &BackEnd, rest: &str) -> Place {
    let place = timing::place(rest).await;
    place.put_in_force("hook", &hook("backend", &back_end.url)).await;
    place
}

async fn at_its_end(client: &mut RtmpClient) {
    while client
        .event()
        .await
        .is_some_and(|event| !matches!(event, Event::Refused { .. }))
    {}
}

/// `on_publish` and so on, each with the one of `clients` that it is about.
fn told(back_end: &BackEnd, clients: &[String]) -> Vec<String> {
    let calls = back_end.calls();
    let of_sessions = calls
        .iter()
        .filter(|call| !["on_connect", "on_close"].contains(&text(call, "action")));
    of_sessions
        .map(|call| {
            let who = clients.iter().position(|id| id == text(call, "client_id"));
            format!(
                "{} {}",
                text(call, "action"),
                who.map_or("?".into(), |at| at.to_string())
            )
        })
        .collect()
}

/// The clients that were let in, in the order in which they were.
fn clients(back_end: &BackEnd) -> Vec<String> {
    let calls = back_end.calls();
    let asked = calls
        .iter()
        .filter(|call| ["on_publish", "on_play"].contains(&text(call, "action")));
    asked.map(|call| text(call, "client_id").to_owned()).collect()
}

#[tokio::test]
async fn who_is_ended_on_purpose_has_its_end_told_once_and_behind_its_beginning() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end, "").await;
    let mut publisher = RtmpClient::publish(place.rtmp, "test").await.unwrap();
    let mut player = RtmpClient::play(place.rtmp, "test").await.unwrap();
    back_end.hears("on_play test").await;
    assert!(place.pod.kick(place.pod.report().streams[0].session));
    at_its_end(&mut publisher).await;
    back_end.hears("on_unpublish test").await;
    let again = RtmpClient::publish(place.rtmp, "test").await.unwrap();
    // Who plays stays for the next one.
    while !matches!(player.event().await.expect("the player is cut"), Event::Audio { .. }) {}
    again.unpublish().await;
    drop(player);
    back_end.hears("on_stop test").await;
    let clients = clients(&back_end);
    let expected = [
        "on_publish 0",
        "on_play 1",
        "on_unpublish 0",
        "on_publish 2",
        "on_unpublish 2",
        "on_stop 1",
    ];
    wait_for(|| told(&back_end, &clients).len() >= expected.len()).await;
    let mut heard = told(&back_end, &clients);
    // The last two are of clients that left at once.
    heard[4..].sort_by(|a, b| b.cmp(a));
    assert_eq!(heard, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn publishers_that_vanish_behind_their_last_words_are_missed_at_once() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end, "").await;
    let mut publishers = Vec::new();
    for number in 0..50 {
        publishers.push(RtmpClient::publish(place.rtmp, &format!("test{number}")).await.unwrap());
    }
    wait_for(|| place.pod.report().streams.len() == 50).await;
    for mut publisher in publishers {
        publisher.send_audio().await;
        drop(publisher);
    }
    let vanished = Instant::now();
    wait_for(|| place.pod.report().streams.is_empty()).await;
    assert!(vanished.elapsed() < Duration::from_secs(1), "{:?}", vanished.elapsed());
}

#[tokio::test]
async fn a_publisher_that_takes_over_is_asked_about_before_the_other_is_told_to_have_ended() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end, "").await;
    take_over(&place, "Takeover").await;
    let mut first = RtmpClient::publish(place.rtmp, "test").await.unwrap();
    let mut second = RtmpClient::publish(place.rtmp, "test").await.unwrap();
    at_its_end(&mut first).await;
    back_end.hears("on_unpublish test").await;
    assert!(second.is_live().await);
    second.unpublish().await;
    let clients = clients(&back_end);
    wait_for(|| told(&back_end, &clients).len() == 4).await;
    let heard = told(&back_end, &clients);
    assert_eq!(
        heard,
        ["on_publish 0", "on_publish 1", "on_unpublish 0", "on_unpublish 1"]
    );
}

#[tokio::test]
async fn nobody_is_asked_about_a_publisher_whose_name_is_busy() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end, "").await;
    let first = RtmpClient::publish(place.rtmp, "test").await.unwrap();
    let refusal = RtmpClient::publish(place.rtmp, "test").await.err().unwrap();
    assert!(refusal.starts_with("NameBusy"), "{refusal}");
    first.unpublish().await;
    back_end.hears("on_unpublish test").await;
    let clients = clients(&back_end);
    assert_eq!(told(&back_end, &clients), ["on_publish 0", "on_unpublish 0"]);
}

/// Sets what becomes of a publisher for a name that is live.
async fn take_over(place: &Place, on_conflict: &str) {
    let spec = format!(
        "listeners: [{{name: rtmp, protocol: RTMP, port: {}}}, {{name: http, protocol: HTTP, port: {}}}], publish: {{authentication: None, onConflict: {on_conflict}}}",
        place.rtmp, place.http
    );
    place
        .put_in_force("server", &manifest("MediaServer", "live", &spec))
        .await;
}

async fn wait_for(is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(10), "it did not come to be so");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Status and beginning of what a viewer gets who asks at this host.
async fn got(place: &Place, host: &str, path: &str) -> u16 {
    let url = format!("http://127.0.0.1:{}{path}", place.http);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let asked = client
        .get(url)
        .header("host", host)
        .timeout(Duration::from_secs(2))
        .send()
        .await;
    asked.map_or(0, |answer| answer.status().as_u16())
}

#[tokio::test]
async fn streams_of_one_name_in_several_virtual_hosts_have_nothing_to_do_with_each_other() {
    let back_end = BackEnd::start().await;
    let place = place(&back_end, "vhosts: [a.example, b.example]").await;
    let mut one = RtmpClient::publish(place.rtmp, "test?vhost=a.example").await.unwrap();
    let other = RtmpClient::publish(place.rtmp, "test?vhost=b.example").await.unwrap();
    let unknown = RtmpClient::publish(place.rtmp, "test?vhost=c.example").await.unwrap();
    let busy = RtmpClient::publish(place.rtmp, "test?vhost=b.example")
        .await
        .err()
        .unwrap();
    assert!(busy.starts_with("NameBusy"), "{busy}");
    let mut live: Vec<String> = place
        .pod
        .report()
        .streams
        .iter()
        .map(|stream| stream.vhost.clone())
        .collect();
    live.sort();
    assert_eq!(live, ["__defaultVhost__", "a.example", "b.example"]);

    other.unpublish().await;
    unknown.unpublish().await;
    wait_for(|| place.pod.report().streams.len() == 1).await;
    let mut player = RtmpClient::play(place.rtmp, "test?vhost=a.example").await.unwrap();
    for _ in 0..20 {
        one.send_audio().await;
    }
    while !matches!(player.event().await.expect("the player is cut"), Event::Audio { .. }) {}
    for (host, path, status) in [
        ("a.example", "/live/test.flv", 200),
        ("a.example:8080", "/live/test.flv", 200),
        ("127.0.0.1", "/live/test.flv?vhost=a.example", 200),
        ("b.example", "/live/test.flv", 0),
        ("127.0.0.1", "/live/test.flv", 0),
    ] {
        one.send_audio().await;
        assert_eq!(got(&place, host, path).await, status, "{host} {path}");
    }
    drop(player);
    one.unpublish().await;
    let of = |vhost: &str, action: &str| {
        let calls = back_end.calls();
        calls
            .iter()
            .filter(|call| text(call, "vhost") == vhost && text(call, "action") == action)
            .count()
    };
    for vhost in ["a.example", "b.example", "__defaultVhost__"] {
        wait_for(|| of(vhost, "on_unpublish") == 1).await;
        assert_eq!(of(vhost, "on_publish"), 1, "{vhost}");
    }
    let calls = back_end.calls();
    let asked = calls
        .iter()
        .find(|call| text(call, "vhost") == "a.example" && text(call, "action") == "on_publish");
    assert_eq!(text(asked.unwrap(), "stream_url"), "a.example/live/test");
}

#[tokio::test]
async fn a_stream_that_nobody_plays_is_asked_about_after_twenty_seconds_and_ended_if_so_said() {
    let back_end = BackEnd::start().await;
    back_end.answer(axum::http::StatusCode::OK, r#"{"code":0,"close":true}"#);
    let place = timing::place("").await;
    let spec = format!(
        "serverRefs: [{{name: live}}], dialect: ZLMediaKit, urls: ['{}'], events: [StreamNoneReader]",
        back_end.url
    );
    place
        .put_in_force("hook", &manifest("HookEndpoint", "zlm", &spec))
        .await;
    let mut publisher = RtmpClient::publish(place.rtmp, "test").await.unwrap();
    let player = RtmpClient::play(place.rtmp, "test").await.unwrap();
    for _ in 0..30 {
        assert!(publisher.is_live().await);
    }
    drop(player);
    let left = Instant::now();
    while publisher.is_live().await {
        assert!(left.elapsed() < Duration::from_secs(30), "it goes on");
    }
    // It is looked every second, and a player whose connection is gone is noticed at once.
    let after = left.elapsed();
    assert!(
        after >= Duration::from_secs(19) && after < Duration::from_secs(24),
        "{after:?}"
    );
    let calls = back_end.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
    assert_eq!((text(&calls[0], "schema"), text(&calls[0], "stream")), ("rtmp", "test"));
}
