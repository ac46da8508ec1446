//! What pods are told, and by whom they are believed.

use super::*;

#[tokio::test]
async fn a_pod_gets_the_configuration_it_does_not_run_and_every_later_one_once() {
    let (played, authority, (links, told)) = (Played::new(), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    until(&links, |v| v.revision == "1").await;
    sync(&links, &peer, "1");
    sync(&links, &peer, "2");
    until(&links, |v| v.revision == "2" && v.is_ready()).await;
    assert_eq!(*played.pushed.lock(), ["1", "2"]);
    assert!(told.lock().iter().any(|c| c.server));
}

/// Shows one certificate of the same authority after the other.
#[derive(Debug)]
struct Renewing {
    certificates: Vec<Arc<CertifiedKey>>,
    shown: AtomicUsize,
}

impl ResolvesServerCert for Renewing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let next = self.shown.fetch_add(1, Ordering::Relaxed);
        self.certificates.iter().cycle().nth(next).cloned()
    }
}

fn renewing(authority: &Authority) -> ServerConfig {
    let certified = |_| {
        let pair = authority.server(NAME, Timestamp::now()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
        let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).unwrap();
        Arc::new(CertifiedKey::new(vec![certificate(&pair)], key))
    };
    let resolver = Renewing {
        certificates: (0..4).map(certified).collect(),
        shown: AtomicUsize::new(0),
    };
    let mut config = serving(authority, NAME);
    config.cert_resolver = Arc::new(resolver);
    config
}

#[tokio::test]
async fn certificates_that_are_renewed_while_configurations_are_pushed_fail_none_of_them() {
    let (played, authority, metrics) = (Played::new(), authority(), Arc::new(Metrics::new().unwrap()));
    let links = Links::new(Claim::always(), metrics.clone(), Arc::new(|_, _| {}));
    let address = played.listen(renewing(&authority)).await;
    let mut renewed = peer(address, &authority);
    for revision in 1..=30_u32 {
        // Ours is renewed in the middle of a push, too.
        if revision.is_multiple_of(3) {
            sync(&links, &renewed, &revision.to_string());
            renewed = peer(address, &authority);
        }
        sync(&links, &renewed, &revision.to_string());
        until(&links, |v| v.revision == revision.to_string()).await;
    }
    let pushes = |result: &str| metrics.config_pushes.with_label_values(&[result]).get();
    assert!(pushes("Applied") >= 30, "{}", pushes("Applied"));
    let all: Vec<_> = prometheus::core::Collector::collect(&metrics.config_pushes);
    let results = all
        .iter()
        .flat_map(prometheus::proto::MetricFamily::get_metric)
        .filter(|m| m.get_counter().get_value() > 0.0);
    assert_eq!(results.count(), 1, "some pushes failed");
}

#[tokio::test]
async fn a_pod_that_starts_anew_gets_its_configuration_again_though_nobody_kept_it() {
    let (played, authority, (links, _)) = (Played::new(), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    until(&links, |v| v.report.as_ref().is_some_and(|r| r.revision == "1")).await;
    played.report.send_modify(|r| {
        r.instance = "j".into();
        r.revision = "0".into();
        r.sequence = 1;
    });
    until(&links, |v| v.revision == "0").await;
    // As the server's reconcile does, which the link wakes; the pod reports on.
    until(&links, |v| {
        let pushed = played.pushed.lock().len();
        if pushed == 1 && v.revision == "1" {
            played.report.send_modify(|r| r.sequence += 1);
        }
        sync(&links, &peer, "1");
        pushed == 2 && v.revision == "1"
    })
    .await;
    assert_eq!(*played.pushed.lock(), ["1", "1"]);
}

#[tokio::test]
async fn a_pod_of_another_authority_is_not_trusted() {
    let (played, ours, theirs, (links, _)) = (Played::new(), authority(), authority(), links());
    let peer = peer(played.listen(serving(&theirs, NAME)).await, &ours);
    sync(&links, &peer, "1");
    let view = until(&links, |v| v.problem.is_some()).await;
    assert_eq!(view.problem.unwrap().reason, "PodNotTrusted");
    assert!(!view.connected && played.pushed.lock().is_empty());
}

#[tokio::test]
async fn a_pod_with_another_name_is_not_trusted() {
    let (played, authority, (links, _)) = (Played::new(), authority(), links());
    let other = serving(&authority, "other.n.media.headgate");
    let peer = peer(played.listen(other).await, &authority);
    sync(&links, &peer, "1");
    let view = until(&links, |v| v.problem.is_some()).await;
    assert_eq!(view.problem.unwrap().reason, "PodNotTrusted");
}

#[tokio::test]
async fn a_client_of_another_authority_is_refused_by_the_pod() {
    let (played, ours, theirs) = (Played::new(), authority(), authority());
    let address = played.listen(serving(&ours, NAME)).await;
    let mut roots = RootCertStore::empty();
    roots.add(certificate(ours.pair())).unwrap();
    let pair = theirs.client(Timestamp::now()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
    let tls = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![certificate(&pair)], key)
        .unwrap();
    let peer = Peer {
        address,
        name: NAME.into(),
        tls: Arc::new(tls),
    };
    let (links, _) = links();
    sync(&links, &peer, "1");
    let view = until(&links, |v| v.problem.is_some()).await;
    assert!(!view.connected && played.pushed.lock().is_empty());
}

#[tokio::test]
async fn a_configuration_that_is_refused_is_not_sent_again() {
    let (mut played, authority, (links, _)) = (Played::new(), authority(), links());
    played.refuses = Some("2".into());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "2");
    let view = until(&links, |v| v.refused.is_some()).await;
    assert_eq!(view.problem.unwrap().reason, "BadConfig");
    played.report.send_modify(|r| r.sequence = r.sequence.saturating_add(1));
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(*played.pushed.lock(), ["2"]);
    sync(&links, &peer, "3");
    until(&links, |v| v.revision == "3" && v.problem.is_none()).await;
}

