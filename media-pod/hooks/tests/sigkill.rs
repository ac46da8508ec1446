//! A process that is killed at random points, again and again, over one folder: nothing that it had let in stays without its end.
//!
//! The process is this test executable once more, as `child`. It says on its standard output what it let in and what it ended; the receiver is here, and
//! outlives all of them. `HEADGATE_SIGKILLS=1000 cargo test -p headgate-hooks --test sigkill` kills so often.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test that panics fails, as it should"
)]

mod common;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::post;
use common::{endpoint, place, server, session_on};
use headgate_control::HookEndpoint;
use headgate_hooks::{Hooks, Storage};
use headgate_hub::{Connection, SessionKind, Traffic};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Streams of a process, each with one publisher after the other.
const STREAMS: usize = 8;
/// Notifications that are under way at an endpoint at most, and may be told twice when the process dies.
const IN_FLIGHT: usize = 64;
/// How long one test may go on killing.
const BUDGET: Duration = Duration::from_secs(12);

/// What came, in order.
#[derive(Clone, Debug)]
struct Got {
    action: String,
    stream: String,
    session: String,
    id: String,
}

type Inbox = Arc<Mutex<Vec<Got>>>;

async fn receive(State(inbox): State<Inbox>, headers: HeaderMap, body: String) -> &'static str {
    let body: serde_json::Value = serde_json::from_str(&body).expect("JSON");
    let header = |name: &str| headers[name].to_str().expect("text").to_owned();
    let got = Got {
        action: body["action"].as_str().unwrap_or_default().to_owned(),
        stream: header("x-media-stream"),
        session: header("x-media-session"),
        id: header("webhook-id"),
    };
    inbox.lock().push(got);
    // Now and then the answer is late, so that kills come between the taking and the note of it.
    if rand::random_range(0..20) == 0 {
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..30))).await;
    }
    "0"
}

/// Said by a child as the first thing.
const BORN: &str = "born";
/// Said once it has taken up what the one before it left.
const READY: &str = "ready";

/// One life of the process: recovers, then publishes and ends on all streams for ever.
async fn live(state: &Path, port: u16) {
    say(BORN);
    let storage = Storage {
        state: Some(state),
        seal: None,
    };
    let hooks = Hooks::new(&prometheus::Registry::new(), "v5q25s67", &place(true), &storage).expect("hooks");
    let to = HookEndpoint {
        urls: vec![format!("http://127.0.0.1:{port}/hook")],
        ..endpoint("backend")
    };
    hooks.reconfigure(&server(), &[to]);
    say(READY);
    if std::env::var_os("HEADGATE_LAST").is_some() {
        let left = hooks.flush(Duration::from_secs(20)).await;
        say(&format!("left {left}"));
        return;
    }
    let streams = (0..STREAMS).map(|n| publish_for_ever(&hooks, n));
    futures::future::join_all(streams).await;
}

