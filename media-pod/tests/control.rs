//! The control port as the operator sees it: mutual TLS, configs, reports, kicks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panic"
)]

use headgate_control::{Applied, OPERATOR_TLS_NAME, PodConfig, PodReport, Problem, pod_tls_name};
use headgate_media_pod::control::{Tls, router, serve};
use headgate_media_pod::pod::Pod;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use reqwest::{Certificate, Client, Identity, StatusCode};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
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
        let name = pod_tls_name("ns", "live");
        let builder = Client::builder()
            .tls_certs_only([Certificate::from_pem(self.pem.as_bytes()).unwrap()])
            .resolve(&name, ([127, 0, 0, 1], port).into());
        let builder = match identity {
            Some((certificate, key)) => builder.identity(Identity::from_pem((certificate + &key).as_bytes()).unwrap()),
            None => builder,
        };
        builder.build().unwrap()
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
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let (authority, folder) = (Authority::new(), tempfile::tempdir().unwrap());
        authority.mount(folder.path());
        let tls = Arc::new(Tls::load(folder.path()).unwrap());
        let pod = Pod::new(true).unwrap();
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
