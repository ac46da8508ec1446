//! Links to a pod that is played here: on loopback, over mutual TLS.

use super::*;
use crate::tls::{Authority, Clients, Pair};
use bytes::Bytes;
use headgate_control::{Applied, LedgerEntry, LedgerLine, PodReport, Problem};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody, combinators::BoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::TokioIo;
use k8s_openapi::jiff::Timestamp;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{broadcast, watch};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::{BroadcastStream, WatchStream};
use tokio_util::task::AbortOnDropHandle;

mod standby;

const NAME: &str = "live.n.media.headgate";

/// A pod: what it reports, what was put into it, which sessions were ended.
#[derive(Clone)]
struct Played {
    report: watch::Sender<PodReport>,
    pushed: Arc<Mutex<Vec<String>>>,
    kicked: Arc<Mutex<Vec<String>>>,
    drained: Arc<Mutex<Vec<String>>>,
    refuses: Option<String>,
    /// What its ledger says at first, and then; `None` ends the stream.
    ledger: Option<Told>,
    /// What it sends instead of reports.
    lies: Option<Lie>,
}

type Lie = fn() -> Body;
type Told = (Arc<Mutex<Vec<LedgerLine>>>, broadcast::Sender<Option<LedgerLine>>);

type Body = BoxBody<Bytes, Infallible>;

impl Played {
    fn new() -> Self {
        let report = PodReport {
            instance: "i".into(),
            sequence: 1,
            ready: true,
            ..PodReport::default()
        };
        Self {
            report: watch::channel(report).0,
            pushed: Arc::default(),
            kicked: Arc::default(),
            drained: Arc::default(),
            refuses: None,
            ledger: None,
            lies: None,
        }
    }

    fn with_ledger(open: impl IntoIterator<Item = u128>) -> Self {
        let lines = open.into_iter().map(opened).collect();
        Self {
            ledger: Some((Arc::new(Mutex::new(lines)), broadcast::channel(64).0)),
            ..Self::new()
        }
    }

    fn lying(lies: Lie) -> Self {
        Self {
            lies: Some(lies),
            ..Self::new()
        }
    }

    /// As a pod does that has nothing to say.
    fn keeps_reporting(&self) -> AbortOnDropHandle<()> {
        let report = self.report.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(500)).await;
                report.send_modify(|r| r.sequence = r.sequence.saturating_add(1));
            }
        }))
    }

    fn says(&self, line: Option<LedgerLine>) {
        self.ledger.as_ref().unwrap().1.send(line).unwrap();
    }

    fn ledger_lines(&self) -> Option<Body> {
        let (lines, news) = self.ledger.as_ref()?;
        let news = BroadcastStream::new(news.subscribe()).map_while(|line| line.ok().flatten());
        let first: Vec<LedgerLine> = lines.lock().iter().cloned().chain([LedgerLine::Synced]).collect();
        let lines = tokio_stream::iter(first).chain(news).map(|line| {
            let line = serde_json::to_string(&line).unwrap() + "\n";
            Ok::<_, Infallible>(Frame::data(Bytes::from(line)))
        });
        Some(BodyExt::boxed(StreamBody::new(lines)))
    }

    async fn listen(&self, tls: ServerConfig) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, pod) = (listener.local_addr().unwrap(), self.clone());
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (pod, acceptor) = (pod.clone(), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else { return };
                    let answer = hyper::service::service_fn(move |r| {
                        let pod = pod.clone();
                        async move { Ok::<_, Infallible>(pod.answer(r).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(tls), answer)
                        .await;
                });
            }
        });
        address
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match (request.method().as_str(), path.as_str()) {
            ("GET", "/v1/report") if let Some(lies) = self.lies => Response::new(lies()),
            ("GET", "/v1/ledger") if let Some(lines) = self.ledger_lines() => Response::new(lines),
            ("GET", "/v1/report") => {
                let lines = WatchStream::new(self.report.subscribe()).map(|report| {
                    let line = serde_json::to_string(&report).unwrap() + "\n";
                    Ok::<_, Infallible>(Frame::data(Bytes::from(line)))
                });
                Response::new(BodyExt::boxed(StreamBody::new(lines)))
            }
            ("PUT", "/v1/config") => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let config: PodConfig = serde_json::from_slice(&body).unwrap();
                self.put(&config.revision)
            }
            ("PUT", "/v1/drain") => {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                let wanted: headgate_control::DrainRequest = serde_json::from_slice(&body).unwrap();
                self.drain(Some(wanted.deadline))
            }
            ("DELETE", "/v1/drain") => self.drain(None),
            ("DELETE", path) => {
                let session = path.rsplit('/').next().unwrap().to_owned();
                let known = session.starts_with('k');
                self.kicked.lock().push(session);
                let code = if known {
                    StatusCode::NO_CONTENT
                } else {
                    StatusCode::NOT_FOUND
                };
                json(code, &())
            }
            _ => json(StatusCode::NOT_FOUND, &()),
        }
    }

    fn drain(&self, deadline: Option<Timestamp>) -> Response<Body> {
        self.drained
            .lock()
            .push(deadline.map_or_else(|| "no".into(), |d| d.to_string()));
        let report = |deadline| headgate_control::DrainReport {
            deadline,
            publishers: 1,
            viewers: 0,
        };
        self.report.send_modify(|r| {
            r.draining = deadline.map(report);
            r.sequence = r.sequence.saturating_add(1);
        });
        json(StatusCode::NO_CONTENT, &())
    }

    fn put(&self, revision: &str) -> Response<Body> {
        self.pushed.lock().push(revision.to_owned());
        if self.refuses.as_deref() == Some(revision) {
            let problem = Problem {
                reason: "BadConfig".into(),
                message: "no".into(),
            };
            return json(StatusCode::UNPROCESSABLE_ENTITY, &problem);
        }
        self.report.send_modify(|r| {
            revision.clone_into(&mut r.revision);
            r.sequence = r.sequence.saturating_add(1);
        });
        let applied = Applied {
            revision: revision.into(),
        };
        json(StatusCode::OK, &applied)
    }
}

