//! All played pods: what kubelet and media pod would do about each pod that the operator makes.
//!
//! Each has a loopback address of its own, so that each has the control port, and the certificates of its server's Secret.

use super::pod::{Played, routes};
use super::sealed::Sealed;
use super::waits::Waits;
use crate::error::{Context as _, Error, Result};
use axum::Router;
use futures::StreamExt as _;
use headgate_control::{CONFIG_FILE, CONTROL_PORT, TLS_FILES};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, ResourceExt as _};
use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use serde_json::json;
use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;

/// On every child of a server.
const SERVER_LABEL: &str = "headgate.dev/server";
/// The first of the pods' addresses, unless it is said otherwise.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 77, 0, 1);

/// The pods that are played.
pub struct Fleet {
    client: Client,
    pods: Mutex<HashMap<String, Member>>,
    addresses: AtomicU32,
    sealed: Option<Sealed>,
    /// Keys with a limit that are awaited in a pod's configuration.
    pub in_force: Arc<Waits>,
    /// Publishers that were live in a pod that was taken away, as `NAMESPACE/POD STREAM`.
    lost: Mutex<Vec<String>>,
}

struct Member {
    pod: Option<Arc<Played>>,
    _task: AbortOnDropHandle<()>,
}

impl Fleet {
    /// No pod yet. Each is to say what its sessions' closing events need.
    pub fn sealing(client: Client, sealed: Sealed) -> Arc<Self> {
        Self::with(client, FIRST_ADDRESS, Some(sealed))
    }

    /// The same, with addresses from this one on, so that two fleets can be on one machine, and with no closing events.
    pub fn from_address(client: Client, first: Ipv4Addr) -> Arc<Self> {
        Self::with(client, first, None)
    }

    fn with(client: Client, first: Ipv4Addr, sealed: Option<Sealed>) -> Arc<Self> {
        Arc::new(Self {
            sealed,
            client,
            pods: Mutex::default(),
            addresses: AtomicU32::new(first.into()),
            in_force: Arc::default(),
            lost: Mutex::default(),
        })
    }

    /// Plays every pod of a media server, until dropped.
    pub async fn play(self: Arc<Self>) {
        let pods: Api<Pod> = Api::all(self.client.clone());
        let events = watcher(pods, watcher::Config::default().labels(SERVER_LABEL));
        let mut events = pin!(events.default_backoff());
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) if pod.metadata.deletion_timestamp.is_some() => {
                    self.end(&pod).await;
                }
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => self.seen(&pod),
                Ok(Event::Delete(pod)) => self.gone(&pod),
                Ok(_) => {}
                Err(error) => crate::ui::complain(format_args!("watch of pods: {error}")),
            }
        }
    }

    /// Those that serve.
    pub fn pods(&self) -> Vec<Arc<Played>> {
        self.pods.lock().values().filter_map(|m| m.pod.clone()).collect()
    }

    /// Those of a namespace that serve.
    pub fn pods_in(&self, namespace: &str) -> Vec<Arc<Played>> {
        let mut pods = self.pods();
        pods.retain(|pod| pod.namespace == namespace);
        pods
    }

    /// Publishers of a namespace that were cut: told to end, or live in a pod that was taken away.
    pub fn cut(&self, namespace: &str) -> Vec<String> {
        let here = format!("{namespace}/");
        let lost = self.lost.lock().clone();
        let mut cut: Vec<String> = lost.into_iter().filter(|l| l.starts_with(&here)).collect();
        cut.extend(self.pods_in(namespace).iter().flat_map(|pod| pod.kicked()));
        cut
    }

    /// A deletion is marked before it is done, and a client that is killed in between leaves it so: a kubelet then does it.
    async fn end(&self, pod: &Pod) {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &pod.namespace().unwrap_or_default());
        let this_one = Preconditions {
            uid: pod.uid(),
            resource_version: None,
        };
        let at_once = DeleteParams::default().grace_period(0).preconditions(this_one);
        match pods.delete(&pod.name_any(), &at_once).await {
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => {}
            Err(error) => crate::ui::complain(format_args!("pod {}: {error}", pod.name_any())),
            Ok(_) => {}
        }
    }

    fn gone(&self, pod: &Pod) {
        let member = self.pods.lock().remove(&pod.uid().unwrap_or_default());
        if let Some(played) = member.and_then(|m| m.pod) {
            let mut lost = self.lost.lock();
            lost.extend(played.kicked());
            lost.extend(played.live().into_iter().map(|stream| played.cut(&stream)));
        }
    }

    fn seen(self: &Arc<Self>, pod: &Pod) {
        let uid = pod.uid().unwrap_or_default();
        let mut pods = self.pods.lock();
        if pods.contains_key(&uid) {
            return;
        }
        let (fleet, pod) = (self.clone(), pod.clone());
        let task = tokio::spawn(async move {
            if let Err(error) = fleet.live(&pod).await {
                crate::ui::complain(format_args!("pod {}: {error}", pod.name_any()));
            }
        });
        let task = AbortOnDropHandle::new(task);
        pods.insert(uid, Member { pod: None, _task: task });
    }

    async fn live(&self, pod: &Pod) -> Result<()> {
        let namespace = pod.namespace().unwrap_or_default();
        let server = pod.labels().get(SERVER_LABEL).cloned().unwrap_or_default();
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &namespace);
        let secret = secrets.get(&format!("{server}-pod")).await.map_err(|e| failed(&e))?;
        let played = Arc::new(Played::new(
            (namespace.clone(), pod.name_any()),
            serde_json::from_slice(entry(&secret, CONFIG_FILE)?)?,
            self.in_force.clone(),
            self.sealed,
        ));
        let tls = TlsAcceptor::from(Arc::new(tls(&secret)?));
        let address = Ipv4Addr::from(self.addresses.fetch_add(1, Ordering::Relaxed));
        let listener = TcpListener::bind((address, CONTROL_PORT))
            .await
            .context(format_args!("{address}:{CONTROL_PORT}"))?;
        if let Some(member) = self.pods.lock().get_mut(&pod.uid().unwrap_or_default()) {
            member.pod = Some(played.clone());
        }
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let status = Patch::Merge(json!({ "status": running(address) }));
        pods.patch_status(&pod.name_any(), &PatchParams::default(), &status)
            .await
            .map_err(|e| failed(&e))?;
        serve(&listener, &tls, &routes(played)).await;
        Ok(())
    }
}

