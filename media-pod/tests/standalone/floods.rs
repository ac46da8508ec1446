//! Peers that connect and say nothing, or say it byte by byte, on every listener; and very many of them.

use crate::client::RtmpClient;
use crate::front::{dial, issue};
use crate::place::{Place, free_port, key, manifest};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// The longest that any listener waits for somebody to say what it wants, and what a busy machine takes.
const PATIENCE: Duration = Duration::from_secs(10);
const SLACK: Duration = Duration::from_secs(5);
/// Idle connections. The two ends of each are in this process.
const MANY: usize = 10_000;

/// Says its bytes one by one, three a second and for ever again, until the other side closes. How long that took.
async fn dribble(mut socket: impl AsyncReadExt + AsyncWriteExt + Unpin, bytes: &'static [u8]) -> Duration {
    let start = Instant::now();
    for byte in bytes.iter().cycle() {
        if socket.write_all(&[*byte]).await.is_err() {
            break;
        }
        let read = timeout(Duration::from_millis(333), socket.read(&mut [0; 4096])).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            break;
        }
        assert!(
            start.elapsed() < PATIENCE + SLACK,
            "still there after {:?}",
            start.elapsed()
        );
    }
    start.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_byte_by_byte_is_cut_on_every_listener_and_a_stream_goes_on() {
    let (https, rtmps, cert) = (free_port(), free_port(), issue("cert"));
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice")), ("cert", cert.secret.clone())]).await;
    let listeners = format!(
        "{{name: rtmp, protocol: RTMP, port: {}}}, {{name: http, protocol: HTTP, port: {}}}, \
         {{name: rtmps, protocol: RTMPS, port: {rtmps}, tls: {{secretName: cert}}}}, \
         {{name: https, protocol: HTTPS, port: {https}, tls: {{secretName: cert}}}}",
        place.rtmp, place.http
    );
    let spec = manifest("MediaServer", "live", &format!("listeners: [{listeners}]"));
    place.put_in_force("server", &spec).await;
    let mut publisher = RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
        .await
        .unwrap();
    // What RTMP, HTTP and TLS begin with, and what never ends.
    let (rtmp, http, tls): (&[u8], &[u8], &[u8]) =
        (&[3; 64], b"GET /live/a.flv HTTP/1.1\r\nX-A: ", &[22, 3, 1, 2, 0, 1]);
    let mut cut = JoinSet::new();
    for (port, bytes) in [
        (place.rtmp, rtmp),
        (place.http, http),
        (place.admin_port(), http),
        (rtmps, tls),
        (https, tls),
    ] {
        let socket = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        cut.spawn(dribble(socket, bytes));
    }
    // Behind a handshake that is in order.
    for (port, bytes) in [(rtmps, rtmp), (https, http)] {
        cut.spawn(dribble(dial(port, &cert).await.unwrap(), bytes));
    }
    loop {
        match timeout(Duration::from_millis(500), cut.join_next()).await {
            Ok(None) => break,
            Ok(Some(took)) => assert!(took.unwrap() <= PATIENCE + SLACK),
            Err(_) => assert!(publisher.is_live().await),
        }
    }
    assert_eq!(place.get("/healthz").await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_connections_that_say_nothing_come_and_go_and_a_stream_goes_on() {
    let ends = u64::try_from(MANY * 2).unwrap();
    let room = headgate_media_pod::nofile::raise();
    // Both ends are here, and a machine may not allow so many: then as many as it does.
    let many = usize::try_from(ends.min(room.saturating_sub(1_000)) / 2).unwrap();
    let place = Place::start(&[("key", key("alice", "s3cr3t-of-alice"))]).await;
    let listeners = format!(
        "listeners: [{{name: rtmp, protocol: RTMP, port: {}}}, {{name: http, protocol: HTTP, port: {}}}], limits: {{connectionsPerPod: 100000}}",
        place.rtmp, place.http
    );
    place
        .put_in_force("server", &manifest("MediaServer", "live", &listeners))
        .await;
    let mut publisher = RtmpClient::publish(place.rtmp, "a?secret=s3cr3t-of-alice")
        .await
        .unwrap();
    let mut idle = Vec::new();
    for n in 0..many {
        let port = if n % 2 == 0 { place.rtmp } else { place.http };
        idle.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
        if n % 1_000 == 0 {
            assert!(publisher.is_live().await, "with {n} idle connections");
        }
    }
    let start = Instant::now();
    let mut player = RtmpClient::play(place.rtmp, "a").await.unwrap();
    publisher.send_audio().await;
    assert!(player.event().await.is_some());
    assert!(start.elapsed() < SLACK, "{:?} until a viewer was in", start.elapsed());
    // They are closed by themselves. The publisher is not silent for so long that it would be, too.
    for (n, mut socket) in idle.into_iter().enumerate() {
        if n % 100 == 0 {
            publisher.send_audio().await;
        }
        let rest = (PATIENCE + SLACK).saturating_sub(start.elapsed());
        let closed = timeout(rest, socket.read(&mut [0; 64])).await;
        assert!(matches!(closed, Ok(Ok(0) | Err(_))), "one is still there");
    }
    assert!(publisher.is_live().await);
}