fn json(code: StatusCode, value: &impl serde::Serialize) -> Response<Body> {
    let text = serde_json::to_vec(value).unwrap();
    let mut answer = Response::new(http_body_util::Full::new(Bytes::from(text)).boxed());
    *answer.status_mut() = code;
    answer
}

fn authority() -> Authority {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Authority::issue("live", Timestamp::now()).unwrap()
}

fn certificate(pair: &Pair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.certificate.as_bytes()).unwrap()
}

/// As a pod is set up: only clients of this CA.
fn serving(authority: &Authority, name: &str) -> ServerConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate(authority.pair())).unwrap();
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
    let pair = authority.server(name, Timestamp::now()).unwrap();
    ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![certificate(&pair)],
            PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap(),
        )
        .unwrap()
}

fn peer(address: SocketAddr, authority: &Authority) -> Peer {
    Peer {
        address,
        name: NAME.into(),
        tls: Clients::default().get("u", authority, Timestamp::now()).unwrap(),
    }
}

fn config(revision: &str) -> PodConfig {
    let yaml = format!(
        "{{revision: '{revision}', server: {{namespace: n, name: live, uid: u}}, listeners: [], publish: {{authentication: None, onConflict: Reject}}, play: {{authentication: None, gopCache: true, maxLatencyMilliseconds: 0}}}}"
    );
    serde_yaml::from_str(&yaml).unwrap()
}

fn links() -> (Links, Arc<Mutex<Vec<Changes>>>) {
    let told: Arc<Mutex<Vec<Changes>>> = Arc::default();
    let tell = told.clone();
    let wake: Wake = Arc::new(move |_, changes| tell.lock().push(changes));
    let metrics = Arc::new(Metrics::new().unwrap());
    (Links::new(Claim::always(), metrics, wake), told)
}

fn pod() -> ObjectKey {
    ObjectKey::new("n", "live-0")
}

fn sync(links: &Links, peer: &Peer, revision: &str) {
    wish(links, peer, revision, Wish::AsItIs);
}

fn wish(links: &Links, peer: &Peer, revision: &str, wish: Wish) {
    let config = config(revision);
    let body = Bytes::from(serde_json::to_vec(&config).unwrap());
    let target = Target {
        pod: pod(),
        uid: "p".into(),
        peer: peer.clone(),
        wish,
    };
    links.sync(&ObjectKey::new("n", "live"), "u", &config, &body, vec![target]);
}

