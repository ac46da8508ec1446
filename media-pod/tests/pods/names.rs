//! One name, one publisher, in all pods.

use crate::client::RtmpClient;
use crate::place::{Authority, Server};
use std::time::Instant;

async fn live(publishers: &mut [RtmpClient]) -> usize {
    let mut live = 0;
    for publisher in publishers {
        live += usize::from(publisher.is_live().await);
    }
    live
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_has_a_publisher_in_one_pod_is_busy_in_all() {
    let server = Server::start(3, "Reject").await;
    let pods = &server.0;
    let first = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    for pod in pods {
        let refused = RtmpClient::publish(pod.rtmp, "cam").await.err().unwrap();
        assert!(refused.contains("NameBusy"), "{refused}");
    }
    first.unpublish().await;
    pods[0].reports("gone", |r| r.streams.is_empty()).await;
    let start = Instant::now();
    RtmpClient::publish(pods[2].rtmp, "cam").await.unwrap();
    println!("a claim to two peers, with all of RTMP, took {:?}", start.elapsed());
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_know_each_other_by_their_new_certificates_too() {
    let server = Server::start(2, "Reject").await;
    let pods = &server.0;
    let _first = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    assert!(RtmpClient::publish(pods[1].rtmp, "cam").await.is_err());
    let renewed = Authority::new();
    for pod in pods {
        pod.renew(&renewed);
    }
    assert!(RtmpClient::publish(pods[1].rtmp, "cam").await.is_err());
    assert!(pods[1].metric("headgate_peer_failures_total").abs() < f64::EPSILON);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newcomer_in_another_pod_takes_over() {
    let server = Server::start(3, "Takeover").await;
    let pods = &server.0;
    let mut first = RtmpClient::publish(pods[0].rtmp, "cam").await.unwrap();
    let mut second = RtmpClient::publish(pods[1].rtmp, "cam").await.unwrap();
    pods[0].reports("cut", |r| r.streams.is_empty()).await;
    assert!(!first.is_live().await);
    assert!(second.is_live().await);
    let report = pods[1].pod.report();
    assert_eq!(report.streams.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_publishers_that_start_at_the_same_instant_in_several_pods_exactly_one_lives() {
    for on_conflict in ["Reject", "Takeover"] {
        let server = Server::start(3, on_conflict).await;
        for round in 0..15 {
            let stream = format!("s{round}");
            let tries = server.0.iter().map(|pod| RtmpClient::publish(pod.rtmp, &stream));
            let outcomes = futures::future::join_all(tries).await;
            let (mut there, refused): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
            assert!(
                !there.is_empty(),
                "{on_conflict} {round}: {:?}",
                refused.iter().map(|r| r.as_ref().err()).collect::<Vec<_>>()
            );
            let mut there: Vec<RtmpClient> = there.drain(..).map(Result::unwrap).collect();
            assert!(refused.iter().all(|r| r.as_ref().err().unwrap().contains("NameBusy")));
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            assert_eq!(live(&mut there).await, 1, "{on_conflict} {round}");
            let streams = server.0.iter().flat_map(|pod| pod.pod.report().streams);
            assert_eq!(
                streams.filter(|s| s.stream == stream).count(),
                1,
                "{on_conflict} {round}"
            );
        }
    }
}
