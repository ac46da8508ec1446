//! What the back ends of all dialects hear of the same sessions, at once: each its own events, in its own words, and each end of each beginning once.

use crate::back_end::{BackEnd, text};
use crate::client::RtmpClient;
use crate::place::{Place, key, manifest};
use axum::http::StatusCode;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// One of each dialect, and a publisher that all of them let in.
struct Stage {
    place: Place,
    srs: BackEnd,
    srs_v1: BackEnd,
    zlm: BackEnd,
    oryx: BackEnd,
    native: BackEnd,
    publisher: RtmpClient,
}

async fn back_end(yes: &'static str) -> BackEnd {
    let back_end = BackEnd::start().await;
    back_end.answer(StatusCode::OK, yes);
    back_end
}

fn hook(name: &str, dialect: &str, events: &str, to: &BackEnd) -> String {
    let spec = format!(
        "serverRefs: [{{name: live}}], dialect: {dialect}, urls: ['{}'], events: [{events}]",
        to.url
    );
    manifest("HookEndpoint", name, &spec)
}

impl Stage {
    async fn set() -> Self {
        let code = r#"{"code":0}"#;
        let (srs, srs_v1, zlm, oryx) = (
            back_end(code).await,
            back_end("0").await,
            back_end(code).await,
            back_end(code).await,
        );
        let native = back_end(r#"{"allow":true}"#).await;
        let sessions = "Connect, Close, Publish, Unpublish, Play, Stop";
        let of_zlm = "Publish, Play, StreamChanged, FlowReport, ServerStarted, ServerExited, RecordTs";
        let of_native = format!("{sessions}, StreamChanged, Hls, ServerStarted, ServerExited");
        let place = Place::start(&[
            ("key", key("alice", "s3cr3t-of-alice")),
            ("a", hook("a", "SRS", &format!("{sessions}, Hls"), &srs)),
            ("b", hook("b", "SRSv1", sessions, &srs_v1)),
            ("c", hook("c", "ZLMediaKit", of_zlm, &zlm)),
            ("d", hook("d", "Oryx", "Publish, Unpublish", &oryx)),
            ("e", hook("e", "CloudEvents", &of_native, &native)),
        ])
        .await;
        let publisher = RtmpClient::publish(place.rtmp, "test?secret=s3cr3t-of-alice&token=mine")
            .await
            .unwrap();
        Self {
            place,
            srs,
            srs_v1,
            zlm,
            oryx,
            native,
            publisher,
        }
    }

    fn back_ends(&self) -> [&BackEnd; 5] {
        [&self.srs, &self.srs_v1, &self.zlm, &self.oryx, &self.native]
    }

    /// The publisher goes on until it is so.
    async fn play_on(&mut self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        while !is_so(self) {
            assert!(start.elapsed() < Duration::from_secs(15), "not {what}");
            self.publisher.send_audio().await;
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn until_srs(&mut self, line: &str, count: usize) {
        self.play_on(line, |stage| {
            let heard = stage.srs.heard();
            heard.iter().filter(|one| *one == line).count() >= count
        })
        .await;
    }
}

/// Reads the first bytes of a stream over HTTP.
async fn watch(port: u16, path: &str, headers: &str) -> TcpStream {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut first = [0; 12];
    socket.read_exact(&mut first).await.unwrap();
    assert!(
        first.starts_with(b"HTTP/1.1 200") || first.starts_with(b"HTTP/1.1 101"),
        "{first:?}"
    );
    socket
}

const WEBSOCKET: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// One publisher; a player over RTMP, HTTP-FLV, WS-FLV and HLS, one after the other; the end of all.
async fn play(stage: &mut Stage) {
    let (rtmp, http) = (stage.place.rtmp, stage.place.http);
    let player = RtmpClient::play(rtmp, "test?u=rtmp").await.unwrap();
    drop(player);
    stage.until_srs("on_stop test", 1).await;
    stage.until_srs("on_close", 1).await;
    let flv = tokio::spawn(watch(http, "/live/test.flv?u=flv", ""));
    stage.play_on("seen", |_| flv.is_finished()).await;
    drop(flv.await.unwrap());
    stage.until_srs("on_stop test", 2).await;
    let socket = tokio::spawn(watch(http, "/live/test.flv?u=ws", WEBSOCKET));
    stage.play_on("seen", |_| socket.is_finished()).await;
    drop(socket.await.unwrap());
    stage.until_srs("on_stop test", 3).await;
    let playlist = tokio::spawn(reqwest::get(format!("http://127.0.0.1:{http}/live/test.m3u8?u=hls")));
    stage.play_on("cut", |_| playlist.is_finished()).await;
    assert_eq!(playlist.await.unwrap().unwrap().status(), 200);
    stage.place.pod.stop().await;
}

/// What each call says, one after the other, without what is told of segments.
fn words(back_end: &BackEnd, word: impl Fn(&Value) -> String) -> Vec<String> {
    let all = back_end.calls().iter().map(word).collect::<Vec<_>>();
    all.into_iter().filter(|word| !word.starts_with("segment")).collect()
}

fn of_srs(call: &Value) -> String {
    match text(call, "action") {
        "on_hls" => "segment".into(),
        action => format!("{action} {}{}", text(call, "stream"), text(call, "param"))
            .trim_end()
            .to_owned(),
    }
}

fn of_zlm(call: &Value) -> String {
    let has = |key: &str| call.get(key).is_some();
    let (protocol, params) = (text(call, "protocol"), text(call, "params"));
    match () {
        () if has("general.mediaServerId") => "started".into(),
        () if has("file_name") => "segment".into(),
        () if call["regist"] == true => format!("registered {}", text(call, "schema")),
        () if call["regist"] == false => format!("gone {}", text(call, "schema")),
        () if has("player") => format!("flow {protocol} {params}"),
        () if has("originType") => format!("publish {protocol} {params}"),
        () if has("params") => format!("play {protocol} {params}"),
        () => "exited".into(),
    }
}

fn of_native(call: &Value) -> String {
    let (kind, data) = (text(call, "type"), &call["data"]);
    match kind.trim_start_matches("dev.headgate.").trim_end_matches(".v1") {
        "hls" => "segment".into(),
        "stream_changed" => format!("stream_changed {}", data["live"]),
        kind @ ("server_started" | "server_exited") => kind.into(),
        kind => format!("{kind} {} {}", text(&data["client"], "protocol"), text(data, "query")),
    }
}

/// The middle of all that was heard is told to several lanes; the ends of one moment come in any order.
fn sorted(words: &[String]) -> Vec<&str> {
    let mut words: Vec<&str> = words.iter().map(String::as_str).collect();
    words.sort_unstable();
    words
}

#[tokio::test]
async fn all_five_hear_of_the_same_sessions_each_in_its_own_words() {
    let mut stage = Stage::set().await;
    play(&mut stage).await;

    let srs = words(&stage.srs, of_srs);
    let begun = [
        "on_connect test?token=mine",
        "on_publish test?token=mine",
        "on_connect test?u=rtmp",
        "on_play test?u=rtmp",
        "on_stop test?u=rtmp",
        "on_close",
        "on_play test?u=flv",
        "on_stop test?u=flv",
        "on_play test?u=ws",
        "on_stop test?u=ws",
        "on_play test.m3u8?u=hls",
    ];
    assert_eq!(srs[..begun.len()], begun);
    let ended = ["on_close", "on_stop test.m3u8?u=hls", "on_unpublish test?token=mine"];
    assert_eq!(sorted(&srs[begun.len()..]), ended);
    assert_eq!(
        srs.last().map(String::as_str),
        Some("on_close"),
        "behind its publisher's end"
    );

    let calls = stage.srs.calls();
    let tc_urls: Vec<&str> = calls
        .iter()
        .filter(|call| text(call, "action") == "on_play")
        .map(|call| text(call, "tcUrl"))
        .collect();
    let made_up = "rtmp://__defaultVhost__/live";
    let asked_by_client = format!("rtmp://127.0.0.1:{}/live", stage.place.rtmp);
    assert_eq!(
        tc_urls,
        [asked_by_client.as_str(), made_up, made_up, "http://127.0.0.1/live"]
    );

    let v1: Vec<&str> = begun
        .iter()
        .chain(&ended)
        .map(|line| line.split('?').next().unwrap())
        .collect();
    let of_v1 = |call: &Value| {
        assert!(call["client_id"].is_u64(), "{call}");
        format!("{} {}", text(call, "action"), text(call, "stream"))
            .trim_end()
            .to_owned()
    };
    let mut expected: Vec<String> = v1.iter().map(|line| line.replace(".m3u8", "")).collect();
    // The callback of then named no stream where one connects.
    expected
        .iter_mut()
        .filter(|line| line.starts_with("on_connect"))
        .for_each(|line| line.truncate("on_connect".len()));
    assert_eq!(sorted(&words(&stage.srs_v1, of_v1)), sorted(&expected));

    assert_eq!(
        words(&stage.oryx, of_srs),
        ["on_publish test?token=mine", "on_unpublish test"]
    );

    let zlm = words(&stage.zlm, of_zlm);
    let begun = ["started", "publish rtmp token=mine", "play rtmp u=rtmp"];
    assert_eq!(zlm[..begun.len()], begun);
    assert_eq!(zlm.last().map(String::as_str), Some("exited"));
    let mut expected = begun.to_vec();
    expected.extend([
        "flow rtmp u=rtmp",
        "play http u=flv",
        "flow http u=flv",
        "play ws u=ws",
        "flow ws u=ws",
    ]);
    expected.extend(["play hls u=hls", "flow hls u=hls", "flow rtmp token=mine", "exited"]);
    let schemas = ["rtmp", "ts", "fmp4", "hls"];
    let changed: Vec<String> = schemas
        .iter()
        .flat_map(|s| [format!("registered {s}"), format!("gone {s}")])
        .collect();
    expected.extend(changed.iter().map(String::as_str));
    expected.sort_unstable();
    assert_eq!(sorted(&zlm), expected);

    let native = words(&stage.native, of_native);
    let mut expected: Vec<String> = [
        "server_started",
        "stream_changed true",
        "stream_changed false",
        "server_exited",
    ]
    .map(str::to_owned)
    .to_vec();
    for (protocol, query) in [("rtmp", "u=rtmp"), ("http", "u=flv"), ("ws", "u=ws"), ("hls", "u=hls")] {
        expected.extend(["connect", "play", "stop", "close"].map(|kind| format!("{kind} {protocol} {query}")));
    }
    expected.extend(["connect", "publish", "unpublish", "close"].map(|kind| format!("{kind} rtmp token=mine")));
    assert_eq!(sorted(&native), sorted(&expected));
    assert_eq!(native.last().map(String::as_str), Some("server_exited"));

    for back_end in stage.back_ends() {
        assert_paired(back_end);
        let said = back_end.calls().iter().map(Value::to_string).collect::<String>();
        assert!(!said.contains("s3cr3t"), "a key is in it");
    }
}

/// Every session that a back end was asked about and let in has its end once, and nothing else has one.
#[track_caller]
fn assert_paired(back_end: &BackEnd) {
    let mut sessions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (session, event) in back_end.marks() {
        sessions.entry(session).or_default().push(event);
    }
    for events in sessions.values() {
        let names = || {
            events
                .iter()
                .map(|event| event.trim_start_matches("on_").trim_start_matches("dev.headgate."))
        };
        let count = |of: &[&str]| {
            names()
                .filter(|name| of.contains(&name.trim_end_matches(".v1")))
                .count()
        };
        let begun = count(&["connect", "publish", "play"]);
        let ended = count(&["close", "unpublish", "stop", "flow_report"]);
        assert!(begun == ended && begun <= 1, "{events:?}");
    }
}

#[tokio::test]
async fn segments_are_told_while_nobody_watches_and_can_be_had() {
    let mut stage = Stage::set().await;
    let count = |back_end: &BackEnd, key: &str| back_end.calls().iter().filter(|call| call.get(key).is_some()).count();
    stage
        .play_on("cut", |stage| {
            count(&stage.srs, "seq_no") >= 3
                && count(&stage.zlm, "file_name") >= 3
                && words_of_segments(&stage.native) >= 3
        })
        .await;
    let calls = stage.srs.calls();
    let told: Vec<&Value> = calls.iter().filter(|call| text(call, "action") == "on_hls").collect();
    let numbers: Vec<u64> = told.iter().map(|call| call["seq_no"].as_u64().unwrap()).collect();
    assert!(numbers.windows(2).all(|two| two[0] + 1 == two[1]), "{numbers:?}");
    let newest = told.last().unwrap();
    let length = newest["duration"].as_f64().unwrap();
    assert!((1.5..4.0).contains(&length), "{length}");
    assert_eq!(text(newest, "m3u8_url"), "live/test.m3u8");
    let url = format!("http://127.0.0.1:{}/{}", stage.place.http, text(newest, "url"));
    let segment = reqwest::get(url).await.unwrap();
    assert_eq!(segment.status(), 200);
    let size = segment.bytes().await.unwrap().len() as u64;
    let calls = stage.zlm.calls();
    let file = calls
        .iter()
        .find(|call| text(call, "url") == text(newest, "url"))
        .unwrap();
    assert_eq!(
        (file["file_size"].as_u64(), text(file, "vhost")),
        (Some(size), "__defaultVhost__")
    );
    // Who only cuts is no player.
    assert!(stage.place.pod.hub().snapshot().iter().all(|stream| !stream.taken));
    grow(&mut stage).await;
    let told = segments(&stage);
    stage.publisher.unpublish().await;
    ended_behind_its_last_segment(&stage.srs, &stage.zlm, told).await;
}

#[tokio::test]
async fn the_last_segment_is_told_before_the_end_also_when_the_pod_ends() {
    let mut stage = Stage::set().await;
    stage.play_on("cut", |stage| segments(stage) >= 2).await;
    grow(&mut stage).await;
    let told = segments(&stage);
    stage.place.pod.stop().await;
    ended_behind_its_last_segment(&stage.srs, &stage.zlm, told).await;
}

/// Segments that were told in SRS's words.
fn segments(stage: &Stage) -> usize {
    let calls = stage.srs.calls();
    calls.iter().filter(|call| text(call, "action") == "on_hls").count()
}

/// Something that is not whole yet.
async fn grow(stage: &mut Stage) {
    for _ in 0..20 {
        stage.publisher.send_audio().await;
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// What was growing is told, at once before the end of its publisher, by both who tell of segments.
async fn ended_behind_its_last_segment(srs: &BackEnd, zlm: &BackEnd, told: usize) {
    srs.hears("on_unpublish test").await;
    let start = Instant::now();
    let flow = |zlm: &BackEnd| zlm.calls().iter().position(|call| call.get("player").is_some());
    while flow(zlm).is_none() {
        assert!(start.elapsed() < Duration::from_secs(10), "no flow report");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let heard: Vec<String> = srs.calls().iter().map(of_srs).collect();
    let end = heard.iter().position(|line| line.starts_with("on_unpublish")).unwrap();
    assert_eq!(heard[end - 1], "segment", "{heard:?}");
    assert!(heard[end..].iter().all(|line| line != "segment"), "{heard:?}");
    let count = heard.iter().filter(|line| *line == "segment").count();
    assert_eq!(count, told + 1, "{heard:?}");
    let (calls, flow) = (zlm.calls(), flow(zlm).unwrap());
    assert!(calls[flow - 1].get("file_name").is_some(), "{calls:?}");
}

fn words_of_segments(back_end: &BackEnd) -> usize {
    back_end
        .calls()
        .iter()
        .filter(|call| of_native(call) == "segment")
        .count()
}
