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

mod configuration;
mod ledgers;
mod liars;
mod standby;
mod streams;

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