async fn publish_for_ever(hooks: &Hooks, n: usize) {
    loop {
        let stream = format!("s{n}");
        let connection = Arc::new(Connection {
            client_id: headgate_hub::client_id(),
            ..(*common::connection(&stream)).clone()
        });
        hooks.connect(&connection).await.expect("yes");
        let session = session_on(SessionKind::Publish, &stream, connection.clone());
        hooks.publish(&session).await.expect("yes");
        say(&format!("open {n} {}", session.id));
        tokio::time::sleep(Duration::from_millis(rand::random_range(0..4))).await;
        hooks.unpublish(&session, Traffic::default());
        hooks.close(&connection, Traffic::default());
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    out.write_all(format!("\n#{line}\n").as_bytes()).expect("a pipe");
    out.flush().expect("a pipe");
}

/// Not a test: what the test below starts.
#[test]
#[ignore = "is started by the test below"]
fn child() {
    let Some(state) = std::env::var_os("HEADGATE_STATE") else {
        return;
    };
    let port = std::env::var("HEADGATE_PORT").expect("a port").parse().expect("a port");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(live(Path::new(&state), port));
}

/// Runs a child until some time after its birth, or after it is ready, then kills it; returns what it said.
fn life(state: &Path, port: u16, time: Option<Duration>) -> Vec<String> {
    let mut command = Command::new(std::env::current_exe().expect("this"));
    command
        .args(["--exact", "child", "--ignored", "--nocapture", "--test-threads=1"])
        .env("HEADGATE_STATE", state)
        .env("HEADGATE_PORT", port.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if time.is_none() {
        command.env("HEADGATE_LAST", "1");
    }
    let mut child = command.spawn().expect("a child");
    let out = BufReader::new(child.stdout.take().expect("a pipe"));
    let lines = out.lines().map_while(Result::ok);
    let mut said = lines.filter_map(|line| line.strip_prefix('#').map(str::to_owned));
    assert_eq!(said.next().as_deref(), Some(BORN));
    if rand::random_range(0..4) > 0 || time.is_none() {
        assert_eq!(said.next().as_deref(), Some(READY));
    }
    let reader = std::thread::spawn(move || said.collect::<Vec<_>>());
    if let Some(time) = time {
        std::thread::sleep(time);
        child.kill().expect("SIGKILL");
    }
    child.wait().expect("its end");
    reader.join().expect("what it said")
}

#[test]
fn kills_at_random_points_lose_nothing_and_mix_up_no_stream() {
    let kills: usize = std::env::var("HEADGATE_SIGKILLS").map_or(25, |n| n.parse().expect("a number"));
    let bounded = std::env::var_os("HEADGATE_SIGKILLS").is_none();
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let (inbox, state) = (Inbox::default(), tempfile::tempdir().expect("a folder"));
    let app = axum::Router::new()
        .route("/hook", post(receive))
        .with_state(inbox.clone());
    let listener = runtime
        .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
        .expect("a port");
    let port = listener.local_addr().expect("a port").port();
    runtime.spawn(async move { axum::serve(listener, app).await });

    let (started, mut opened, mut killed) = (Instant::now(), Vec::new(), 0);
    while killed < kills && !(bounded && started.elapsed() > BUDGET) {
        let time = Duration::from_millis(rand::random_range(30..400));
        opened.extend(life(state.path(), port, Some(time)));
        killed += 1;
    }
    let last = life(state.path(), port, None);
    assert_eq!(last, ["left 0"]);
    let got = inbox.lock().clone();
    let sessions = judge(&opened, &got);
    println!(
        "{killed} kills, {sessions} sessions, {} deliveries, {} of them repeats",
        got.len(),
        repeats(&got)
    );
    assert!(sessions > 0, "the test did something");
    let most = killed * IN_FLIGHT;
    assert!(
        repeats(&got) <= most,
        "{} repeats, {most} were under way",
        repeats(&got)
    );
}

/// Asserts that every session that was let in has one end, in the order of its stream; returns how many there were.
fn judge(opened: &[String], got: &[Got]) -> usize {
    let mut ends: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut ids: HashMap<(&str, &str), HashSet<&str>> = HashMap::new();
    let mut seen = HashSet::new();
    for got in got
        .iter()
        .filter(|got| got.action == "on_unpublish" || got.action == "on_close")
    {
        ids.entry((&got.session, &got.action)).or_default().insert(&got.id);
        if got.action == "on_unpublish" && seen.insert(&got.session) {
            ends.entry(&got.stream).or_default().push(&got.session);
        }
    }
    assert!(ids.values().all(|ids| ids.len() == 1), "one end has one id");
    let asked: HashSet<(&str, &str)> = got
        .iter()
        .filter(|got| got.action == "on_publish" || got.action == "on_connect")
        .map(|got| (got.action.as_str(), got.session.as_str()))
        .collect();
    for (session, action) in ids.keys() {
        let question = if *action == "on_close" {
            "on_connect"
        } else {
            "on_publish"
        };
        assert!(asked.contains(&(question, session)), "an end of what never began");
    }
    let mut order: HashMap<String, Vec<&str>> = HashMap::new();
    for line in opened {
        let mut words = line.split(' ');
        if let (Some("open"), Some(n), Some(session)) = (words.next(), words.next(), words.next()) {
            order
                .entry(format!("__defaultVhost__/live/s{n}"))
                .or_default()
                .push(session);
        }
    }
    for (stream, sessions) in &order {
        // A session may have an end without our having read of its beginning: the kill came between the two.
        let known: HashSet<&&str> = sessions.iter().collect();
        let told: Vec<&str> = ends[stream.as_str()]
            .iter()
            .copied()
            .filter(|s| known.contains(s))
            .collect();
        assert_eq!(&told, sessions, "{stream}: all, in order");
    }
    let close_of: HashSet<&str> = ids.keys().filter(|(_, a)| *a == "on_close").map(|(s, _)| *s).collect();
    let publishes = order.values().map(Vec::len).sum();
    assert!(close_of.len() >= publishes, "each connection is closed");
    publishes
}

fn repeats(got: &[Got]) -> usize {
    let told = got
        .iter()
        .filter(|got| got.action == "on_unpublish" || got.action == "on_close");
    let mut seen = HashSet::new();
    told.filter(|got| !seen.insert(&got.id)).count()
}
