//! A proxy before the API server that does on purpose what networks and API servers do by accident.
//!
//! It speaks plain HTTP on loopback, so that a client's kubeconfig needs nothing but its address, and adds the identity that it was given.

use crate::error::{Context as _, Error, Result};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::{IntoResponse as _, Response};
use futures::StreamExt as _;
use http::{HeaderMap, Method, StatusCode, header};
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// The largest body that is passed on, in bytes.
const BODY_LIMIT: usize = 4 << 20;

/// What goes wrong. The default is nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Faults {
    /// This write takes effect, its answer is lost, and nothing is answered any more: counted from 1, since [`ApiProxy::set`].
    pub cut_after: Option<usize>,
    /// Each so-manieth write is answered with 409 and not passed on; 0 is none.
    pub conflict_every: usize,
    /// Each so-manieth request is answered with 429 and `Retry-After: 1`, and not passed on; 0 is none.
    pub busy_every: usize,
    /// Every request waits so long.
    pub delay: Duration,
    /// A watch breaks off after so long.
    pub watch_max: Option<Duration>,
    /// Each so-manieth watch is told that its version is too old; 0 is none.
    pub gone_every: usize,
}

impl Faults {
    /// Nothing goes wrong.
    pub const NONE: Self = Self {
        cut_after: None,
        conflict_every: 0,
        busy_every: 0,
        delay: Duration::ZERO,
        watch_max: None,
        gone_every: 0,
    };
}

/// The proxy. It ends when dropped.
#[derive(Debug)]
pub struct ApiProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    _serving: AbortOnDropHandle<()>,
}

#[derive(Debug)]
struct Shared {
    upstream: String,
    client: reqwest::Client,
    state: Mutex<Progress>,
    cut: watch::Sender<bool>,
}

#[derive(Debug, Default)]
struct Progress {
    faults: Faults,
    requests: usize,
    writes: usize,
    watches: usize,
    /// `PATCH /api/v1/namespaces/x/pods/y`, one a write.
    log: Vec<String>,
}

/// What becomes of one request.
enum Verdict {
    Pass,
    PassAndCut,
    Watch(Option<Duration>),
    Answer(StatusCode),
    Silence,
}

