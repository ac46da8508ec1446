//! A dial without a call: the client connects as for a call (look-up, guard, TCP, TLS), and the connection is closed before
//! the client has it, so that no request can be on it.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tower::BoxError;
use tower::util::MapResultLayer;
use url::Url;

use super::client::{classify, find};
use super::guard::AddressGuard;
use super::{Dial, TransportError};

/// The connection opened. An error, so that the client does not go on.
#[derive(Debug, thiserror::Error)]
#[error("the connection opened")]
struct Opened;

/// Around the connector of a client: makes an error of every connection that opens.
pub(super) fn hang_up<C>() -> MapResultLayer<HangUp<C>> {
    MapResultLayer::new(close)
}

type HangUp<C> = fn(Result<C, BoxError>) -> Result<C, BoxError>;

fn close<C>(connected: Result<C, BoxError>) -> Result<C, BoxError> {
    connected.and_then(|_| Err(Opened.into()))
}

/// Dials through a client whose connector hangs up.
pub(super) struct HttpDial {
    pub(super) client: Result<reqwest::Client, String>,
    pub(super) guard: AddressGuard,
}

impl Dial for HttpDial {
    fn dial(&self, url: Url) -> BoxFuture<'_, Result<(), TransportError>> {
        async move {
            self.guard
                .check_literal(&url)
                .map_err(|error| TransportError::Blocked(error.to_string()))?;
            let client = self
                .client
                .as_ref()
                .map_err(|error| TransportError::Connect(error.clone()))?;
            match client.get(url).send().await {
                Err(error) if find::<Opened>(&error).is_none() => Err(classify(&error)),
                _ => Ok(()),
            }
        }
        .boxed()
    }
}
