//! The other pods of the server, where HLS needs them.
//!
//! Each pod cuts for itself, and a viewer's requests may reach any of them. So a session stays in the pod where it began, its home, and a file in the
//! pod that cut it: words and names of files say which that is, and any other pod asks there in the viewer's place. When a home does not answer, or
//! goes, the pod that was asked begins the session anew.

use super::HlsPath;
use crate::connection::Peer;
use crate::server::{Options, Shared, VhostResolver};
use axum::response::Response;
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use futures::future::BoxFuture;
use headgate_hub::Hub;
use http::request::Parts;
use http::{HeaderMap, StatusCode};
use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Bytes that say which pod.
const HOME: usize = 4;
/// Bytes of other pods' files that are kept.
const KEPT_BYTES: u64 = 64 << 20;
/// How long they are. Who gets no playlist any more is to find no file any more.
const KEPT_FOR: Duration = Duration::from_secs(30);

/// A pod, as words and names of files say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Home([u8; HOME]);

/// What another pod is asked in a viewer's place: a GET.
#[derive(Clone, Debug)]
pub struct Question {
    /// Path and query.
    pub target: String,
    /// The viewer's.
    pub headers: HeaderMap,
    /// Where the viewer is.
    pub client: SocketAddr,
    /// How long the answer may take.
    pub patience: Duration,
}

/// The other pods of the server.
pub trait Elsewhere: Send + Sync {
    /// This pod.
    fn own(&self) -> Home;

    /// The answer of another pod. `None` when there is none of that home, when it cannot be reached, or when it takes no viewers any more.
    fn ask(&self, home: Home, question: Question) -> BoxFuture<'_, Option<Response<Bytes>>>;
}

/// Answers what other pods ask in their viewers' place.
#[derive(Clone)]
pub struct HlsHome(Arc<Shared>);

/// Files of other pods, each fetched once for all who ask.
#[derive(Clone)]
pub(crate) struct Fetched(Cache<String, Bytes>);

impl Home {
    /// The pod of this name.
    pub fn of(pod: &str) -> Self {
        let hash: [u8; 32] = Sha256::digest(pod).into();
        Self::first_of(&hash).unwrap_or(Self([0; HOME]))
    }

    fn first_of(bytes: &[u8]) -> Option<Self> {
        bytes.first_chunk().copied().map(Self)
    }

    pub(super) fn of_word(word: &str) -> Option<Self> {
        Self::first_of(&BASE64_URL_SAFE_NO_PAD.decode(word).ok()?)
    }

    /// Of a name of a file, or of what it begins with.
    pub(super) fn of_file(name: &str) -> Option<Self> {
        let mut bytes = [0; HOME];
        let digits = name.get(..HOME.saturating_mul(2))?;
        hex::decode_to_slice(digits, &mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Sixteen bytes that never were before, and begin with this.
    pub(super) fn unique(self) -> [u8; 16] {
        let mut unique = uuid::Uuid::new_v4().into_bytes();
        for (byte, home) in unique.iter_mut().zip(self.0) {
            *byte = home;
        }
        unique
    }
}

impl HlsHome {
    /// With the viewers of these listeners.
    pub fn new(hub: Hub, vhost: VhostResolver, hls: super::Hls) -> Self {
        let options = Options {
            hls,
            ..Options::new(vhost)
        };
        Self(Arc::new(Shared {
            hub,
            options,
            shutdown: CancellationToken::new(),
            tasks: TaskTracker::new(),
        }))
    }

    /// The answer from here, and from nowhere else, to a viewer at this address.
    pub async fn answer(&self, request: &Parts, client: SocketAddr) -> Response {
        match HlsPath::parse(request.uri.path()) {
            Some(path) => super::answer::here(&self.0, path, request, &Peer::of(client)).await,
            None => super::file::missing(),
        }
    }
}

impl Default for Fetched {
    fn default() -> Self {
        let weigh = |name: &String, bytes: &Bytes| {
            let weight = name.len().saturating_add(bytes.len());
            u32::try_from(weight).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder().max_capacity(KEPT_BYTES).weigher(weigh);
        Self(cache.time_to_live(KEPT_FOR).build())
    }
}

impl Fetched {
    /// The file of this name, from the pod that cut it.
    pub(super) async fn file(&self, elsewhere: &dyn Elsewhere, name: &str, question: Question) -> Option<Bytes> {
        let home = Home::of_file(name).filter(|home| *home != elsewhere.own())?;
        let fetch = async {
            let answer = elsewhere.ask(home, question).await?;
            (answer.status() == StatusCode::OK).then(|| answer.into_body())
        };
        self.0.optionally_get_with_by_ref(name, fetch).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_names_of_files_say_where_they_belong() {
        let (home, other) = (Home::of("live-0"), Home::of("live-1"));
        assert_ne!(home, other);
        let unique = home.unique();
        assert_eq!(Home::of_word(&BASE64_URL_SAFE_NO_PAD.encode(unique)), Some(home));
        let name = format!("{}-a-1.ts", hex::encode(unique));
        assert_eq!(Home::of_file(&name), Some(home));
        assert_ne!(unique, home.unique());
        for strange in ["", "abc", "zzzzzzzz-1.ts", "ééééé"] {
            assert_eq!(Home::of_file(strange), None, "{strange}");
        }
        assert_eq!(Home::of_word("!"), None);
        assert_eq!(Home::of_word("AA"), None);
    }
}
