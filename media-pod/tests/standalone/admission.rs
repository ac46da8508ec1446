//! What back ends answer, asked again or not at all, as publishers and players feel it.

use crate::back_end::{BackEnd, text};
use crate::client::RtmpClient;
use crate::place::{Place, key, manifest};
use axum::http::StatusCode;
use std::time::{Duration, Instant};

fn hook(back_end: &BackEnd, rest: &str) -> String {
    let spec = format!("serverRefs: [{{name: live}}], urls: ['{}'], {rest}", back_end.url);
    manifest("HookEndpoint", "back", &spec)
}

async fn place(back_end: &BackEnd, rest: &str) -> Place {
    Place::start(&[("key", key("alice", "s3cr3t-of-alice")), ("hook", hook(back_end, rest))]).await
}

async fn publish(place: &Place, query: &str) -> Result<RtmpClient, String> {
    RtmpClient::publish(place.rtmp, &format!("test?secret=s3cr3t-of-alice{query}")).await
}

/// Waits until the name is free again.
async fn nobody(place: &Place) {
    let start = Instant::now();
    while !place.pod.hub().snapshot().is_empty() {
        assert!(start.elapsed() < Duration::from_secs(10), "somebody is there still");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until the server lets go of it.
async fn cut(client: &mut RtmpClient) {
    let start = Instant::now();
    while client.is_live().await {
        assert!(start.elapsed() < Duration::from_secs(20), "it is not cut");
    }
}

#[tokio::test]
async fn who_is_in_is_cut_when_the_back_end_says_no_the_next_time() {
    let back_end = BackEnd::start().await;
    let place = place(
        &back_end,
        "dialect: SRS, events: [Publish, Unpublish], admission: {reaskSeconds: 1}",
    )
    .await;
    let mut publisher = publish(&place, "").await.unwrap();
    while back_end.calls().len() < 3 {
        assert!(publisher.is_live().await, "a yes keeps it in");
    }
    let asked = back_end.calls();
    assert!(asked.iter().all(|call| text(call, "action") == "on_publish"));
    assert!(asked.iter().all(|call| call["client_id"] == asked[0]["client_id"]));
    back_end.answer(StatusCode::OK, r#"{"code":1}"#);
    cut(&mut publisher).await;
    back_end.hears("on_unpublish test").await;
}

#[tokio::test]
async fn a_back_end_that_is_down_is_soon_not_asked_and_the_door_is_as_the_policy_says() {
    let back_end = BackEnd::start().await;
    back_end.answer(StatusCode::BAD_GATEWAY, "");
    let place = place(&back_end, "dialect: SRS, events: [Publish]").await;
    for _ in 0..6 {
        let refused = publish(&place, "").await.err().unwrap();
        assert!(refused.starts_with("Hook"), "{refused}");
    }
    assert_eq!(back_end.calls().len(), 5);
    place.shows("CircuitOpen").await;
    let edited = hook(
        &back_end,
        "dialect: SRS, events: [Publish], admission: {failurePolicy: Ignore}",
    );
    place.put_in_force("hook", &edited).await;
    publish(&place, "").await.unwrap();
    place.shows("FailOpenActive").await;
}

#[tokio::test]
async fn a_publisher_may_be_known_without_the_back_end() {
    let back_end = BackEnd::start().await;
    let rest = "dialect: SRS, events: [Publish], admission: {failurePolicy: CachedOrFail}";
    let place = place(&back_end, rest).await;
    publish(&place, "&token=mine").await.unwrap().unpublish().await;
    nobody(&place).await;
    back_end.answer(StatusCode::BAD_GATEWAY, "");
    publish(&place, "&token=mine").await.unwrap().unpublish().await;
    nobody(&place).await;
    let refused = publish(&place, "&token=another").await.err().unwrap();
    assert!(refused.starts_with("HookBadStatus"), "{refused}");
    // Of the one that came in meanwhile it is told, as soon as it takes it.
    back_end.answer(StatusCode::OK, r#"{"code":0}"#);
    place.shows("Answering").await;
}

#[tokio::test]
async fn a_stream_is_to_be_had_as_the_answer_to_its_publisher_says() {
    let back_end = BackEnd::start().await;
    back_end.answer(
        StatusCode::OK,
        r#"{"code":0,"enable_rtmp":false,"enable_hls":0,"enable_mp4":true,"enable_rtsp":false}"#,
    );
    let rest = "dialect: ZLMediaKit, events: [Publish, Play, StreamChanged]";
    let place = place(&back_end, rest).await;
    let mut publisher = publish(&place, "").await.unwrap();
    for _ in 0..50 {
        publisher.send_audio().await;
    }
    let refused = RtmpClient::play(place.rtmp, "test").await.err().unwrap();
    assert!(refused.starts_with("StreamNotFound"), "{refused}");
    for path in ["test.flv", "test.m3u8"] {
        let answer = reqwest::get(format!("http://127.0.0.1:{}/live/{path}", place.http))
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    place
        .shows("in force in this version, are its options enable_mp4")
        .await;
    let start = Instant::now();
    while back_end.calls().len() < 3 && start.elapsed() < Duration::from_secs(10) {
        publisher.send_audio().await;
    }
    let schemas: Vec<_> = back_end.calls()[1..]
        .iter()
        .map(|call| text(call, "schema").to_owned())
        .collect();
    assert_eq!(schemas, ["ts", "fmp4"], "nobody was asked about players that cannot be");
}

#[tokio::test]
async fn files_are_asked_about_once_a_folder_and_a_no_is_one() {
    let back_end = BackEnd::start().await;
    back_end.answer(StatusCode::OK, r#"{"code":0,"err":"","path":"","second":600}"#);
    let place = place(&back_end, "dialect: ZLMediaKit, events: [HttpAccess]").await;
    let get = async |path: &str| {
        let url = format!("http://127.0.0.1:{}{path}", place.http);
        reqwest::get(url).await.unwrap().status().as_u16()
    };
    assert_eq!(
        get("/live/test/hls/0123456789abcdef0123456789abcdef-1.ts?token=a").await,
        404,
        "it may be had, and is not there"
    );
    assert_eq!(
        get("/live/test/hls/0123456789abcdef0123456789abcdef-2.ts?token=a").await,
        404
    );
    let calls = back_end.calls();
    assert_eq!(calls.len(), 1);
    assert_eq!(
        text(&calls[0], "path"),
        "/live/test/hls/0123456789abcdef0123456789abcdef-1.ts"
    );
    assert_eq!(text(&calls[0], "params"), "token=a");
    assert_eq!(
        (&calls[0]["is_dir"], text(&calls[0], "header.Accept")),
        (&false.into(), "*/*")
    );
    assert!(calls[0].get("stream").is_none());
    back_end.answer(StatusCode::OK, r#"{"code":0,"err":"pay first","second":60}"#);
    assert_eq!(
        get("/live/test/hls/0123456789abcdef0123456789abcdef-1.ts?token=b").await,
        403
    );
    assert_eq!(
        get("/live/other/hls/0123456789abcdef0123456789abcdef-1.ts?token=a").await,
        403,
        "another folder"
    );
    assert_eq!(
        get("/live/test/hls/0123456789abcdef0123456789abcdef-3.ts?token=a").await,
        404,
        "that yes still holds"
    );
    assert_eq!(back_end.calls().len(), 3);
}

#[tokio::test]
async fn who_was_asked_about_a_file_is_known_by_its_cookie_and_by_none_that_it_made_up() {
    let back_end = BackEnd::start().await;
    back_end.answer(StatusCode::OK, r#"{"code":0,"err":"","path":"/","second":600}"#);
    let place = place(&back_end, "dialect: ZLMediaKit, events: [HttpAccess, RecordTs]").await;
    let mut publisher = publish(&place, "").await.unwrap();
    let start = Instant::now();
    let told = || {
        back_end
            .calls()
            .into_iter()
            .find(|call| call.get("file_name").is_some())
    };
    while told().is_none() {
        assert!(start.elapsed() < Duration::from_secs(20), "no segment is told");
        publisher.send_audio().await;
        // As slowly that the first one is still there when it is asked for.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let url = format!("http://127.0.0.1:{}/{}", place.http, text(&told().unwrap(), "url"));
    let get = async |query: &str, cookie: &str| {
        let request = reqwest::Client::new().get(format!("{url}?{query}"));
        let answer = request.header("Cookie", cookie).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        let given = answer
            .headers()
            .get("set-cookie")
            .map(|given| given.to_str().unwrap().to_owned());
        let asked = back_end
            .calls()
            .iter()
            .filter(|call| call.get("file_path").is_some() && call.get("is_dir").is_some())
            .count();
        (given, asked)
    };
    let (given, asked) = get("token=a", "x=y").await;
    assert_eq!(asked, 1);
    let given = given.expect("a cookie");
    assert!(
        given.starts_with("ZLM_HTTP_COOKIE=") && given.contains("; HttpOnly"),
        "{given}"
    );
    let cookie = given.split(';').next().unwrap();
    assert_eq!(
        get("token=b", &format!("x=y; {cookie}")).await,
        (None, 1),
        "known, whatever it asks with"
    );
    let (another, asked) = get("token=b", "ZLM_HTTP_COOKIE=mine").await;
    assert_eq!(asked, 2);
    assert_ne!(another.as_deref(), Some(given.as_str()));
}

#[tokio::test]
async fn a_stream_is_pushed_on_to_where_the_back_end_says_and_no_longer_than_it_lives() {
    let back_end = BackEnd::start().await;
    let other = place(&back_end, "dialect: SRS, events: [Close], suspend: true").await;
    let target = format!("rtmp://127.0.0.1:{}/live/test?secret=s3cr3t-of-alice", other.rtmp);
    let body = format!(r#"{{"code":0,"data":{{"urls":["{target}"]}}}}"#);
    back_end.answer(StatusCode::OK, body.leak());
    let place = place(&back_end, "dialect: SRS, events: [Publish, Forward]").await;
    let mut publisher = publish(&place, "").await.unwrap();
    let is_there = |there: bool| {
        other
            .pod
            .hub()
            .snapshot()
            .iter()
            .any(|stream| stream.publisher.is_some())
            == there
    };
    let start = Instant::now();
    while !is_there(true) {
        assert!(start.elapsed() < Duration::from_secs(20), "it does not come");
        publisher.send_audio().await;
    }
    let actions: Vec<_> = back_end
        .calls()
        .iter()
        .map(|call| text(call, "action").to_owned())
        .collect();
    assert_eq!(actions, ["on_publish", "on_forward"]);
    publisher.unpublish().await;
    while !is_there(false) {
        assert!(start.elapsed() < Duration::from_secs(40), "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
