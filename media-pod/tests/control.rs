//! The control port as the operator sees it: mutual TLS, configs, reports, kicks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    dead_code,
    reason = "a test may fail by panic"
)]

#[path = "standalone/client.rs"]
mod client;

use client::RtmpClient;
use headgate_control::{
    Applied, DrainReport, DrainRequest, LedgerEntry, LedgerLine, OPERATOR_TLS_NAME, PodConfig, PodReport, Problem,
    pod_tls_name,
};
use headgate_hooks::{SealKey, Storage};
use headgate_media_pod::control::{Tls, router, serve};
use headgate_media_pod::pod::{Pod, Setup};
use jiff::{SignedDuration, Timestamp};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Client, ClientBuilder, Identity, StatusCode};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self {
            pem,
            issuer: Issuer::new(params, key),
        }
    }

    fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    fn mount(&self, folder: &Path) {
        let (certificate, key) = self.sign(&pod_tls_name("ns", "live"));
        std::fs::write(folder.join("tls.crt"), certificate).unwrap();
        std::fs::write(folder.join("tls.key"), key).unwrap();
        std::fs::write(folder.join("ca.crt"), &self.pem).unwrap();
    }

    fn client(&self, identity: Option<(String, String)>, port: u16) -> Client {
        self.builder(identity, port).build().unwrap()
    }

    fn builder(&self, identity: Option<(String, String)>, port: u16) -> ClientBuilder {
        let name = pod_tls_name("ns", "live");
        let builder = Client::builder()
            .tls_certs_only([Certificate::from_pem(self.pem.as_bytes()).unwrap()])
            .resolve(&name, ([127, 0, 0, 1], port).into());
        match identity {
            Some((certificate, key)) => builder.identity(Identity::from_pem((certificate + &key).as_bytes()).unwrap()),
            None => builder,
        }
    }

    fn operator(&self, port: u16) -> Client {
        self.client(Some(self.sign(OPERATOR_TLS_NAME)), port)
    }
}

struct Running {
    authority: Authority,
    folder: tempfile::TempDir,
    tls: Arc<Tls>,
    pod: Arc<Pod>,
    port: u16,
    stop: CancellationToken,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Running {
    async fn start() -> Self {
        Self::of(|| Pod::new(true).unwrap()).await
    }

    async fn of(pod: impl FnOnce() -> Arc<Pod>) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        authority.mount(folder.path());
        let tls = Arc::new(Tls::load(folder.path()).unwrap());
        let pod = pod();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let stop = CancellationToken::new();
        tokio::spawn(serve(
            listener,
            Arc::clone(&tls),
            router(Arc::clone(&pod)),
            stop.clone(),
        ));
        Self {
            authority,
            folder,
            tls,
            pod,
            port,
            stop,
        }
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}:{}{path}", pod_tls_name("ns", "live"), self.port)
    }
}

