//! A server with some pods, in this process.

use headgate_control::{PodConfig, PodReport, pod_tls_name};
use headgate_hooks::Place;
use headgate_http::HlsKey;
use headgate_media_pod::control::{Tls, identity, router, serve};
use headgate_media_pod::pod::{Pod, Setup};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub struct Member {
    pub pod: Arc<Pod>,
    pub rtmp: u16,
    pub http: u16,
    pub control: u16,
    listener: Option<TcpListener>,
    tls: Arc<Tls>,
    folder: TempDir,
    pub stop: CancellationToken,
}

pub struct Server(pub Vec<Member>);

impl Drop for Server {
    fn drop(&mut self) {
        self.0.iter().for_each(|member| member.stop.cancel());
    }
}

impl Server {
    /// Pods `live-0` and so on, that know each other.
    pub async fn start(count: usize, on_conflict: &str) -> Self {
        Self::start_with(count, on_conflict, &[]).await
    }

    /// And further ones, that have just a control port.
    pub async fn start_with(count: usize, on_conflict: &str, further: &[u16]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let _ = tracing_subscriber::fmt()
            .with_env_filter("headgate=info")
            .with_test_writer()
            .try_init();
        let authority = Authority::new();
        let mut members = Vec::new();
        for _ in 0..count {
            members.push(Member::new(&authority).await);
        }
        let ports: Vec<u16> = members
            .iter()
            .map(|m| m.control)
            .chain(further.iter().copied())
            .collect();
        for (index, member) in members.iter_mut().enumerate() {
            member.run(index, &ports, on_conflict);
        }
        Self(members)
    }
}

/// On loopback, with what all pods of a server share.
fn setup() -> Setup<'static> {
    Setup {
        place: Place {
            allow_loopback: true,
            ..Place::default()
        },
        hls_key: Some(HlsKey::new(b"of this server")),
        ..Setup::default()
    }
}

/// A pod with a peer that answers as it is told.
pub async fn fake(routes: axum::Router) -> Server {
    let mut server = Server::start(2, "Reject").await;
    let real = server.0.remove(1);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ports = [server.0[0].control, listener.local_addr().unwrap().port()];
    tokio::spawn(serve(listener, Arc::clone(&real.tls), routes, server.0[0].stop.clone()));
    let config = server.0[0].config(&ports, "Reject");
    server.0[0].pod.apply(config).unwrap();
    real.stop.cancel();
    server
}

impl Member {
    async fn new(authority: &Authority) -> Self {
        let folder = tempfile::tempdir().unwrap();
        authority.mount(folder.path());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self {
            pod: Pod::with(&setup()).unwrap(),
            rtmp: free_port(),
            http: free_port(),
            control: listener.local_addr().unwrap().port(),
            listener: Some(listener),
            tls: Arc::new(Tls::load(folder.path()).unwrap()),
            folder,
            stop: CancellationToken::new(),
        }
    }

    fn run(&mut self, index: usize, ports: &[u16], on_conflict: &str) {
        let routes = router(Arc::clone(&self.pod));
        let listener = self.listener.take().unwrap();
        tokio::spawn(serve(listener, Arc::clone(&self.tls), routes, self.stop.clone()));
        self.pod.peers().identify(&format!("live-{index}"), identity(&self.tls));
        self.pod.apply(self.config(ports, on_conflict)).unwrap();
    }

    fn config(&self, ports: &[u16], on_conflict: &str) -> PodConfig {
        config(self.rtmp, self.http, ports, on_conflict)
    }

    /// Asks and tells a back end below a path of this pod's own.
    pub fn hook(&self, back_end: &str) {
        self.hook_of("SRS", &["Publish", "Unpublish", "Play", "Stop"], back_end);
    }

    /// The same in another dialect, or of other events.
    pub fn hook_of(&self, dialect: &str, events: &[&str], back_end: &str) {
        let hook = serde_json::json!({
            "name": "backend", "dialect": dialect, "urls": [format!("{back_end}/{}", self.rtmp)],
            "events": events, "timeoutMilliseconds": 3000, "failurePolicy": "Fail",
        });
        let mut config = PodConfig::clone(&self.pod.config().unwrap());
        config.hooks = vec![serde_json::from_value(hook).unwrap()];
        self.pod.apply(config).unwrap();
    }

    /// Certificates of another CA, as when they are renewed.
    pub fn renew(&self, authority: &Authority) {
        authority.mount(self.folder.path());
        assert!(self.tls.reload().unwrap());
    }

    pub fn metric(&self, name: &str) -> f64 {
        let families = self.pod.registry().gather();
        let family = families.iter().find(|f| f.name() == name).unwrap();
        let value = |m: &prometheus::proto::Metric| m.get_gauge().get_value() + m.get_counter().get_value();
        family.get_metric().iter().map(value).sum()
    }

    /// Of the series with this value of a label.
    pub fn metric_of(&self, name: &str, label: &str) -> f64 {
        let families = self.pod.registry().gather();
        let family = families.iter().find(|f| f.name() == name).unwrap();
        let is_it = |m: &&prometheus::proto::Metric| m.get_label().iter().any(|l| l.value() == label);
        family
            .get_metric()
            .iter()
            .find(is_it)
            .unwrap()
            .get_counter()
            .get_value()
    }

    /// Waits until the pod's report is as wanted.
    pub async fn reports(&self, what: &str, wanted: impl Fn(&PodReport) -> bool) -> PodReport {
        let start = Instant::now();
        loop {
            let report = self.pod.report();
            if wanted(&report) {
                return report;
            }
            assert!(start.elapsed() < Duration::from_secs(10), "{what}: {report:#?}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

/// Of a pod with these listeners, among pods with these control ports.
pub fn config(rtmp: u16, http: u16, ports: &[u16], on_conflict: &str) -> PodConfig {
    let address = |port: &u16| format!("127.0.0.1:{port}");
    let peer = |(n, port)| serde_json::json!({"name": format!("live-{n}"), "address": address(port)});
    let config = serde_json::json!({
        "revision": "r1", "server": {"namespace": "ns", "name": "live", "uid": "u"},
        "listeners": [{"name": "rtmp", "protocol": "RTMP", "port": rtmp}, {"name": "http", "protocol": "HTTP", "port": http}],
        "publish": {"authentication": "None", "onConflict": on_conflict},
        "play": {"authentication": "None", "gopCache": true, "maxLatencyMilliseconds": 0},
        "peers": ports.iter().enumerate().map(peer).collect::<Vec<_>>(),
    });
    serde_json::from_value(config).unwrap()
}

pub struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        let issuer = Issuer::new(params, key);
        Self { pem, issuer }
    }

    pub fn mount(&self, folder: &Path) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![pod_tls_name("ns", "live")]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        std::fs::write(folder.join("tls.crt"), certificate).unwrap();
        std::fs::write(folder.join("tls.key"), key.serialize_pem()).unwrap();
        std::fs::write(folder.join("ca.crt"), &self.pem).unwrap();
    }
}

/// Below the ports that connections get for themselves, and none twice.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = u16::try_from(std::process::id() % 8_000).unwrap();
    loop {
        let port = 20_000 + (first + NEXT.fetch_add(1, Ordering::Relaxed)) % 10_000;
        if std::net::TcpListener::bind(("::", port)).is_ok() {
            return port;
        }
    }
}
