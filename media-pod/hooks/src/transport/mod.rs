//! How a request gets to a back end: small traits, the guard over what may be dialled, and the HTTP client behind them.

mod client;
mod dial;
mod guard;

pub use client::HttpTransports;
pub use guard::{AddressGuard, Resolve};

use bytes::Bytes;
use futures::future::BoxFuture;
use headgate_control::{HookCredentials, HookNetworks};
use http::HeaderMap;
use std::sync::Arc;
use url::Url;

use crate::dialect::Answer;

/// One POST.
#[derive(Clone, Debug)]
pub struct Call {
    /// Where to.
    pub url: Url,
    /// All headers but `Host` and `Content-Length`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why no answer came. Messages hold no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportError {
    /// The address is one that hooks never go to.
    #[error("{0}")]
    Blocked(String),
    /// No connection: refused, no such name, no route, bad certificate, or too slow.
    #[error("cannot connect: {0}")]
    Connect(String),
    /// A connection that had been kept broke before the first byte of an answer: most likely the receiver was just about to close it.
    #[error("connection closed before an answer")]
    Stale,
    /// The connection broke before the first byte of an answer.
    #[error("connection closed before an answer")]
    Closed,
    /// No call was made at all.
    #[error("not called: {0}")]
    NotCalled(String),
    /// It broke later, or what came was no HTTP.
    #[error("connection broke: {0}")]
    Broken(String),
}

/// Carries calls. The caller bounds the time: dropping the future ends the call.
pub trait Transport: Send + Sync + 'static {
    /// Sends one request and reads its answer, of which at most [`crate::dialect::ANSWER_MAX`] bytes.
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, TransportError>>;
}

/// Opens connections to see whether they open. The caller bounds the time: dropping the future ends the attempt.
pub trait Dial: Send + Sync + 'static {
    /// Connects to the host and port of a URL the way a call would, and closes again without a request.
    fn dial(&self, url: Url) -> BoxFuture<'_, Result<(), TransportError>>;
}

/// Makes transports; each has a connection pool of its own.
pub trait Transports: Send + Sync + 'static {
    /// A new pool, for whoever proves itself by the certificates in these.
    fn pool(&self, credentials: &HookCredentials) -> Arc<dyn Transport>;
    /// What dials without a call.
    fn dialler(&self, credentials: &HookCredentials) -> Arc<dyn Dial>;
    /// Where dials may go from now on. True when that is not as it was.
    fn restrict(&self, _networks: &HookNetworks) -> bool {
        false
    }
}