/// As a kubelet says it of a pod that runs and is ready.
fn running(address: Ipv4Addr) -> serde_json::Value {
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let yes = |kind: &str| json!({ "type": kind, "status": "True", "lastTransitionTime": now });
    let conditions = ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map(yes);
    json!({
        "phase": "Running",
        "conditions": conditions,
        "hostIP": "127.0.0.1",
        "podIP": address,
        "podIPs": [{ "ip": address }],
        "startTime": now,
        "containerStatuses": [{
            "name": "media", "ready": true, "started": true, "restartCount": 0, "image": "played:1", "imageID": "played",
            "containerID": "played://1", "state": { "running": { "startedAt": now } }
        }]
    })
}

async fn serve(listener: &TcpListener, tls: &TlsAcceptor, routes: &Router) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => if let Ok((socket, _)) = accepted {
                connections.spawn(connection(socket, tls.clone(), routes.clone()));
            },
            Some(_) = connections.join_next() => {}
        }
    }
}

/// What comes of a connection is seen on the operator's side.
async fn connection(socket: TcpStream, tls: TlsAcceptor, routes: Router) {
    let _ = socket.set_nodelay(true);
    if let Ok(socket) = tls.accept(socket).await {
        let service = TowerToHyperService::new(routes);
        let _ = http1::Builder::new()
            .serve_connection(TokioIo::new(socket), service)
            .await;
    }
}

fn tls(secret: &Secret) -> Result<ServerConfig> {
    let [certificate, key, authority] = TLS_FILES;
    let mut roots = RootCertStore::empty();
    roots.add(certificate_of(secret, authority)?).map_err(|e| failed(&e))?;
    let verifier = WebPkiClientVerifier::builder(Arc::new(roots))
        .build()
        .map_err(|e| failed(&e))?;
    let key = PrivateKeyDer::from_pem_slice(entry(secret, key)?).map_err(|e| failed(&e))?;
    ServerConfig::builder()
        .with_client_cert_verifier(verifier)
        .with_single_cert(vec![certificate_of(secret, certificate)?], key)
        .map_err(|e| failed(&e))
}

fn certificate_of(secret: &Secret, name: &str) -> Result<CertificateDer<'static>> {
    CertificateDer::from_pem_slice(entry(secret, name)?).map_err(|e| failed(&e))
}

fn entry<'a>(secret: &'a Secret, name: &str) -> Result<&'a [u8]> {
    let found = secret.data.as_ref().and_then(|data| data.get(name));
    found
        .map(|bytes| bytes.0.as_slice())
        .context(format_args!("Secret {} has no {name}", secret.name_any()))
}

fn failed(error: &dyn std::fmt::Display) -> Error {
    Error::new(error.to_string())
}
