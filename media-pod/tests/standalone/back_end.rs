//! A back end that notes what it is asked and told, and answers as it is told to.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::routing::post;
use parking_lot::Mutex;
use serde_json::Value;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

type Answer = (StatusCode, &'static str);

pub struct BackEnd {
    pub url: String,
    inner: Arc<Inner>,
    _task: AbortOnDropHandle<()>,
}

struct Inner {
    /// With the path it came to.
    calls: Mutex<Vec<(String, Value)>>,
    marks: Mutex<Vec<(String, String)>>,
    answer: Mutex<Answer>,
    thinks: Mutex<Duration>,
}

impl BackEnd {
    pub async fn start() -> Self {
        let inner = Arc::new(Inner {
            calls: Mutex::default(),
            marks: Mutex::default(),
            answer: Mutex::new((StatusCode::OK, "{\"code\":0}")),
            thinks: Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let routes = Router::new()
            .route("/hooks", post(note))
            .route("/hooks/{pod}", post(note))
            .with_state(Arc::clone(&inner));
        let task = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self {
            url,
            inner,
            _task: AbortOnDropHandle::new(task),
        }
    }

    pub fn answer(&self, status: StatusCode, body: &'static str) {
        *self.inner.answer.lock() = (status, body);
    }

    /// How long it takes to answer.
    #[allow(dead_code, reason = "not every test that shares this has a slow one")]
    pub fn think(&self, time: Duration) {
        *self.inner.thinks.lock() = time;
    }

    pub fn calls(&self) -> Vec<Value> {
        self.inner.calls.lock().iter().map(|(_, call)| call.clone()).collect()
    }

    /// Those that came to a path below its URL, as pods have when each is told apart.
    #[allow(dead_code, reason = "not every test that shares this has several pods")]
    pub fn calls_at(&self, place: u16) -> Vec<Value> {
        let end = format!("/{place}");
        let calls = self.inner.calls.lock();
        let here = calls.iter().filter(|(path, _)| path.ends_with(&end));
        here.map(|(_, call)| call.clone()).collect()
    }

    /// Session and event of each call, by its headers.
    #[allow(dead_code, reason = "not every test that shares this pairs them")]
    pub fn marks(&self) -> Vec<(String, String)> {
        self.inner.marks.lock().clone()
    }

    /// `on_publish test` and so on, in the order in which they came.
    pub fn heard(&self) -> Vec<String> {
        let line = |call: &Value| format!("{} {}", text(call, "action"), text(call, "stream"));
        self.calls()
            .iter()
            .map(|call| line(call).trim_end().to_owned())
            .collect()
    }

    /// Waits until the call was heard.
    pub async fn hears(&self, wanted: &str) {
        let start = Instant::now();
        while !self.heard().iter().any(|line| line == wanted) {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{wanted:?} is not in {:?}",
                self.heard()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

pub fn text<'a>(call: &'a Value, field: &str) -> &'a str {
    call.get(field).and_then(Value::as_str).unwrap_or_default()
}

async fn note(State(inner): State<Arc<Inner>>, uri: Uri, headers: HeaderMap, body: Bytes) -> Answer {
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    let mark = (header("x-media-session"), header("x-media-event"));
    inner.marks.lock().push(mark);
    let call = (uri.path().to_owned(), serde_json::from_slice(&body).unwrap());
    inner.calls.lock().push(call);
    let thinks = *inner.thinks.lock();
    tokio::time::sleep(thinks).await;
    *inner.answer.lock()
}
