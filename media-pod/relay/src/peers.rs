//! [`Peers`]: the other pods of the server and a pooled client for each, made anew when an address or the certificates change.

use crate::PeerError;
use headgate_control::{Peer as Address, PodConfig, pod_tls_name};
use parking_lot::Mutex;
use reqwest::{Client, redirect, retry};
use rustls::ClientConfig;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use url::Url;

/// Below the time after which a control port closes an idle connection, so that its close does not cross our next request.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// Connections kept to one peer while they are idle.
const IDLE_CONNECTIONS: usize = 16;
/// TCP and TLS together.
const CONNECT_MAX: Duration = Duration::from_secs(1);

/// The certificate that this pod shows, and the CA that it trusts, as they are now. An equal pointer is an equal certificate.
pub type Identity = Arc<dyn Fn() -> Arc<ClientConfig> + Send + Sync>;

/// Another pod of the server.
#[derive(Clone, Debug)]
pub struct Peer {
    /// Name of the pod.
    pub name: Arc<str>,
    client: Client,
    base: Url,
    address: Address,
    /// The last request got no answer: said once in the log, however many follow.
    down: Arc<AtomicBool>,
}

impl Peer {
    /// Speaks to this pod and trusts no other.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Notes how a request went.
    pub(crate) fn note(&self, failure: Option<&PeerError>) {
        let was_down = self.down.swap(failure.is_some(), Ordering::Relaxed);
        let peer = &self.name;
        match failure {
            Some(error) if !was_down => {
                tracing::warn!(%peer, reason = error.reason(), %error, "a peer does not answer");
            }
            None if was_down => tracing::info!(%peer, "a peer answers again"),
            Some(_) | None => {}
        }
    }

    /// The URL of a path of its control port.
    pub fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(path);
        url
    }
}

/// Whoever the config in force names, but this pod. Nobody before [`Peers::identify`].
#[derive(Default)]
pub struct Peers(Mutex<State>);

#[derive(Default)]
struct State {
    own: Option<(String, Identity)>,
    tls_name: String,
    wanted: Vec<Address>,
    /// What `made` rests on.
    shown: Option<Arc<ClientConfig>>,
    made: Vec<Peer>,
}

impl Peers {
    /// Says which of the pods is this one, and what it shows to the others.
    pub fn identify(&self, own_name: &str, identity: Identity) {
        let mut state = self.0.lock();
        state.own = Some((own_name.to_owned(), identity));
        state.forget();
    }

    /// Puts the peers of a config in force.
    pub fn configure(&self, config: &PodConfig) {
        let mut state = self.0.lock();
        let tls_name = pod_tls_name(&config.server.namespace, &config.server.name);
        if state.tls_name != tls_name {
            state.forget();
            state.tls_name = tls_name;
        }
        state.wanted.clone_from(&config.peers);
    }

    /// The name of this pod among those of its server; empty before [`Peers::identify`].
    pub fn own_name(&self) -> String {
        let state = self.0.lock();
        state.own.as_ref().map(|(name, _)| name.clone()).unwrap_or_default()
    }

    /// Whether this pod can have peers at all.
    pub fn can_be(&self) -> bool {
        self.0.lock().own.is_some()
    }

    /// They, now.
    pub fn all(&self) -> Vec<Peer> {
        let mut state = self.0.lock();
        state.refresh();
        state.made.clone()
    }
}

impl State {
    fn forget(&mut self) {
        self.made.clear();
        self.shown = None;
    }

    /// Makes what is missing. Connections to peers that stay are kept.
    fn refresh(&mut self) {
        let Some((own, identity)) = &self.own else { return };
        let shows = identity();
        let same = self.shown.as_ref().is_some_and(|shown| Arc::ptr_eq(shown, &shows));
        let known = if same {
            std::mem::take(&mut self.made)
        } else {
            Vec::new()
        };
        let others = self.wanted.iter().filter(|peer| peer.name != *own);
        self.made = others
            .filter_map(|peer| {
                let kept = known.iter().find(|k| k.address == *peer).cloned();
                kept.or_else(|| make(peer, &self.tls_name, &shows))
            })
            .collect();
        self.shown = Some(shows);
    }
}

fn make(address: &Address, tls_name: &str, identity: &Arc<ClientConfig>) -> Option<Peer> {
    let client = Client::builder()
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(CONNECT_MAX)
        .pool_idle_timeout(IDLE_MAX)
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .resolve(tls_name, address.address)
        .tls_backend_preconfigured(ClientConfig::clone(identity))
        .build();
    let base = Url::parse(&format!("https://{tls_name}:{}", address.address.port()));
    match (client, base) {
        (Ok(client), Ok(base)) => Some(Peer {
            name: address.name.as_str().into(),
            client,
            base,
            address: address.clone(),
            down: Arc::default(),
        }),
        (Err(error), _) => {
            tracing::error!(peer = %address.name, %error, "no client for a peer");
            None
        }
        (_, Err(error)) => {
            tracing::error!(peer = %address.name, tls_name, %error, "no URL for a peer");
            None
        }
    }
}
