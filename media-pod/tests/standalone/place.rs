//! A folder of manifests with a pod that runs on it.

use headgate_media_pod::admin;
use headgate_media_pod::pod::Pod;
use headgate_media_pod::standalone::{Runner, StandaloneOptions};
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

pub struct Place {
    pub pod: Arc<Pod>,
    pub rtmp: u16,
    pub http: u16,
    /// Taken by a restart.
    folder: Option<TempDir>,
    admin: String,
    stop: CancellationToken,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Place {
    /// A server, and the manifests given, each in a file of its own.
    pub async fn start(manifests: &[(&str, String)]) -> Self {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let folder = tempfile::tempdir().unwrap();
        let (rtmp, http) = (free_port(), free_port());
        write(folder.path(), "server", &server(rtmp, http));
        for (name, manifest) in manifests {
            write(folder.path(), name, manifest);
        }
        Self::on(folder, rtmp, http).await
    }

    /// What starts on a folder that is there.
    async fn on(folder: TempDir, rtmp: u16, http: u16) -> Self {
        let pod = Pod::new(true).unwrap();
        pod.watch();
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin = port.local_addr().unwrap();
        let options = StandaloneOptions {
            resources: folder.path().into(),
            server: None,
            state: None,
            admin,
        };
        let runner = Runner::start(options, Arc::clone(&pod)).unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(admin::serve(
            port,
            Arc::clone(&pod),
            Some(runner.resources()),
            stop.clone(),
        ));
        tokio::spawn(runner.watch(stop.clone()));
        Self {
            pod,
            rtmp,
            http,
            folder: Some(folder),
            admin: format!("http://{admin}"),
            stop,
        }
    }

    /// Ends, and starts anew on the same folder.
    pub async fn restart(mut self) -> Self {
        let folder = self.folder.take().unwrap();
        self.pod.stop().await;
        self.stop.cancel();
        Self::on(folder, self.rtmp, self.http).await
    }

    pub fn write(&self, name: &str, manifest: &str) {
        write(self.path(), name, manifest);
    }

    pub fn path(&self) -> &Path {
        self.folder.as_ref().unwrap().path()
    }

    /// Writes, and waits until another config is in force. Says how long that took.
    pub async fn put_in_force(&self, name: &str, manifest: &str) -> Duration {
        let revision = || self.pod.config().unwrap().revision.clone();
        let (before, start) = (revision(), Instant::now());
        self.write(name, manifest);
        while revision() == before {
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "the folder's change is not in force"
            );
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        start.elapsed()
    }

    pub fn admin_port(&self) -> u16 {
        self.admin.rsplit(':').next().unwrap().parse().unwrap()
    }

    pub async fn get(&self, path: &str) -> (u16, String) {
        let answer = reqwest::get(format!("{}{path}", self.admin)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Waits until `/resources` holds the text.
    pub async fn shows(&self, wanted: &str) {
        self.shows_on("/resources", wanted).await;
    }

    /// Waits until `/metrics` holds the text.
    pub async fn shows_metric(&self, wanted: &str) {
        self.shows_on("/metrics", wanted).await;
    }

    async fn shows_on(&self, path: &str, wanted: &str) {
        let start = Instant::now();
        loop {
            let page = self.get(path).await.1;
            if page.contains(wanted) {
                return;
            }
            assert!(
                start.elapsed() < Duration::from_secs(10),
                "{wanted:?} is not in\n{page}"
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

/// Whole at once, as editors and `kubectl` do it: written beside and moved over.
fn write(folder: &Path, name: &str, manifest: &str) {
    let beside = folder.join(format!(".{name}"));
    std::fs::write(&beside, manifest).unwrap();
    std::fs::rename(beside, folder.join(format!("{name}.yaml"))).unwrap();
}

/// One that nobody has, and that no other test of this process was given.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    loop {
        let port = std::net::TcpListener::bind("[::]:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        if GIVEN.lock().insert(port) {
            return port;
        }
    }
}

fn server(rtmp: u16, http: u16) -> String {
    manifest(
        "MediaServer",
        "live",
        &format!(
            "listeners: [{{name: rtmp, protocol: RTMP, port: {rtmp}}}, {{name: http, protocol: HTTP, port: {http}}}]"
        ),
    )
}

pub fn manifest(kind: &str, name: &str, spec: &str) -> String {
    format!("---\n{{apiVersion: headgate.dev/v1alpha1, kind: {kind}, metadata: {{name: {name}}}, spec: {{{spec}}}}}\n")
}

/// A StreamKey for app `live` with its Secret.
pub fn key(name: &str, secret: &str) -> String {
    let spec = format!("serverRefs: [{{name: live}}], stream: {{app: live}}, secretRef: {{name: {name}}}");
    let secret =
        format!("---\n{{apiVersion: v1, kind: Secret, metadata: {{name: {name}}}, stringData: {{key: {secret}}}}}\n");
    manifest("StreamKey", name, &spec) + &secret
}

/// A HookEndpoint for all events.
pub fn hook(name: &str, url: &str) -> String {
    let events = "[Connect, Close, Publish, Unpublish, Play, Stop]";
    manifest(
        "HookEndpoint",
        name,
        &format!("serverRefs: [{{name: live}}], dialect: SRS, urls: ['{url}'], events: {events}"),
    )
}
