//! The HTTP client: HTTP/1.1, pooled, no proxy, no redirect, every dial through the guard.

use bytes::{Bytes, BytesMut};
use futures::FutureExt as _;
use futures::future::BoxFuture;
use headgate_control::{HookCredentials, HookNetworks};
use http::HeaderMap;
use http::header::{CACHE_CONTROL, RETRY_AFTER};
use jiff::Timestamp;
use prometheus::{IntCounter, IntCounterVec};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tower::util::MapResponseLayer;

use super::dial::{HttpDial, hang_up};
use super::guard::{AddressGuard, Forbidden};
use super::{Call, Dial, Transport, TransportError, Transports};
use crate::dialect::{ANSWER_MAX, Answer};

/// Name look-up, TCP and TLS together.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Below the 5 s after which common receivers close an idle connection, so that theirs does not cross our next request.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Idle connections a pool keeps to one host; as many as calls may be in flight.
const IDLE_CONNECTIONS: usize = 64;

/// Headers of an answer; one with more is none. Their bytes are bounded by the client, at some 400 KiB.
const HEADERS_MAX: usize = 100;

/// Makes [`Transport`]s over HTTP.
pub struct HttpTransports {
    guard: AddressGuard,
    /// Connections that calls went over, by whether they were there before.
    connections: IntCounterVec,
}

impl HttpTransports {
    /// Clients that dial only what the guard lets through. `connections` counts, with the label `reused`.
    pub fn new(guard: AddressGuard, connections: IntCounterVec) -> Self {
        Self { guard, connections }
    }

    fn builder(&self, credentials: &HookCredentials) -> reqwest::Result<reqwest::ClientBuilder> {
        let mut builder = self.plain_builder();
        if let Some(pem) = &credentials.authorities {
            builder = builder.tls_certs_only(reqwest::Certificate::from_pem_bundle(pem.as_bytes())?);
        }
        if let Some(pem) = &credentials.identity {
            builder = builder.identity(reqwest::Identity::from_pem(pem.reveal().as_bytes())?);
        }
        Ok(builder)
    }

    fn plain_builder(&self) -> reqwest::ClientBuilder {
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .http1_only()
            .http1_title_case_headers()
            .http1_max_headers(HEADERS_MAX)
            .pool_idle_timeout(IDLE_MAX)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .dns_resolver(self.guard.clone())
    }

    fn client(
        &self,
        credentials: &HookCredentials,
        finish: impl Fn(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Result<reqwest::Client, String> {
        let build = |builder: reqwest::ClientBuilder| finish(builder).build();
        let client = self.builder(credentials).and_then(build);
        if credentials.authorities.is_some() || credentials.identity.is_some() {
            return client.map_err(|error| format!("its certificates cannot be used: {}", innermost(&error)));
        }
        // An image without CA certificates must not take plain HTTP down with it: there, HTTPS trusts nobody.
        let client = client.or_else(|error| {
            tracing::warn!(
                error = innermost(&error),
                "no CA certificates: hooks over https will be refused"
            );
            build(self.plain_builder().tls_certs_only([]))
        });
        client.map_err(|error| innermost(&error))
    }
}

impl Transports for HttpTransports {
    fn restrict(&self, networks: &HookNetworks) -> bool {
        self.guard.restrict(networks)
    }

    fn pool(&self, credentials: &HookCredentials) -> Arc<dyn Transport> {
        let dialled = Arc::<AtomicU64>::default();
        let counted = |builder: reqwest::ClientBuilder| {
            let layer = count(&dialled, &self.connections);
            builder.connect_timeout(CONNECT_MAX).connector_layer(layer)
        };
        Arc::new(HttpTransport {
            client: self.client(credentials, counted),
            called: AtomicU64::new(0),
            counted: AtomicU64::new(0),
            reused: self.connections.with_label_values(&["true"]),
            guard: self.guard.clone(),
            dialled,
        })
    }

    fn dialler(&self, credentials: &HookCredentials) -> Arc<dyn Dial> {
        Arc::new(HttpDial {
            client: self.client(credentials, |builder| builder.connector_layer(hang_up())),
            guard: self.guard.clone(),
        })
    }
}

struct HttpTransport {
    client: Result<reqwest::Client, String>,
    guard: AddressGuard,
    /// Connections that were opened.
    dialled: Arc<AtomicU64>,
    /// Calls that were made.
    called: AtomicU64,
    /// Those of them that are counted in `reused`.
    counted: AtomicU64,
    reused: IntCounter,
}

/// Around the connector of a client: counts the connections that open.
fn count<C: 'static>(
    dialled: &Arc<AtomicU64>,
    connections: &IntCounterVec,
) -> MapResponseLayer<impl Fn(C) -> C + Clone + Send + Sync + 'static> {
    let (dialled, opened) = (Arc::clone(dialled), connections.with_label_values(&["false"]));
    MapResponseLayer::new(move |connection| {
        opened.inc();
        dialled.fetch_add(1, Ordering::Relaxed);
        connection
    })
}