#[tokio::test]
async fn a_session_is_ended_through_the_pod_that_has_it() {
    let (played, authority, (links, _)) = (Played::new(), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    assert!(links.kick(&pod(), "k1").await.unwrap());
    assert!(!links.kick(&pod(), "x1").await.unwrap());
    assert_eq!(*played.kicked.lock(), ["k1", "x1"]);
}

#[tokio::test]
async fn a_pod_is_told_to_drain_whenever_it_says_that_it_does_not() {
    let (played, authority, (links, told)) = (Played::new(), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    let deadline = |s: &str| s.parse::<Timestamp>().unwrap();
    let drains = |v: &View, until: &str| {
        let report = v.report.as_ref().and_then(|r| r.draining.clone());
        report.is_some_and(|d| d.deadline == deadline(until))
    };
    wish(&links, &peer, "1", Wish::Leave(deadline("2027-01-01T12:00:00Z")));
    until(&links, |v| drains(v, "2027-01-01T12:00:00Z")).await;
    assert!(told.lock().iter().any(|c| c.server));
    played
        .report
        .send_modify(|r| (r.instance, r.draining) = ("j".into(), None));
    until(&links, |v| {
        drains(v, "2027-01-01T12:00:00Z") && v.report.as_ref().is_some_and(|r| r.instance == "j")
    })
    .await;
    wish(&links, &peer, "1", Wish::Leave(deadline("2027-01-01T11:00:00Z")));
    until(&links, |v| drains(v, "2027-01-01T11:00:00Z")).await;
    wish(&links, &peer, "1", Wish::Serve);
    until(&links, |v| v.report.as_ref().is_some_and(|r| r.draining.is_none())).await;
    played.report.send_modify(|r| r.sequence = r.sequence.saturating_add(1));
    tokio::time::sleep(Duration::from_millis(100)).await;
    let seen = played.drained.lock().clone();
    assert_eq!(
        seen,
        [
            "2027-01-01T12:00:00Z",
            "2027-01-01T12:00:00Z",
            "2027-01-01T11:00:00Z",
            "no"
        ]
    );
}

#[tokio::test]
async fn a_pod_that_ends_by_itself_is_left_to_it() {
    let (played, authority, (links, _)) = (Played::new(), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    let draining = headgate_control::DrainReport {
        deadline: Timestamp::now(),
        publishers: 1,
        viewers: 0,
    };
    played.report.send_modify(|r| r.draining = Some(draining));
    sync(&links, &peer, "1");
    until(&links, |v| v.revision == "1").await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(played.drained.lock().is_empty());
}

#[tokio::test]
async fn a_stream_is_seen_while_its_pod_is_linked() {
    let (played, authority, (links, told)) = (Played::new(), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    until(&links, |v| v.connected).await;
    let stream: headgate_control::StreamReport = serde_yaml::from_str("{vhost: __defaultVhost__, app: live, stream: alice, session: 00000000-0000-0000-0000-000000000001, protocol: RTMP, address: x, clientId: c, started: 2027-01-01T00:00:00Z, bitrateKilobits: 1}").unwrap();
    played.report.send_modify(|r| r.streams = vec![stream]);
    until(&links, |v| v.stream_names().count() == 1).await;
    let at = ObjectKey::new("n", "live-live-alice");
    assert_eq!(links.sightings(&at)[0].pod, pod());
    told.lock().clear();
    links.forget(&ObjectKey::new("n", "live"));
    assert!(links.sightings(&at).is_empty());
    assert!(told.lock()[0].streams.contains("live-live-alice"));
}

#[tokio::test]
async fn a_claim_that_is_lost_stops_pushes_and_kicks() {
    let (played, authority) = (Played::new(), authority());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    let metrics = Arc::new(Metrics::new().unwrap());
    let links = Links::new(Claim::none(), metrics, Arc::new(|_, _| {}));
    sync(&links, &peer, "1");
    until(&links, |v| v.connected).await;
    assert!(matches!(links.kick(&pod(), "k1").await, Err(LinkError::NotLeader)));
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(played.pushed.lock().is_empty() && played.kicked.lock().is_empty());
}
