//! The back end: says yes to all, sometimes late, and keeps what came in its order.

use crate::error::{Context as _, Result};
use axum::Router;
use axum::extract::State;
use axum::http::HeaderMap;
use parking_lot::Mutex;
use rand::random_range;
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

/// One request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) action: String,
    /// Empty in `on_close`.
    pub(super) stream: String,
    /// Which comer it is, by the query that only it has; empty in `on_close`.
    pub(super) comer: String,
    /// Of its connection.
    pub(super) client: String,
    /// The event's id.
    pub(super) id: String,
}

type All = Arc<Mutex<Vec<Seen>>>;

/// See the module.
pub(super) struct Inbox {
    address: SocketAddr,
    all: All,
    _server: AbortOnDropHandle<()>,
}

impl Inbox {
    pub(super) async fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("a port for hooks")?;
        let address = listener.local_addr().context("a port for hooks")?;
        let all = All::default();
        let app = Router::new().fallback(receive).with_state(Arc::clone(&all));
        let server = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Ok(Self {
            address,
            all,
            _server: AbortOnDropHandle::new(server),
        })
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.all.lock().clone()
    }
}

async fn receive(State(all): State<All>, headers: HeaderMap, body: String) -> &'static str {
    let body: Value = serde_json::from_str(&body).unwrap_or_default();
    let text = |key: &str| body.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let id = headers.get("webhook-id").and_then(|id| id.to_str().ok());
    all.lock().push(Seen {
        action: text("action"),
        stream: text("stream"),
        comer: text("param"),
        client: text("client_id"),
        id: id.unwrap_or_default().to_owned(),
    });
    // So that kills come between the taking and the note of it, too.
    if random_range(0..20) == 0 {
        tokio::time::sleep(Duration::from_millis(random_range(0..30))).await;
    }
    "0"
}