impl ApiProxy {
    /// A proxy to `upstream`, `https://HOST:PORT`, that trusts `authority` and is known there by `identity`: a certificate and its key, all of it PEM.
    pub async fn start(upstream: &str, authority: &[u8], identity: &[u8]) -> Result<Self> {
        let wrong = |error: reqwest::Error| Error::new(format!("the proxy's TLS: {error}"));
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(authority).map_err(wrong)?])
            .identity(reqwest::Identity::from_pem(identity).map_err(wrong)?)
            .http1_only()
            .build()
            .map_err(wrong)?;
        let shared = Arc::new(Shared {
            upstream: upstream.trim_end_matches('/').to_owned(),
            client,
            state: Mutex::default(),
            cut: watch::Sender::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.context("the proxy's port")?;
        let address = listener.local_addr().context("the proxy's port")?;
        let app = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let serving = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            address,
            shared,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    /// `http://IP:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this goes wrong, and nothing else; counts start anew.
    pub fn set(&self, faults: Faults) {
        let fresh = Progress {
            faults,
            ..Progress::default()
        };
        *self.shared.state.lock() = fresh;
        self.shared.cut.send_replace(false);
    }

    /// The writes that took effect since [`ApiProxy::set`], Leases apart.
    pub fn writes(&self) -> Vec<String> {
        self.shared.state.lock().log.clone()
    }

    /// Resolves when [`Faults::cut_after`] has struck.
    pub async fn is_cut(&self) {
        let mut cut = self.shared.cut.subscribe();
        let _ = cut.wait_for(|cut| *cut).await;
    }
}

impl Shared {
    /// Decides, and counts.
    fn judge(&self, request: &Request) -> (Verdict, Duration) {
        let mut state = self.state.lock();
        let faults = state.faults;
        if *self.cut.borrow() {
            return (Verdict::Silence, Duration::ZERO);
        }
        let path = request.uri().path();
        let is_lease = path.starts_with("/apis/coordination.k8s.io/");
        let is_watch = request
            .uri()
            .query()
            .is_some_and(|q| q.contains("watch=true") || q.contains("watch=1"));
        let is_write = !is_lease && ![Method::GET, Method::HEAD, Method::OPTIONS].contains(request.method());
        state.requests = state.requests.saturating_add(1);
        let verdict = if is_watch {
            state.watches = state.watches.saturating_add(1);
            if is_each(state.watches, faults.gone_every) {
                Verdict::Answer(StatusCode::GONE)
            } else {
                Verdict::Watch(faults.watch_max)
            }
        } else if !is_lease && is_each(state.requests, faults.busy_every) {
            Verdict::Answer(StatusCode::TOO_MANY_REQUESTS)
        } else if is_write {
            state.writes = state.writes.saturating_add(1);
            if is_each(state.writes, faults.conflict_every) {
                Verdict::Answer(StatusCode::CONFLICT)
            } else if faults.cut_after == Some(state.writes) {
                Verdict::PassAndCut
            } else {
                Verdict::Pass
            }
        } else {
            Verdict::Pass
        };
        if is_write && matches!(verdict, Verdict::Pass | Verdict::PassAndCut) {
            state.log.push(format!("{} {path}", request.method()));
        }
        (verdict, faults.delay)
    }

    async fn forward(&self, request: Request, limit: Option<Duration>) -> Result<Response> {
        let (parts, body) = request.into_parts();
        let path = parts.uri.path_and_query().map_or("/", |p| p.as_str());
        let body = axum::body::to_bytes(body, BODY_LIMIT).await;
        let body = body.map_err(|error| Error::new(format!("a request's body: {error}")))?;
        let mut headers = parts.headers;
        hop_by_hop(&mut headers);
        let request = self.client.request(parts.method, format!("{}{path}", self.upstream));
        let answer = request.headers(headers).body(body).send().await;
        let answer = answer.map_err(|error| Error::new(format!("the API server: {error}")))?;
        let (status, mut headers) = (answer.status(), answer.headers().clone());
        hop_by_hop(&mut headers);
        let bytes = answer.bytes_stream();
        let body = match limit {
            Some(limit) => Body::from_stream(bytes.take_until(tokio::time::sleep(limit))),
            None => Body::from_stream(bytes),
        };
        Ok((status, headers, body).into_response())
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (verdict, delay) = shared.judge(&request);
    tokio::time::sleep(delay).await;
    let passed = match verdict {
        Verdict::Silence => std::future::pending().await,
        Verdict::Answer(status) => return refusal(status),
        Verdict::Pass => shared.forward(request, None).await,
        Verdict::Watch(limit) => shared.forward(request, limit).await,
        Verdict::PassAndCut => {
            let _ = shared.forward(request, None).await;
            shared.cut.send_replace(true);
            std::future::pending().await
        }
    };
    passed.unwrap_or_else(|error| (StatusCode::BAD_GATEWAY, error.to_string()).into_response())
}

/// As the API server says it.
fn refusal(status: StatusCode) -> Response {
    let reason = match status {
        StatusCode::CONFLICT => "Conflict",
        StatusCode::GONE => "Expired",
        _ => "TooManyRequests",
    };
    let body = serde_json::json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "made up by a test", "reason": reason, "code": status.as_u16()});
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::RETRY_AFTER, "1")];
    (status, headers, body.to_string()).into_response()
}

fn is_each(count: usize, every: usize) -> bool {
    every > 0 && count.checked_rem(every) == Some(0)
}

fn hop_by_hop(headers: &mut HeaderMap) {
    for name in [
        header::HOST,
        header::CONNECTION,
        header::TRANSFER_ENCODING,
        header::CONTENT_LENGTH,
        header::ACCEPT_ENCODING,
    ] {
        headers.remove(name);
    }
}