fn config(revision: &str, listeners: &serde_json::Value) -> PodConfig {
    let config = serde_json::json!({
        "revision": revision, "server": {"namespace": "ns", "name": "live", "uid": "u"}, "listeners": listeners,
        "publish": {"authentication": "StreamKey", "onConflict": "Reject"},
        "play": {"authentication": "None", "gopCache": true, "maxLatencyMilliseconds": 0},
        "aFieldOfANewerOperator": 1,
    });
    serde_json::from_value(config).unwrap()
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn rtmp_on(port: u16) -> serde_json::Value {
    serde_json::json!([{"name": "rtmp", "protocol": "RTMP", "port": port}])
}

#[tokio::test]
async fn only_the_operator_and_the_servers_pods_are_answered() {
    let pod = Running::start().await;
    let ask = |client: Client| client.get(pod.url("/nothing")).send();
    assert_eq!(
        ask(pod.authority.operator(pod.port)).await.unwrap().status(),
        StatusCode::NOT_FOUND
    );
    let stranger = Authority::new();
    let refused = [
        ("no certificate", None),
        (
            "a pod of another server",
            Some(pod.authority.sign(&pod_tls_name("ns", "other"))),
        ),
        (
            "the operator's name of another CA",
            Some(stranger.sign(OPERATOR_TLS_NAME)),
        ),
    ];
    for (what, identity) in refused {
        assert!(ask(pod.authority.client(identity, pod.port)).await.is_err(), "{what}");
    }
}

/// Says the beginning of a TLS handshake byte by byte, for ever again, until the other side closes. How long that took.
async fn dribble(port: u16) -> Duration {
    let (mut socket, start) = (TcpStream::connect(("127.0.0.1", port)).await.unwrap(), Instant::now());
    for byte in [22, 3, 1, 2, 0, 1].iter().cycle() {
        if socket.write_all(&[*byte]).await.is_err() {
            break;
        }
        let read = timeout(Duration::from_millis(333), socket.read(&mut [0; 64])).await;
        if matches!(read, Ok(Ok(0) | Err(_))) {
            break;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "it is still there");
    }
    start.elapsed()
}

#[tokio::test]
async fn strangers_that_speak_byte_by_byte_are_cut_and_keep_no_operator_out() {
    let pod = Running::start().await;
    let mut slow = JoinSet::new();
    for _ in 0..300 {
        slow.spawn(dribble(pod.port));
    }
    // Those for whom there is no room are closed at once; then the others have theirs.
    for _ in 0..300 - 64 {
        let turned_away = slow.join_next().await.unwrap().unwrap();
        assert!(turned_away < Duration::from_secs(4), "{turned_away:?}");
    }
    let builder = pod
        .authority
        .builder(Some(pod.authority.sign(OPERATOR_TLS_NAME)), pod.port);
    let operator = builder.local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
    let answer = operator.get(pod.url("/v1/report")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let times = slow.join_all().await;
    let had_their_time = times.iter().all(|time| *time > Duration::from_secs(4));
    assert!(times.len() == 64 && had_their_time, "{times:?}");
    assert!(
        pod.authority
            .operator(pod.port)
            .get(pod.url("/nothing"))
            .send()
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_pod_may_ask_for_what_pods_do_and_the_operator_for_the_rest() {
    let pod = Running::start().await;
    let peer = pod
        .authority
        .client(Some(pod.authority.sign(&pod_tls_name("ns", "live"))), pod.port);
    let operator = pod.authority.operator(pod.port);
    let stream = "/v1/peer/streams?vhost=__defaultVhost__&app=live&stream=x";
    let media = "/v1/peer/media?vhost=__defaultVhost__&app=live&stream=x";
    let bad = "/v1/peer/streams?vhost=v&app=live&stream=";
    let cases = [
        (&peer, stream, StatusCode::NOT_FOUND),
        (&peer, media, StatusCode::NOT_FOUND),
        (&peer, bad, StatusCode::BAD_REQUEST),
        (&peer, "/v1/report", StatusCode::FORBIDDEN),
        (&peer, "/nothing", StatusCode::FORBIDDEN),
        (&operator, stream, StatusCode::FORBIDDEN),
        (&operator, "/v1/report", StatusCode::OK),
    ];
    for (client, path, status) in cases {
        let answer = client.get(pod.url(path)).send().await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
    }
}

#[tokio::test]
async fn a_config_is_put_in_force_and_a_bad_one_leaves_it_there() {
    let pod = Running::start().await;
    let operator = pod.authority.operator(pod.port);
    let put = |body: Vec<u8>| operator.put(pod.url("/v1/config")).body(body).send();
    let good = serde_json::to_vec(&config("r1", &rtmp_on(free_port()))).unwrap();
    let answer = put(good).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let applied: Applied = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!(applied.revision, "r1");
    let twice = serde_json::json!([{"name": "a", "protocol": "RTMP", "port": 2000}, {"name": "b", "protocol": "HTTP", "port": 2000}]);
    for (body, reason) in [
        (serde_json::to_vec(&config("r2", &twice)).unwrap(), "ListenerClash"),
        (b"{\"revision\": \"hidden\"".to_vec(), "BadConfig"),
    ] {
        let answer = put(body).await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        let problem: Problem = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(problem.reason, reason);
        assert!(!problem.message.contains("hidden"));
    }
    assert_eq!(pod.pod.config().unwrap().revision, "r1");
    assert_eq!(
        put(vec![b' '; 17 * 1024 * 1024])
            .await
            .map_or(StatusCode::PAYLOAD_TOO_LARGE, |a| a.status()),
        StatusCode::PAYLOAD_TOO_LARGE
    );
}

#[tokio::test]
async fn reports_come_at_once_on_change_and_number_themselves() {
    let pod = Running::start().await;
    let mut stream = pod
        .authority
        .operator(pod.port)
        .get(pod.url("/v1/report"))
        .send()
        .await
        .unwrap();
    let first = next(&mut stream).await;
    assert_eq!((first.sequence, first.revision.as_str(), first.ready), (1, "", false));
    let start = Instant::now();
    pod.pod.apply(config("r1", &rtmp_on(free_port()))).unwrap();
    let second = next(&mut stream).await;
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!((second.revision.as_str(), second.ready), ("r1", true));
    assert_eq!(second.instance, first.instance);
    assert!(second.sequence > first.sequence);
    assert!(second.listeners[0].problem.is_none());
}

async fn next(stream: &mut reqwest::Response) -> PodReport {
    let chunk = tokio::time::timeout(Duration::from_secs(8), stream.chunk())
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    serde_json::from_slice(&chunk).unwrap()
}

#[tokio::test]
async fn a_port_that_is_taken_is_reported_and_opened_when_it_is_free() {
    let pod = Running::start().await;
    let taken = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    pod.pod.apply(config("r1", &rtmp_on(port))).unwrap();
    let problem = pod.pod.report().listeners[0].problem.clone().unwrap();
    assert_eq!(problem.reason, "PortInUse");
    assert_eq!(pod.pod.unready(), Some("a listener is not open"));
    drop(taken);
    let mut news = pod.pod.news();
    while pod.pod.unready().is_some() {
        tokio::time::timeout(Duration::from_secs(10), news.wait())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn a_session_that_is_not_there_cannot_be_ended() {
    let pod = Running::start().await;
    let operator = pod.authority.operator(pod.port);
    let delete = |id: &str| operator.delete(pod.url(&format!("/v1/sessions/{id}"))).send();
    let unknown = uuid::Uuid::now_v7().to_string();
    assert_eq!(delete(&unknown).await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_eq!(delete("nonsense").await.unwrap().status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn certificates_that_changed_are_in_force_for_the_next_connection() {
    let pod = Running::start().await;
    assert!(!pod.tls.reload().unwrap());
    std::fs::write(pod.folder.path().join("tls.key"), "half a file").unwrap();
    assert!(pod.tls.reload().is_err());
    let old = pod.authority.operator(pod.port);
    assert!(
        old.get(pod.url("/nothing")).send().await.is_ok(),
        "files that do not fit leave the old ones in force"
    );
    let renewed = Authority::new();
    renewed.mount(pod.folder.path());
    assert!(pod.tls.reload().unwrap());
    assert!(renewed.operator(pod.port).get(pod.url("/nothing")).send().await.is_ok());
    let late = pod.authority.operator(pod.port);
    assert!(
        late.get(pod.url("/nothing")).send().await.is_err(),
        "the old CA's operator is a stranger now"
    );
}

fn open_to_all(revision: &str, rtmp: u16) -> PodConfig {
    let mut config = config(revision, &rtmp_on(rtmp));
    config.publish.authentication = headgate_control::Authentication::None;
    config
}

#[tokio::test]
async fn the_operator_drains_a_pod_and_changes_its_mind() {
    let pod = Running::start().await;
    let (operator, rtmp) = (pod.authority.operator(pod.port), free_port());
    pod.pod.apply(open_to_all("r1", rtmp)).unwrap();
    let _publisher = RtmpClient::publish(rtmp, "x").await.unwrap();
    let deadline = Timestamp::now() + SignedDuration::from_secs(600);
    for deadline in [deadline, deadline + SignedDuration::from_secs(60)] {
        let body = serde_json::to_vec(&DrainRequest { deadline }).unwrap();
        let request = operator
            .put(pod.url("/v1/drain"))
            .header("content-type", "application/json");
        assert_eq!(
            request.body(body).send().await.unwrap().status(),
            StatusCode::NO_CONTENT
        );
        let report = pod.pod.report();
        let (publishers, viewers) = (1, 0);
        let draining = DrainReport {
            deadline,
            publishers,
            viewers,
        };
        assert_eq!((report.ready, report.draining), (false, Some(draining)));
    }
    assert!(
        RtmpClient::publish(rtmp, "y")
            .await
            .err()
            .unwrap()
            .starts_with("Draining: ")
    );
    let take_back = || operator.delete(pod.url("/v1/drain")).send();
    assert_eq!(take_back().await.unwrap().status(), StatusCode::NO_CONTENT);
    let report = pod.pod.report();
    assert_eq!((report.ready, report.draining), (true, None));
    assert!(RtmpClient::publish(rtmp, "y").await.is_ok());
    pod.pod.terminate(None);
    assert_eq!(take_back().await.unwrap().status(), StatusCode::CONFLICT);
    assert!(pod.pod.report().draining.is_some());
}

#[tokio::test]
async fn a_drain_of_the_operators_ends_all_sessions_at_its_deadline_and_not_the_process() {
    let pod = Running::start().await;
    let rtmp = free_port();
    pod.pod.apply(open_to_all("r1", rtmp)).unwrap();
    tokio::spawn(Arc::clone(&pod.pod).keep_draining(pod.stop.clone()));
    let mut publisher = RtmpClient::publish(rtmp, "x").await.unwrap();
    pod.pod.drain(Timestamp::now() + SignedDuration::from_secs(1));
    while publisher.event().await.is_some() {}
    let drained = tokio::time::timeout(Duration::from_millis(200), pod.pod.drained()).await;
    assert!(drained.is_err(), "the pod waits to be deleted");
    pod.pod.terminate(None);
    tokio::time::timeout(Duration::from_secs(2), pod.pod.drained())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_ledger_says_what_is_open_that_this_is_all_and_what_changes() {
    let pod = Running::of(|| {
        let seal = Some(SealKey::new(&[7; 32]).unwrap());
        let storage = Storage { state: None, seal };
        Pod::with(&Setup {
            place: headgate_hooks::Place {
                allow_loopback: true,
                ..headgate_hooks::Place::default()
            },
            storage,
            ..Setup::default()
        })
        .unwrap()
    })
    .await;
    let (operator, rtmp) = (pod.authority.operator(pod.port), free_port());
    pod.pod.apply(open_to_all("r1", rtmp)).unwrap();
    let publisher = RtmpClient::publish(rtmp, "x").await.unwrap();
    let mut stream = operator.get(pod.url("/v1/ledger")).send().await.unwrap();
    let mut lines = ledger_lines(&mut stream, |lines| lines.last() == Some(&LedgerLine::Synced)).await;
    let report = pod.pod.report();
    let (session, sealed) = (report.streams[0].session, report.streams[0].sealed.clone().unwrap());
    assert_eq!(
        lines.len(),
        3,
        "a publisher, its connection, and that this is all: {lines:?}"
    );
    assert!(lines.contains(&LedgerLine::Open(LedgerEntry { session, sealed })));
    publisher.unpublish().await;
    let closed = |line: &LedgerLine| matches!(line, LedgerLine::Closed { .. });
    lines = ledger_lines(&mut stream, |lines| lines.iter().filter(|l| closed(l)).count() == 2).await;
    assert!(lines.contains(&LedgerLine::Closed { session }));
    ledger_lines(&mut stream, |lines| lines.contains(&LedgerLine::Synced)).await;
}

/// Lines of the stream until they are as wanted.
async fn ledger_lines(stream: &mut reqwest::Response, enough: impl Fn(&[LedgerLine]) -> bool) -> Vec<LedgerLine> {
    let mut lines = Vec::new();
    while !enough(&lines) {
        let chunk = tokio::time::timeout(Duration::from_secs(8), stream.chunk()).await;
        let chunk = chunk.unwrap().unwrap().unwrap();
        let texts = chunk.split(|b| *b == b'\n').filter(|line| !line.is_empty());
        lines.extend(texts.map(|line| serde_json::from_slice::<LedgerLine>(line).unwrap()));
    }
    lines
}
