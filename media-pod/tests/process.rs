//! The process itself: how it is started, what it says, how it ends.

#![allow(clippy::unwrap_used, reason = "a test may fail by panic")]

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

fn media_pod() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_media-pod"));
    command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .env_remove("RUST_LOG");
    command
}

fn free_port() -> u16 {
    std::net::TcpListener::bind("[::]:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

fn folder(manifests: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (at, manifest) in manifests.iter().enumerate() {
        std::fs::write(folder.path().join(format!("{at}.yaml")), manifest).unwrap();
    }
    folder
}

fn server(name: &str) -> String {
    let listeners = format!("[{{name: rtmp, protocol: RTMP, port: {}}}]", free_port());
    format!(
        "{{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {{name: {name}}}, spec: {{listeners: {listeners}}}}}"
    )
}

fn standalone(folder: &Path, admin: u16) -> Child {
    let admin = format!("127.0.0.1:{admin}");
    media_pod()
        .arg("--resources")
        .arg(folder)
        .args(["--admin", &admin])
        .spawn()
        .unwrap()
}

async fn ready(admin: u16) {
    let start = Instant::now();
    loop {
        let answer = reqwest::get(format!("http://127.0.0.1:{admin}/readyz")).await;
        if answer.is_ok_and(|a| a.status().is_success()) {
            return;
        }
        assert!(start.elapsed() < Duration::from_secs(10), "not ready");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn tell(child: &Child, signal: &str) {
    let id = child.id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", signal, &id])
            .status()
            .await
            .unwrap()
            .success()
    );
}

/// Exit code, standard output and the log.
async fn end(child: Child) -> (Option<i32>, String, String) {
    let output = tokio::time::timeout(Duration::from_secs(15), child.wait_with_output())
        .await
        .unwrap()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

#[tokio::test]
async fn a_signal_ends_it_in_peace() {
    for signal in ["TERM", "INT"] {
        let (folder, admin) = (folder(&[server("live")]), free_port());
        let child = standalone(folder.path(), admin);
        ready(admin).await;
        tell(&child, signal).await;
        let (code, _, log) = end(child).await;
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains("stopped"), "{log}");
    }
}

#[tokio::test]
async fn a_folder_that_gives_no_server_says_why_and_fails() {
    let cases = [
        (vec![], "there is no MediaServer"),
        (vec![server("a"), server("b")], "say which one with --server NAME"),
        (vec![server("a"), server("a")], "stands in \"0.yaml\" already"),
        (vec![server("a").replace("spec", "sepc")], "unknown field \"sepc\""),
    ];
    for (manifests, wanted) in cases {
        let folder = folder(&manifests);
        let (code, _, log) = end(standalone(folder.path(), free_port())).await;
        assert_eq!(code, Some(1));
        assert!(log.contains(wanted), "{wanted:?} is not in {log}");
    }
}

#[tokio::test]
async fn check_says_all_that_is_wrong_by_line_and_exit_code() {
    let check = async |manifests: &[String]| {
        let folder = folder(manifests);
        end(media_pod().arg("check").arg(folder.path()).spawn().unwrap()).await
    };
    let (code, said, _) = check(&[server("live")]).await;
    assert_eq!((code, said.as_str()), (Some(0), "all good\n"));
    let (code, said, _) = check(&[server("live"), server("other").replace("port", "prot")]).await;
    assert_eq!(code, Some(1));
    assert!(
        said.starts_with("1.yaml: MediaServer \"other\": BadValue: spec.listeners[0]"),
        "{said}"
    );
}

#[tokio::test]
async fn the_samples_are_good() {
    for folder in ["standalone"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../config/samples")
            .join(folder);
        let (code, said, _) = end(media_pod().arg("check").arg(path).spawn().unwrap()).await;
        assert_eq!(code, Some(0), "{said}");
    }
}

#[tokio::test]
async fn the_log_can_be_json() {
    let (code, _, log) = end(media_pod()
        .args(["--log-format", "json", "--resources", "/no/such/folder"])
        .spawn()
        .unwrap())
    .await;
    assert_eq!(code, Some(1));
    let line: serde_json::Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(line.get("level").unwrap(), "ERROR");
}

#[tokio::test]
async fn a_pod_of_a_cluster_without_certificates_does_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let ports = [free_port(), free_port()].map(|port| format!("127.0.0.1:{port}"));
    let mut command = media_pod();
    command
        .arg("run")
        .arg("--config-dir")
        .arg(folder.path())
        .arg("--state")
        .arg(folder.path().join("state"));
    command.args(["--metrics", &ports[0], "--control", &ports[1]]);
    let (code, _, log) = end(command.spawn().unwrap()).await;
    assert_eq!(code, Some(1));
    assert!(log.contains("tls.crt"), "{log}");
}

/// A certificate that is its own CA, and a config with one listener.
fn mount(folder: &Path, config: &str) {
    let signed = rcgen::generate_simple_self_signed(vec!["live.ns.media.headgate".into()]).unwrap();
    std::fs::write(folder.join("tls.crt"), signed.cert.pem()).unwrap();
    std::fs::write(folder.join("ca.crt"), signed.cert.pem()).unwrap();
    std::fs::write(folder.join("tls.key"), signed.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("config.json"), config).unwrap();
}

fn in_cluster(folder: &Path, metrics: u16) -> Child {
    let addresses = [metrics, free_port()].map(|port| format!("127.0.0.1:{port}"));
    let mut command = media_pod();
    command
        .arg("run")
        .arg("--config-dir")
        .arg(folder)
        .arg("--state")
        .arg(folder.join("state"));
    command
        .args(["--metrics", &addresses[0], "--control", &addresses[1]])
        .spawn()
        .unwrap()
}

#[tokio::test]
async fn a_pod_of_a_cluster_serves_from_its_mounted_config_alone() {
    let (folder, metrics, rtmp) = (tempfile::tempdir().unwrap(), free_port(), free_port());
    let config = serde_json::json!({
        "revision": "r1", "server": {"namespace": "ns", "name": "live", "uid": "u"},
        "listeners": [{"name": "rtmp", "protocol": "RTMP", "port": rtmp}],
        "publish": {"authentication": "None", "onConflict": "Reject"},
        "play": {"authentication": "None", "gopCache": true, "maxLatencyMilliseconds": 0},
    });
    mount(folder.path(), &config.to_string());
    let child = in_cluster(folder.path(), metrics);
    ready(metrics).await;
    assert!(tokio::net::TcpStream::connect(("127.0.0.1", rtmp)).await.is_ok());
    let resources = reqwest::get(format!("http://127.0.0.1:{metrics}/resources"))
        .await
        .unwrap();
    assert_eq!(resources.status(), 404, "a cluster has its own way to show objects");
    tell(&child, "TERM").await;
    let (code, _, log) = end(child).await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn a_pod_whose_config_cannot_be_used_waits_for_a_better_one() {
    let (folder, metrics) = (tempfile::tempdir().unwrap(), free_port());
    mount(folder.path(), "{half");
    let child = in_cluster(folder.path(), metrics);
    let start = Instant::now();
    let answer = loop {
        match reqwest::get(format!("http://127.0.0.1:{metrics}/readyz")).await {
            Ok(answer) => break answer,
            Err(_) if start.elapsed() < Duration::from_secs(10) => tokio::time::sleep(Duration::from_millis(20)).await,
            Err(error) => unreachable!("{error}"),
        }
    };
    assert_eq!(
        (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
        (503, "no config is in force\n")
    );
    tell(&child, "TERM").await;
    let (code, _, log) = end(child).await;
    assert_eq!(code, Some(0), "{log}");
}

#[tokio::test]
async fn a_process_without_descriptors_goes_on_when_it_has_some_again() {
    let port = free_port();
    let spec =
        format!("{{limits: {{connectionsPerPod: 1000}}, listeners: [{{name: rtmp, protocol: RTMP, port: {port}}}]}}");
    let server =
        format!("{{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {{name: live}}, spec: {spec}}}");
    let (folder, admin) = (folder(&[server]), free_port());
    let mut command = Command::new("sh");
    let child = command
        .args([
            "-c",
            "ulimit -n 64; exec \"$0\" \"$@\"",
            env!("CARGO_BIN_EXE_media-pod"),
        ])
        .arg("--resources")
        .arg(folder.path())
        .args(["--admin", &format!("127.0.0.1:{admin}")])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    ready(admin).await;
    let mut held = Vec::new();
    for _ in 0..100 {
        held.push(tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    // The last ones wait in the kernel: the process has no descriptor for them, and none for whoever asks how it is.
    tokio::time::sleep(Duration::from_millis(300)).await;
    drop(held);
    ready(admin).await;
    let page = reqwest::get(format!("http://127.0.0.1:{admin}/metrics")).await.unwrap();
    let page = page.text().await.unwrap();
    let errors = page
        .lines()
        .find_map(|l| l.strip_prefix("headgate_accept_errors_total "));
    assert!(errors.is_some_and(|n| n != "0"), "{page}");
    let mut socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let hello = [&[3][..], &[0; 1536]].concat();
    tokio::io::AsyncWriteExt::write_all(&mut socket, &hello).await.unwrap();
    let mut version = [0; 1];
    let answered = tokio::io::AsyncReadExt::read_exact(&mut socket, &mut version);
    tokio::time::timeout(Duration::from_secs(10), answered)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(version, [3]);
    tell(&child, "TERM").await;
    let (code, _, log) = end(child).await;
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("cannot accept connections; trying again"), "{log}");
    assert!(log.contains("connections are accepted again"), "{log}");
}