impl HttpTransport {
    /// Counts a call. Which connection it goes over nobody says; in all there are as many that went over one that was there as there are more calls than
    /// connections.
    fn count_reused(&self) {
        let called = self.called.fetch_add(1, Ordering::Relaxed);
        let reused = called.saturating_sub(self.dialled.load(Ordering::Relaxed));
        let counted = self.counted.fetch_max(reused, Ordering::Relaxed);
        self.reused.inc_by(reused.saturating_sub(counted));
    }
}

impl Transport for HttpTransport {
    fn call(&self, call: Call) -> BoxFuture<'_, Result<Answer, TransportError>> {
        async move {
            self.guard
                .check_literal(&call.url)
                .map_err(|error| TransportError::Blocked(error.to_string()))?;
            let client = self
                .client
                .as_ref()
                .map_err(|error| TransportError::Connect(error.clone()))?;
            let request = client.post(call.url).headers(call.headers).body(call.body);
            let before = self.dialled.load(Ordering::Relaxed);
            self.count_reused();
            let sent = request.send().await.map_err(|error| classify(&error));
            match sent {
                // Nobody has opened a connection meanwhile, so this one was there before.
                Err(TransportError::Closed) if self.dialled.load(Ordering::Relaxed) == before => {
                    Err(TransportError::Stale)
                }
                sent => read(sent?).await,
            }
        }
        .boxed()
    }
}

async fn read(mut response: reqwest::Response) -> Result<Answer, TransportError> {
    let status = response.status().as_u16();
    let retry_after = response
        .headers()
        .get(RETRY_AFTER)
        .and_then(|value| value.to_str().ok())
        .and_then(retry_after);
    let max_age = max_age(response.headers());
    let mut body = BytesMut::new();
    let broken = |error: reqwest::Error| TransportError::Broken(innermost(&error));
    while let Some(chunk) = response.chunk().await.map_err(broken)? {
        if body.len().saturating_add(chunk.len()) > ANSWER_MAX {
            return Ok(Answer {
                status,
                body: None,
                retry_after,
                max_age,
            });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer {
        status,
        body: Some(Bytes::from(body)),
        retry_after,
        max_age,
    })
}

/// `Cache-Control` (RFC 9111 §5.2.2), as far as it says for how long.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut found = None;
    let values = headers
        .get_all(CACHE_CONTROL)
        .iter()
        .filter_map(|value| value.to_str().ok());
    for directive in values.flat_map(|value| value.split(',')).map(str::trim) {
        if directive.eq_ignore_ascii_case("no-store") || directive.eq_ignore_ascii_case("no-cache") {
            return Some(Duration::ZERO);
        }
        if let Some((name, seconds)) = directive.split_once('=')
            && name.eq_ignore_ascii_case("max-age")
        {
            found = seconds.trim_matches('"').parse().ok().map(Duration::from_secs);
        }
    }
    found
}

/// `Retry-After` in either form (RFC 9110 §10.2.3), as a time from now.
fn retry_after(value: &str) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(value.trim()).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(Timestamp::now())).unwrap_or_default())
}

/// Sorts an error of the client into ours, without its text, which names the URL.
pub(super) fn classify(error: &reqwest::Error) -> TransportError {
    if let Some(forbidden) = find::<Forbidden>(error) {
        return TransportError::Blocked(forbidden.to_string());
    }
    if error.is_connect() {
        let slow = error.is_timeout();
        return TransportError::Connect(if slow {
            "no connection within 1 s".into()
        } else {
            innermost(error)
        });
    }
    let closed = find::<hyper::Error>(error).is_some_and(|e| e.is_incomplete_message() || e.is_canceled());
    let reset = find::<std::io::Error>(error).is_some_and(|e| {
        use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
        matches!(
            e.kind(),
            BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof
        )
    });
    if closed || reset {
        TransportError::Closed
    } else {
        TransportError::Broken(innermost(error))
    }
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(error.source(), |error: &&'a (dyn Error + 'static)| (*error).source())
}

pub(super) fn find<E: Error + 'static>(error: &reqwest::Error) -> Option<&E> {
    sources(error).find_map(|source| source.downcast_ref::<E>())
}

fn innermost(error: &reqwest::Error) -> String {
    sources(error)
        .last()
        .map_or_else(|| "unknown error".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_read_from_cache_control_and_no_store_is_none() {
        let table = [
            ("max-age=60", Some(60)),
            ("private, Max-Age=\"5\"", Some(5)),
            ("max-age=60, no-store", Some(0)),
            ("no-cache", Some(0)),
            ("max-age=soon", None),
            ("s-maxage=9", None),
        ];
        for (text, seconds) in table {
            let headers = HeaderMap::from_iter([(CACHE_CONTROL, text.parse().expect("a header"))]);
            assert_eq!(max_age(&headers).map(|age| age.as_secs()), seconds, "{text}");
        }
    }

    #[test]
    fn retry_after_is_read_in_both_forms() {
        assert_eq!(retry_after("125"), Some(Duration::from_secs(125)));
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(retry_after("soon"), None);
        let later = Timestamp::now()
            .checked_add(jiff::SignedDuration::from_mins(10))
            .expect("in range");
        let text = jiff::fmt::rfc2822::DateTimePrinter::new()
            .timestamp_to_rfc9110_string(&later)
            .expect("printable");
        assert!(retry_after(&text).is_some_and(|d| d.as_secs() > 590 && d.as_secs() <= 600));
    }
}
