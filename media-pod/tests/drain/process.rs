//! A media pod's process and what it serves.

use rcgen::generate_simple_self_signed;
use serde_json::json;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

pub const SOON: Duration = Duration::from_secs(10);

pub struct Process {
    child: Child,
    command: Command,
    pub rtmp: u16,
    pub http: u16,
    admin: u16,
    folder: TempDir,
}

impl Process {
    /// Alone, with a back end that is asked and told of everything, and no stream keys.
    pub async fn standalone(hooks: &str) -> Self {
        let (folder, [rtmp, http, admin, _]) = (tempfile::tempdir().unwrap(), ports());
        write_manifests(folder.path(), rtmp, http, hooks);
        let mut command = media_pod();
        command.arg("--resources").arg(folder.path());
        command.args(["--admin", &format!("127.0.0.1:{admin}")]);
        Self::start(command, folder, [rtmp, http, admin]).await
    }

    /// In a cluster, with another pod beside it.
    pub async fn one_of_two(deadline_seconds: u32) -> Self {
        let (folder, [rtmp, http, admin, control]) = (tempfile::tempdir().unwrap(), ports());
        write_mount(folder.path(), rtmp, http, deadline_seconds);
        let mut command = media_pod();
        command.arg("run").arg("--config-dir").arg(folder.path());
        command.arg("--state").arg(folder.path().join("state"));
        command.args(["--pod-name", "live-0", "--metrics", &format!("127.0.0.1:{admin}")]);
        command.args(["--control", &format!("127.0.0.1:{control}")]);
        Self::start(command, folder, [rtmp, http, admin]).await
    }

    /// The log of a process that finds a file where its state folder should be.
    pub async fn without_state() -> String {
        let (folder, [rtmp, http, admin, _]) = (tempfile::tempdir().unwrap(), ports());
        write_manifests(folder.path(), rtmp, http, "http://127.0.0.1:9/");
        let file = folder.path().join("state");
        std::fs::write(&file, "").unwrap();
        let mut command = media_pod();
        command.arg("--resources").arg(folder.path()).arg("--state").arg(file);
        command.args(["--admin", &format!("127.0.0.1:{admin}")]);
        let output = tokio::time::timeout(SOON, command.output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    async fn start(mut command: Command, folder: TempDir, [rtmp, http, admin]: [u16; 3]) -> Self {
        let child = command.spawn().unwrap();
        let process = Self {
            child,
            command,
            rtmp,
            http,
            admin,
            folder,
        };
        process.until_readyz("ok\n").await;
        process
    }

    /// SIGKILL, and the same command again.
    pub async fn kill_and_start_again(&mut self) {
        self.child.kill().await.unwrap();
        self.child = self.command.spawn().unwrap();
        self.until_readyz("ok\n").await;
    }

    pub async fn signal(&self, signal: &str) {
        let id = self.child.id().unwrap().to_string();
        let told = Command::new("kill").args(["-s", signal, &id]).status().await;
        assert!(told.unwrap().success());
    }

    pub async fn until_draining(&self) {
        self.until_readyz("draining\n").await;
    }

    async fn until_readyz(&self, wanted: &str) {
        let (start, url) = (Instant::now(), format!("http://127.0.0.1:{}/readyz", self.admin));
        loop {
            let said = match reqwest::get(&url).await {
                Ok(answer) => answer.text().await.unwrap_or_default(),
                Err(error) => error.to_string(),
            };
            if said == wanted {
                return;
            }
            assert!(start.elapsed() < SOON, "{wanted:?}: {said:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Status, `Connection` and body of a page on the media port.
    pub async fn get(&self, path: &str) -> (u16, Option<String>, String) {
        let answer = reqwest::get(format!("http://127.0.0.1:{}{path}", self.http))
            .await
            .unwrap();
        let close = answer
            .headers()
            .get("connection")
            .map(|v| v.to_str().unwrap().to_owned());
        (answer.status().as_u16(), close, answer.text().await.unwrap())
    }

    /// It ends by itself, in peace. The log comes back.
    pub async fn ends(self, within: Duration) -> String {
        let output = tokio::time::timeout(within, self.child.wait_with_output()).await;
        let output = output.expect("the process does not end").unwrap();
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(0), "{log}");
        log
    }
}

fn media_pod() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_media-pod"));
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command.kill_on_drop(true).env_remove("RUST_LOG");
    command
}

fn ports() -> [u16; 4] {
    let sockets = [(); 4].map(|()| std::net::TcpListener::bind("[::]:0").unwrap());
    sockets.map(|socket| socket.local_addr().unwrap().port())
}

fn write_manifests(folder: &Path, rtmp: u16, http: u16, hooks: &str) {
    let listeners =
        json!([{"name": "rtmp", "protocol": "RTMP", "port": rtmp}, {"name": "http", "protocol": "HTTP", "port": http}]);
    let server = json!({"listeners": listeners, "publish": {"authentication": "None"}});
    let events = ["Connect", "Close", "Publish", "Unpublish", "Play", "Stop"];
    let hook = json!({"serverRefs": [{"name": "live"}], "dialect": "SRS", "urls": [hooks], "events": events});
    for (kind, name, spec) in [("MediaServer", "live", server), ("HookEndpoint", "backend", hook)] {
        let object =
            json!({"apiVersion": "headgate.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        std::fs::write(folder.join(format!("{kind}.yaml")), object.to_string()).unwrap();
    }
}

fn write_mount(folder: &Path, rtmp: u16, http: u16, deadline_seconds: u32) {
    let signed = generate_simple_self_signed(vec!["live.ns.media.headgate".into()]).unwrap();
    let config = json!({
        "revision": "r1", "server": {"namespace": "ns", "name": "live", "uid": "u"},
        "listeners": [{"name": "rtmp", "protocol": "RTMP", "port": rtmp}, {"name": "http", "protocol": "HTTP", "port": http}],
        "publish": {"authentication": "None", "onConflict": "Reject"},
        "play": {"authentication": "None", "gopCache": true, "maxLatencyMilliseconds": 0},
        "drain": {"deadlineSeconds": deadline_seconds},
        "peers": [{"name": "live-0", "address": "127.0.0.1:9"}, {"name": "live-1", "address": "127.0.0.1:9"}],
    });
    let files = [
        ("tls.crt", signed.cert.pem()),
        ("ca.crt", signed.cert.pem()),
        ("tls.key", signed.signing_key.serialize_pem()),
        ("config.json", config.to_string()),
    ];
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
}
