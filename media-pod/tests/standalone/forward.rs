//! Streams that a back end has pushed on: over TLS, and to a server that no one here wrote.

use crate::back_end::BackEnd;
use crate::client::RtmpClient;
use crate::front::issue;
use crate::place::{Place, free_port, hook, manifest};
use axum::http::StatusCode;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

const NGINX_RTMP: &str = "/usr/lib/nginx/modules/ngx_rtmp_module.so";
const SOON: Duration = Duration::from_secs(20);

fn open_server(listeners: &str) -> String {
    manifest(
        "MediaServer",
        "live",
        &format!("publish: {{authentication: None}}, listeners: [{listeners}]"),
    )
}

/// Answers every question with this target.
async fn back_end_that_forwards_to(target: &str) -> BackEnd {
    let back_end = BackEnd::start().await;
    let body = format!(r#"{{"code":0,"data":{{"urls":["{target}"]}}}}"#);
    back_end.answer(StatusCode::OK, body.leak());
    back_end
}

fn asks_where_to_forward(back_end: &BackEnd) -> String {
    hook("back", &back_end.url).replace("[Connect, Close, Publish, Unpublish, Play, Stop]", "[Publish, Forward]")
}

/// A process that trusts these certificates and no others.
struct Origin {
    rtmp: u16,
    admin: u16,
    _folder: tempfile::TempDir,
    _child: Child,
}

impl Origin {
    async fn start(back_end: &BackEnd, trusts: &str) -> Self {
        let (folder, rtmp, admin) = (tempfile::tempdir().unwrap(), free_port(), free_port());
        let (resources, trusted) = (folder.path().join("resources"), folder.path().join("trusted.pem"));
        std::fs::create_dir(&resources).unwrap();
        let server = open_server(&format!("{{name: rtmp, protocol: RTMP, port: {rtmp}}}"));
        std::fs::write(resources.join("server.yaml"), server).unwrap();
        std::fs::write(resources.join("hook.yaml"), asks_where_to_forward(back_end)).unwrap();
        std::fs::write(&trusted, trusts).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_media-pod"))
            .arg("--resources")
            .arg(&resources)
            .args(["--admin", &format!("127.0.0.1:{admin}")])
            .env("SSL_CERT_FILE", &trusted)
            .env_remove("SSL_CERT_DIR")
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let origin = Self {
            rtmp,
            admin,
            _folder: folder,
            _child: child,
        };
        let start = Instant::now();
        while origin.page("/readyz").await.is_none() {
            assert!(start.elapsed() < SOON, "the process is not ready");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        origin
    }

    async fn page(&self, path: &str) -> Option<String> {
        let answer = reqwest::get(format!("http://127.0.0.1:{}{path}", self.admin))
            .await
            .ok()?;
        answer.error_for_status().ok()?.text().await.ok()
    }

    async fn metric(&self, name: &str) -> f64 {
        let page = self.page("/metrics").await.unwrap();
        let value = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")));
        value.unwrap().parse().unwrap()
    }
}

fn is_live(place: &Place) -> bool {
    place
        .pod
        .hub()
        .snapshot()
        .iter()
        .any(|stream| stream.publisher.is_some())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_over_tls_to_a_server_that_the_system_trusts_and_to_no_other() {
    let (port, cert, other) = (free_port(), issue("cert"), issue("other"));
    let target = Place::start(&[("cert", cert.secret.clone())]).await;
    let listener = format!("{{name: rtmps, protocol: RTMPS, port: {port}, tls: {{secretName: cert}}}}");
    target.put_in_force("server", &open_server(&listener)).await;
    let back_end = back_end_that_forwards_to(&format!("rtmps://localhost:{port}/live/copy")).await;

    let distrustful = Origin::start(&back_end, &other.pem).await;
    let mut publisher = RtmpClient::publish(distrustful.rtmp, "test").await.unwrap();
    let start = Instant::now();
    while distrustful.metric("headgate_push_failures_total").await < 2.0 {
        assert!(start.elapsed() < SOON, "it is not tried");
        assert!(publisher.is_live().await);
    }
    assert!(!is_live(&target));
    drop((publisher, distrustful));

    let origin = Origin::start(&back_end, &cert.pem).await;
    let mut publisher = RtmpClient::publish(origin.rtmp, "test").await.unwrap();
    let start = Instant::now();
    while !is_live(&target) {
        assert!(start.elapsed() < SOON, "it does not come");
        publisher.send_audio().await;
    }
    assert!(origin.metric("headgate_pushes_live").await > 0.0);
    publisher.unpublish().await;
    while is_live(&target) {
        assert!(start.elapsed() < SOON * 2, "it does not end");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// nginx with its RTMP module, in one process.
fn nginx(folder: &Path, port: u16) -> Child {
    let config = format!(
        "load_module {NGINX_RTMP};\ndaemon off;\nmaster_process off;\nuser root;\npid {0}/pid;\nerror_log {0}/log;\nevents {{}}\n\
         rtmp {{ server {{ listen 127.0.0.1:{port}; application live {{ live on; }} }} }}\n",
        folder.display()
    );
    let file = folder.join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    Command::new("nginx")
        .arg("-e")
        .arg(folder.join("log"))
        .arg("-c")
        .arg(&file)
        .kill_on_drop(true)
        .spawn()
        .unwrap()
}

fn is_missing() -> bool {
    let found = ["nginx", "ffmpeg"].map(|program| std::process::Command::new(program).arg("-version").output().is_ok());
    let is_missing = found.contains(&false) || !Path::new(NGINX_RTMP).exists();
    if is_missing {
        #[allow(clippy::print_stderr, reason = "a skipped test says so")]
        {
            eprintln!("skipped: nginx with its RTMP module, or ffmpeg, is not installed");
        }
    }
    is_missing
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_on_to_nginx_and_ffprobe_sees_it_there() {
    if is_missing() {
        return;
    }
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let _nginx = nginx(folder.path(), port);
    let back_end = back_end_that_forwards_to(&format!("rtmp://127.0.0.1:{port}/live/copy")).await;
    let place = Place::start(&[("hook", asks_where_to_forward(&back_end))]).await;
    let listener = format!("{{name: rtmp, protocol: RTMP, port: {}}}", place.rtmp);
    place.put_in_force("server", &open_server(&listener)).await;
    let _publisher = crate::media::publish(&format!("rtmp://127.0.0.1:{}/live/test", place.rtmp));
    place.shows_metric("headgate_pushes_live 1").await;
    let seen = crate::media::probe(&format!("rtmp://127.0.0.1:{port}/live/copy")).await;
    assert!(seen.contains("h264,320,240") && seen.contains("aac"), "{seen:?}");
    // What plays from there is decoded without an error.
    let decoded = Command::new("ffmpeg")
        .args("-v error -xerror -t 3 -i".split(' '))
        .arg(format!("rtmp://127.0.0.1:{port}/live/copy"))
        .args("-f null -".split(' '))
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let decoded = tokio::time::timeout(SOON, decoded).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&decoded.stderr);
    assert!(decoded.status.success() && said.is_empty(), "{said}");
}
