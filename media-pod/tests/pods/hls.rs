//! A viewer of HLS may come to any pod with any request: its session and its segments stay where they are.

use crate::back_end::BackEnd;
use crate::client::RtmpClient;
use crate::place::{Member, Server, fake};
use crate::watch::{announce, pictures};
use axum::body::Bytes;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

/// A publisher that sends ten seconds in each, while it is not told to wait.
struct Live {
    waits: Arc<AtomicBool>,
    _task: AbortOnDropHandle<()>,
}

impl Live {
    async fn at(pod: &Member) -> Self {
        let mut publisher = RtmpClient::publish(pod.rtmp, "cam").await.unwrap();
        announce(&mut publisher).await;
        let waits = Arc::<AtomicBool>::default();
        let waiting = Arc::clone(&waits);
        let task = tokio::spawn(async move {
            for second in 0_u32.. {
                pictures(&mut publisher, second * 25, 25).await;
                tokio::time::sleep(Duration::from_millis(100)).await;
                while waiting.load(Ordering::Relaxed) {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        });
        Self {
            waits,
            _task: AbortOnDropHandle::new(task),
        }
    }

    /// A session that begins at this pod: the path of its playlist. Nothing moves from then on.
    async fn begun(&self, pod: &Member) -> String {
        self.waits.store(false, Ordering::Relaxed);
        let own = begun(pod).await;
        while segments(&text(pod, &own).await).len() < 3 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.waits.store(true, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(300)).await;
        own
    }
}

async fn bytes(pod: &Member, path: &str) -> (u16, Bytes) {
    let url = format!("http://127.0.0.1:{}{path}", pod.http);
    let answer = reqwest::get(url).await.unwrap();
    (answer.status().as_u16(), answer.bytes().await.unwrap())
}

async fn text(pod: &Member, path: &str) -> String {
    let (status, body) = bytes(pod, path).await;
    let body = String::from_utf8(body.to_vec()).unwrap();
    assert_eq!(status, 200, "{path}: {body}");
    body
}

/// The path of a viewer's own playlist, of a session that begins at this pod.
async fn begun(pod: &Member) -> String {
    let master = text(pod, "/live/cam.m3u8").await;
    let place = master.lines().rfind(|line| !line.starts_with('#')).unwrap();
    format!("/live/{}", place.strip_prefix("./").unwrap())
}

fn segments(playlist: &str) -> Vec<String> {
    let names = playlist.lines().filter(|line| !line.starts_with('#'));
    names.map(|name| format!("/live/cam/{name}")).collect()
}

fn viewers(server: &Server) -> f64 {
    server.0.iter().map(|pod| pod.metric("headgate_viewers")).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_whose_requests_come_to_all_pods_has_one_session_and_one_playlist() {
    let back_end = BackEnd::start().await;
    let server = Server::start(3, "Reject").await;
    server.0.iter().for_each(|pod| pod.hook(&back_end.url));
    let live = Live::at(&server.0[0]).await;
    // At the origin, and at a pod that has the stream from there.
    for at in [0, 1] {
        let own = live.begun(&server.0[at]).await;
        let here = text(&server.0[at], &own).await;
        for pod in &server.0 {
            assert_eq!(text(pod, &own).await, here);
        }
        let found = segments(&here);
        assert!(found.len() >= 2, "{here}");
        for segment in &found {
            let (status, wanted) = bytes(&server.0[at], segment).await;
            assert!(status == 200 && !wanted.is_empty(), "{at}: {status}, {here}");
            for pod in &server.0 {
                let (status, got) = bytes(pod, segment).await;
                assert!(status == 200 && got == wanted, "{status}, {} bytes", got.len());
            }
        }
    }
    assert!((viewers(&server) - 2.0).abs() < f64::EPSILON);
    let calls = back_end.calls();
    let plays: Vec<_> = calls.iter().filter(|call| call["action"] == "on_play").collect();
    assert_eq!(plays.len(), 2, "{:?}", back_end.heard());
    assert!(plays.iter().all(|call| call["ip"] == "127.0.0.1"));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_pods_segment_is_had_in_parts_and_a_strange_one_not_at_all() {
    let server = Server::start(2, "Reject").await;
    let live = Live::at(&server.0[0]).await;
    let playlist = text(&server.0[0], &live.begun(&server.0[0]).await).await;
    let segment = segments(&playlist).pop().unwrap();
    let (_, whole) = bytes(&server.0[0], &segment).await;
    let url = format!("http://127.0.0.1:{}{segment}", server.0[1].http);
    let client = reqwest::Client::new();
    let answer = client.get(&url).header("range", "bytes=188-375").send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.headers()["content-type"], "video/mp2t");
    assert_eq!(answer.bytes().await.unwrap(), whole.slice(188..376));
    let (folder, name) = segment.rsplit_once('/').unwrap();
    let (run, _) = name.split_once('-').unwrap();
    for strange in [
        format!("{folder}/{run}-000000000000-1.ts"),
        format!("{folder}/{}-a-1.ts", "0".repeat(32)),
    ] {
        assert_eq!(bytes(&server.0[1], &strange).await.0, 404, "{strange}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_goes_on_elsewhere_when_its_pod_drains_or_dies() {
    let server = Server::start(3, "Reject").await;
    let pods = &server.0;
    let live = Live::at(&pods[0]).await;
    let (drained, killed) = (live.begun(&pods[0]).await, live.begun(&pods[1]).await);
    let before = text(&pods[2], &drained).await;
    live.waits.store(false, Ordering::Relaxed);
    pods[0].pod.drain(jiff::Timestamp::now() + Duration::from_mins(1));
    let after = text(&pods[2], &drained).await;
    assert_ne!(segments(&after), segments(&before), "the pod that was asked cuts now");
    for segment in segments(&before).iter().chain(&segments(&after)) {
        assert_eq!(bytes(&pods[2], segment).await.0, 200, "{segment}");
    }
    pods[1].stop.cancel();
    pods[1].pod.stop().await;
    assert!(!segments(&text(&pods[2], &killed).await).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_a_client_made_up_leads_nowhere() {
    let server = Server::start(2, "Reject").await;
    let live = Live::at(&server.0[0]).await;
    let own = live.begun(&server.0[0]).await;
    live.waits.store(false, Ordering::Relaxed);
    let forged = format!("{}AAAAAAAA", own.get(..own.len() - 8).unwrap());
    let answer = text(&server.0[1], &forged).await;
    assert!(answer.contains("#EXT-X-STREAM-INF"), "a session of its own: {answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_whose_pod_hangs_goes_on_elsewhere_in_some_seconds_and_the_next_ones_at_once() {
    let healthy = Server::start(2, "Reject").await;
    let live = Live::at(&healthy.0[0]).await;
    let own = [live.begun(&healthy.0[1]).await, live.begun(&healthy.0[1]).await];
    let segment = segments(&text(&healthy.0[1], &own[0]).await).pop().unwrap();
    // Pods of the same names and the same key, and the second one takes requests and never answers.
    let server = fake(axum::Router::new().fallback(std::future::pending::<()>)).await;
    let pod = &server.0[0];
    let _live = Live::at(pod).await;
    let start = Instant::now();
    assert!(!segments(&text(pod, &own[0]).await).is_empty());
    let took = start.elapsed();
    println!("behind a pod that hangs: {took:?}");
    assert!(
        took < Duration::from_secs(8),
        "{took:?}: 2 s until it is left, and a segment"
    );
    let start = Instant::now();
    let (first, file) = tokio::join!(text(pod, &own[1]), bytes(pod, &segment));
    assert!(!segments(&first).is_empty() && file.0 == 404);
    let took = start.elapsed();
    assert!(took < Duration::from_secs(4), "{took:?}");
    assert!(pod.metric_of("headgate_hls_peer_requests_total", "PeerHangs") >= 1.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_much_too_large_is_not_taken() {
    let healthy = Server::start(2, "Reject").await;
    let live = Live::at(&healthy.0[0]).await;
    let own = live.begun(&healthy.0[1]).await;
    let segment = segments(&text(&healthy.0[1], &own).await).pop().unwrap();
    let large = || async {
        let piece = Ok::<_, std::convert::Infallible>(Bytes::from(vec![7; 1 << 20]));
        let body = axum::body::Body::from_stream(futures::stream::repeat(piece));
        ([("content-length", (1_u64 << 30).to_string())], body)
    };
    let server = fake(axum::Router::new().fallback(large)).await;
    let pod = &server.0[0];
    assert_eq!(bytes(pod, &segment).await.0, 404);
    assert!(pod.metric_of("headgate_hls_peer_requests_total", "TooLarge") >= 1.0);
}
