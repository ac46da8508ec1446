//! Two processes of the media pod, each started as in a cluster.

use crate::client::RtmpClient;
use crate::place::{Authority, config, free_port};
use crate::watch::{Viewer, announce, pictures};
use headgate_control::CONFIG_FILE;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

struct Process {
    rtmp: u16,
    http: u16,
    metrics: u16,
    _child: Child,
    _folder: TempDir,
}

impl Process {
    fn start(authority: &Authority, index: usize, control: &[u16]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [rtmp, http, metrics] = [free_port(), free_port(), free_port()];
        let config = serde_json::to_vec(&config(rtmp, http, control, "Reject")).unwrap();
        std::fs::write(folder.path().join(CONFIG_FILE), config).unwrap();
        authority.mount(folder.path());
        let mut command = Command::new(env!("CARGO_BIN_EXE_media-pod"));
        command.arg("run").arg("--config-dir").arg(folder.path());
        command.arg("--state").arg(folder.path().join("state"));
        command.args(["--metrics", &format!("127.0.0.1:{metrics}")]);
        command.args(["--control", &format!("127.0.0.1:{}", control[index])]);
        command.env("POD_NAME", format!("live-{index}")).env_remove("RUST_LOG");
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        Self {
            rtmp,
            http,
            metrics,
            _child: child.spawn().unwrap(),
            _folder: folder,
        }
    }

    async fn ready(&self) {
        let start = Instant::now();
        let url = format!("http://127.0.0.1:{}/readyz", self.metrics);
        while !reqwest::get(&url).await.is_ok_and(|a| a.status().is_success()) {
            assert!(start.elapsed() < Duration::from_secs(10), "not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_process_has_another_plays_over_rtmp_and_http() {
    let authority = Authority::new();
    let control = [free_port(), free_port()];
    let processes = [0, 1].map(|index| Process::start(&authority, index, &control));
    for process in &processes {
        process.ready().await;
    }
    let [origin, edge] = &processes;
    let mut sender = RtmpClient::publish(origin.rtmp, "cam").await.unwrap();
    announce(&mut sender).await;
    pictures(&mut sender, 0, 10).await;
    let wanted: Vec<u32> = (0..10).collect();
    assert_eq!(Viewer::rtmp(origin.rtmp, "cam").await.numbers(10).await, wanted);
    let start = Instant::now();
    let mut viewer = Viewer::rtmp(edge.rtmp, "cam").await;
    viewer.next().await.unwrap();
    println!("first picture in another process after {:?}", start.elapsed());
    assert_eq!(viewer.numbers(9).await, wanted[1..]);
    assert_eq!(Viewer::http(edge.http, "cam").await.numbers(10).await, wanted);
    assert!(
        RtmpClient::publish(edge.rtmp, "cam").await.is_err(),
        "one name, one publisher"
    );
    let metrics = reqwest::get(format!("http://127.0.0.1:{}/metrics", edge.metrics))
        .await
        .unwrap();
    assert!(metrics.text().await.unwrap().contains("headgate_edges 1"));
}