async fn until(links: &Links, wanted: impl Fn(&View) -> bool) -> View {
    let seen = async {
        loop {
            if let Some(view) = links.view(&pod(), "p").filter(|v| wanted(v)) {
                return view;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(30), seen).await.unwrap()
}

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

fn opened(n: u128) -> LedgerLine {
    LedgerLine::Open(LedgerEntry {
        session: uuid::Uuid::from_u128(n),
        sealed: n.to_string(),
    })
}

fn server() -> ObjectKey {
    ObjectKey::new("n", "live")
}

async fn until_open(links: &Links, wanted: &[u128]) {
    let seen = async {
        loop {
            let kept = links.ledgers(&server());
            let mut open: Vec<u128> = kept
                .iter()
                .filter(|k| k.ledger.lock().is_known())
                .flat_map(|k| k.ledger.lock().sessions().map(|(s, _)| s.as_u128()).collect::<Vec<_>>())
                .collect();
            open.sort_unstable();
            if open == wanted && !kept.is_empty() && kept[0].ledger.lock().is_known() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), seen).await.unwrap();
}

/// As when the pod's object is gone.
fn sync_none(links: &Links) {
    links.sync(&server(), "u", &config("1"), &Bytes::new(), vec![]);
}

#[tokio::test]
async fn what_a_pod_has_open_is_known_and_heard_to_its_end() {
    let (played, authority, (links, _)) = (Played::with_ledger([1, 2]), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    until_open(&links, &[1, 2]).await;
    played.says(Some(opened(3)));
    until_open(&links, &[1, 2, 3]).await;

    played.ledger.as_ref().unwrap().0.lock().remove(0);
    played.says(None);
    until_open(&links, &[2]).await;

    sync_none(&links);
    assert!(links.view(&pod(), "p").is_none());
    let closed = LedgerLine::Closed {
        session: uuid::Uuid::from_u128(2),
    };
    played.says(Some(closed));
    until_open(&links, &[]).await;
    links.forget(&server());
    assert!(links.ledgers(&server()).is_empty());
}

#[tokio::test]
async fn what_a_pod_had_open_stays_known_when_it_is_gone_and_is_not_dialled_again() {
    let (played, authority, (links, _)) = (Played::with_ledger([1]), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    until_open(&links, &[1]).await;
    sync_none(&links);
    // Whoever has its address now is another.
    played.ledger.as_ref().unwrap().0.lock().clear();
    played.says(None);
    tokio::time::sleep(Duration::from_millis(700)).await;
    until_open(&links, &[1]).await;
    assert_eq!(links.ledgers(&server())[0].ledger.lock().silence(Instant::now()), None);
    links.drop_ledger("p");
    assert!(links.ledgers(&server()).is_empty());
}

#[tokio::test]
async fn a_pod_of_an_older_image_is_left_alone() {
    let (played, authority, (links, _)) = (Played::new(), authority(), links());
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    let view = until(&links, |v| v.revision == "1").await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(view.problem.is_none() && links.view(&pod(), "p").unwrap().connected);
    let kept = links.ledgers(&server());
    assert!(!kept[0].ledger.lock().is_known());
}

fn sends(chunks: impl tokio_stream::Stream<Item = Vec<u8>> + Send + Sync + 'static) -> Body {
    let frames = chunks.map(|bytes| Ok::<_, Infallible>(Frame::data(Bytes::from(bytes))));
    BodyExt::boxed(StreamBody::new(frames))
}

fn again_and_again(chunk: &'static [u8]) -> Body {
    sends(tokio_stream::iter(std::iter::repeat_with(|| chunk.to_vec())))
}

fn twice() -> Body {
    let stream = "{\"vhost\":\"v\",\"app\":\"a\",\"stream\":\"s\",\"session\":\"00000000-0000-0000-0000-000000000001\",\"protocol\":\"RTMP\",\"address\":\"x\",\"clientId\":\"c\",\"started\":\"2027-01-01T00:00:00Z\",\"bitrateKilobits\":1}";
    let line = format!(
        "{{\"instance\":\"i\",\"sequence\":1,\"revision\":\"1\",\"ready\":true,\"streams\":[{stream},{stream}]}}\n"
    );
    sends(tokio_stream::once(line.into_bytes()))
}

#[tokio::test]
async fn a_pod_that_lies_is_not_believed_and_others_are_not_touched() {
    let cases: [(&str, Lie, &str); 5] = [
        (
            "invalid UTF-8",
            || again_and_again(b"{\"instance\":\"\xff\xfe\"}\n"),
            "PodNotUnderstood",
        ),
        ("no JSON", || again_and_again(b"hello\n"), "PodNotUnderstood"),
        (
            "a line without end",
            || again_and_again(&[b' '; 8192]),
            "PodNotUnderstood",
        ),
        ("one stream twice", twice, "PodNotUnderstood"),
        ("nothing at all", || sends(tokio_stream::empty()), "PodUnreachable"),
    ];
    let (honest, authority) = (Played::new(), authority());
    let (good, _) = links();
    let at = peer(honest.listen(serving(&authority, NAME)).await, &authority);
    sync(&good, &at, "1");
    until(&good, |v| v.revision == "1").await;
    let _reports = honest.keeps_reporting();
    for (name, lies, reason) in cases {
        let (played, (links, _)) = (Played::lying(lies), links());
        let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
        sync(&links, &peer, "1");
        let view = until(&links, |v| v.problem.is_some()).await;
        assert_eq!(view.problem.unwrap().reason, reason, "{name}");
        assert!(!view.connected && view.report.is_none(), "{name}");
    }
    assert!(good.view(&pod(), "p").unwrap().connected);
}

#[tokio::test]
async fn a_pod_that_dribbles_is_silent() {
    let (played, authority, (links, _)) = (
        Played::lying(|| {
            let ticks = tokio_stream::wrappers::IntervalStream::new(tokio::time::interval(Duration::from_millis(50)));
            sends(ticks.map(|_| b" ".to_vec()))
        }),
        authority(),
        links(),
    );
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    let view = until(&links, |v| v.problem.is_some()).await;
    assert_eq!(view.problem.unwrap().reason, "PodSilent");
}

#[tokio::test]
async fn a_pod_that_floods_is_read_no_faster_than_others_can_bear() {
    static SENT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let (played, authority, (links, told)) = (
        Played::lying(|| {
            sends(tokio_stream::iter(std::iter::repeat_with(|| {
                let n = SENT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                let padding = " ".repeat(512 << 10);
                let report =
                    format!("{{\"instance\":\"i\",\"sequence\":{n},\"revision\":\"1\",\"ready\":true}}{padding}\n");
                report.into_bytes()
            })))
        }),
        authority(),
        links(),
    );
    let peer = peer(played.listen(serving(&authority, NAME)).await, &authority);
    sync(&links, &peer, "1");
    until(&links, |v| v.connected).await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let heard = links.view(&pod(), "p").unwrap().report.unwrap().sequence;
    assert!(heard <= 96, "heard {heard} reports of 512 KiB in two seconds");
    assert!(told.lock().len() < 5, "what says nothing new wakes nobody");
}

#[tokio::test]
async fn viewers_of_every_pod_count_for_the_publisher_that_they_see_and_an_edge_alone_is_no_stream() {
    let (origin, edge, authority, (links, _)) = (Played::new(), Played::new(), authority(), links());
    let mut targets = Vec::new();
    for (name, played) in [("live-0", &origin), ("live-1", &edge)] {
        let address = played.listen(serving(&authority, NAME)).await;
        targets.push(Target {
            pod: ObjectKey::new("n", name),
            uid: name.into(),
            peer: peer(address, &authority),
            wish: Wish::AsItIs,
        });
    }
    let body = Bytes::from(serde_json::to_vec(&config("1")).unwrap());
    links.sync(&server(), "u", &config("1"), &body, targets);
    let relays = |session: u128, viewers: u32| {
        let yaml = format!(
            "{{vhost: __defaultVhost__, app: live, stream: alice, session: {}, from: live-0, viewers: {{RTMP: {viewers}, HTTP-FLV: 1}}}}",
            uuid::Uuid::from_u128(session)
        );
        edge.report
            .send_modify(|r| r.edges = vec![serde_yaml::from_str(&yaml).unwrap()]);
    };
    let at = ObjectKey::new("n", "live-live-alice");
    let seen = async |wanted: Option<(u32, u32)>| {
        let check = async {
            loop {
                let seen = links.sightings(&at).pop();
                let of = |s: &Sighting, p: &str| s.report.viewers.get(p).copied().unwrap_or(0);
                if seen.map(|s| (of(&s, "RTMP"), of(&s, "HTTP-FLV"))) == wanted {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(10), check).await.unwrap();
    };
    relays(1, 4);
    let heard = async {
        while links
            .view(&ObjectKey::new("n", "live-1"), "live-1")
            .is_none_or(|v| v.edge_names().count() == 0)
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(Duration::from_secs(10), heard).await.unwrap();
    seen(None).await;
    let stream = "{vhost: __defaultVhost__, app: live, stream: alice, session: 00000000-0000-0000-0000-000000000001, protocol: RTMP, address: x, clientId: c, started: 2027-01-01T00:00:00Z, bitrateKilobits: 1, viewers: {RTMP: 3}}";
    origin
        .report
        .send_modify(|r| r.streams = vec![serde_yaml::from_str(stream).unwrap()]);
    seen(Some((7, 1))).await;
    relays(1, 5);
    seen(Some((8, 1))).await;
    relays(2, 5);
    seen(Some((3, 0))).await;
}
