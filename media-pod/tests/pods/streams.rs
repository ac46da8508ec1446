//! A stream that is published to one pod plays from every pod.

use crate::client::RtmpClient;
use crate::place::Server;
use crate::watch::{Seen, Viewer, announce, pictures};
use headgate_control::PodReport;
use std::time::{Duration, Instant};

async fn publisher(port: u16) -> RtmpClient {
    let mut publisher = RtmpClient::publish(port, "cam").await.unwrap();
    announce(&mut publisher).await;
    publisher
}

fn has_edge(report: &PodReport) -> bool {
    report.edges.len() == 1
}

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_plays_what_one_has_frame_by_frame() {
    let server = Server::start(3, "Reject").await;
    let pods = &server.0;
    let mut sender = publisher(pods[0].rtmp).await;
    pictures(&mut sender, 0, 10).await;
    // The origin has them all: everyone starts at the key frame.
    Viewer::rtmp(pods[0].rtmp, "cam").await.until(9).await;
    let mut viewers = vec![
        Viewer::rtmp(pods[0].rtmp, "cam").await,
        Viewer::rtmp(pods[1].rtmp, "cam").await,
        Viewer::http(pods[1].http, "cam").await,
        Viewer::rtmp(pods[2].rtmp, "cam").await,
        Viewer::http(pods[2].http, "cam").await,
    ];
    pods[1].reports("an edge", has_edge).await;
    pods[2].reports("an edge", has_edge).await;
    for n in 0..9 {
        pictures(&mut sender, 10 + n * 10, 10).await;
        sender.send_audio().await;
    }
    let mut all = Vec::new();
    for viewer in &mut viewers {
        all.push(viewer.until(99).await.iter().map(told).collect::<Vec<_>>());
    }
    for (index, seen) in all.iter().enumerate() {
        let numbers = seen.iter().filter(|frame| frame.starts_with('v')).count();
        assert_eq!(numbers, 100, "viewer {index}");
        let differs = seen.iter().zip(&all[0]).find(|(here, origin)| here != origin);
        assert_eq!(
            (differs, seen.len()),
            (None, all[0].len()),
            "viewer {index}: here and at the origin"
        );
    }
}

/// Everything of a frame, in a few letters.
fn told((kind, millis, body): &Seen) -> String {
    let sum = body
        .iter()
        .fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(*byte)));
    format!("{kind}{millis} {} {sum}", body.len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_tells_edges_from_streams_and_a_relay_is_no_viewer() {
    let server = Server::start(2, "Reject").await;
    let pods = &server.0;
    let mut sender = publisher(pods[0].rtmp).await;
    pictures(&mut sender, 0, 10).await;
    let mut viewers = Vec::new();
    for n in 0..20 {
        viewers.push(if n % 2 == 0 {
            Viewer::rtmp(pods[1].rtmp, "cam").await
        } else {
            Viewer::http(pods[1].http, "cam").await
        });
    }
    for viewer in &mut viewers {
        viewer.until(9).await;
    }
    let edge = pods[1]
        .reports("20 viewers", |r| {
            r.edges.first().is_some_and(|e| e.viewers.values().sum::<u32>() == 20)
        })
        .await;
    let origin = pods[0].reports("a stream", |r| r.streams.len() == 1).await;
    assert_eq!((edge.streams.len(), edge.edges.len(), origin.edges.len()), (0, 1, 0));
    let said = &edge.edges[0];
    assert_eq!(
        (said.from.as_str(), said.stream.as_str(), said.session),
        ("live-0", "cam", origin.streams[0].session)
    );
    assert!(origin.streams[0].viewers.is_empty(), "{origin:#?}");
    assert!((pods[1].metric("headgate_edges") - 1.0).abs() < f64::EPSILON);
    assert!(pods[1].metric("headgate_publishers").abs() < f64::EPSILON);
    assert!(pods[0].metric("headgate_viewers").abs() < f64::EPSILON);
    let left = Instant::now();
    drop(viewers);
    pods[1].reports("the edge is over", |r| r.edges.is_empty()).await;
    let lasted = left.elapsed();
    assert!((4..8).contains(&lasted.as_secs()), "{lasted:?}");
    assert!(pods[1].metric("headgate_edges").abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_viewer_of_an_edge_sees_a_picture_at_once() {
    let server = Server::start(3, "Reject").await;
    let pods = &server.0;
    let mut sender = publisher(pods[0].rtmp).await;
    pictures(&mut sender, 0, 10).await;
    let mut waits = Vec::new();
    for pod in pods {
        let start = Instant::now();
        Viewer::rtmp(pod.rtmp, "cam").await.next().await.unwrap();
        waits.push(start.elapsed());
    }
    println!(
        "first picture: at the origin {:?}, at an edge {:?} and {:?}",
        waits[0], waits[1], waits[2]
    );
    assert!(waits.iter().all(|w| *w < Duration::from_secs(1)), "{waits:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_at_one_pod_sees_a_publisher_that_comes_to_another() {
    let server = Server::start(2, "Reject").await;
    let pods = &server.0;
    let mut viewer = Viewer::rtmp(pods[1].rtmp, "cam").await;
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut sender = publisher(pods[0].rtmp).await;
    let start = Instant::now();
    pictures(&mut sender, 0, 3).await;
    assert_eq!(viewer.numbers(3).await, [0, 1, 2]);
    println!("a waiting viewer's first pictures after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_stay_while_the_publisher_moves_from_pod_to_pod() {
    let server = Server::start(3, "Reject").await;
    let pods = &server.0;
    let mut viewers = vec![
        Viewer::rtmp(pods[0].rtmp, "cam").await,
        Viewer::rtmp(pods[1].rtmp, "cam").await,
        Viewer::rtmp(pods[2].rtmp, "cam").await,
    ];
    for (round, at) in [0_usize, 1, 0, 2].into_iter().enumerate() {
        let first = u32::try_from(round).unwrap() * 100;
        let mut sender = publisher(pods[at].rtmp).await;
        pictures(&mut sender, first, 5).await;
        for viewer in &mut viewers {
            let numbers = viewer.numbers(5).await;
            assert_eq!(numbers, (first..first + 5).collect::<Vec<_>>(), "round {round}");
        }
        sender.unpublish().await;
        pods[at].reports("gone", |r| r.streams.is_empty()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pod_that_dies_takes_only_its_own_publisher_along() {
    let server = Server::start(3, "Reject").await;
    let pods = &server.0;
    let mut sender = publisher(pods[0].rtmp).await;
    pictures(&mut sender, 0, 3).await;
    let mut viewer = Viewer::http(pods[2].http, "cam").await;
    assert_eq!(viewer.numbers(3).await, [0, 1, 2]);
    pods[0].stop.cancel();
    pods[0].pod.stop().await;
    let mut sender = publisher(pods[1].rtmp).await;
    pictures(&mut sender, 100, 3).await;
    assert_eq!(viewer.numbers(3).await, [100, 101, 102]);
}
