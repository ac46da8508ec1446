//! `cargo e2e bench soak`: what is left behind when streams restart and players come and go for long. No figure of speed: the server has all cores, and
//! so have publishers and players.

use super::clip;
use super::cpu;
use super::load::Outcome;
use super::server::{ADMIN, BOTH, HTTP, RTMP, Server, of_load, own};
use crate::benches::hls::own_playlist;
use crate::benches::release;
use crate::benches::results::{Figure, Results};
use crate::error::{Context as _, Result};
use crate::http_get::http_body;
use crate::ui::{say, step};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Seconds that a player stays, and that a publisher does on average.
const STAY: u64 = 20;
const RESTART: u64 = 30;
/// How often it is looked at the server.
const EVERY: Duration = Duration::from_secs(5);
/// How long what is left may take to go: the longest is what is kept for viewers of HLS who do not say goodbye.
const QUIET: Duration = Duration::from_mins(3);
/// Viewers of HLS, and how often each asks for a playlist before it goes to another stream.
const HLS_VIEWERS: usize = 20;
const HLS_LOOKS: usize = 10;

/// How to soak.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How long.
    #[arg(long, default_value_t = 10)]
    minutes: u64,
    /// Streams that restart.
    #[arg(long, default_value_t = 100)]
    streams: usize,
    /// Players at one time, over all protocols in turn.
    #[arg(long, default_value_t = 1000)]
    players: u64,
    /// Prints only, and keeps nothing.
    #[arg(long)]
    dry: bool,
}

/// The server at one moment.
#[derive(Clone, Copy, Debug)]
struct Look {
    at: Duration,
    memory: f64,
    descriptors: f64,
    tasks: f64,
    files: f64,
}

/// Soaks, prints and keeps what was seen.
pub async fn run(options: &Options) -> Result<()> {
    let programs = release::programs("headgate-media-pod").await?;
    let clip = step("clip of 100 kbit/s", clip::thin()).await?;
    let server = Server::start(&programs.join("release/media-pod"), 100, BOTH).await?;
    let before = step("before anybody soaks", rested(&server, options, &clip)).await?;
    let (mut looks, segments) = (Vec::new(), Arc::new(AtomicU64::new(0)));
    let mut viewers = JoinSet::new();
    for number in 0..HLS_VIEWERS {
        viewers.spawn(watch_hls(number, options.streams, Arc::clone(&segments)));
    }
    let outcome = tokio::select! {
        outcome = load(&server, options, Duration::from_mins(options.minutes), &clip) => outcome?,
        broken = keep_looking(&server, &mut looks) => return broken,
    };
    viewers.shutdown().await;
    let after = left(&server, before).await?;
    server.stop().await?;
    let figures = figures(&outcome, &looks, (before, after), segments.load(Ordering::Relaxed));
    let results = Results {
        name: "soak",
        command: format!("cargo e2e bench soak --minutes {}", options.minutes),
        setting: format!(
            "{} streams of 100 kbit/s that leave after 15 to 45 s and come again a second later; {} players over RTMP, HTTP-FLV, WS-FLV, HTTP-TS and HTTP-fMP4 who stay {STAY} s \
             each, and {HLS_VIEWERS} viewers of HLS who go from stream to stream. Memory is fitted by a line, without the first quarter of {} min.",
            options.streams, options.players, options.minutes
        ),
        figures,
    };
    if options.dry {
        results
            .figures
            .iter()
            .for_each(|figure| say(format_args!("{figure:?}")));
        return Ok(());
    }
    results.save()
}

/// The server when a few have come and gone: what it makes for the first of them and keeps, as the journal of its hooks, is not left by those who soak.
async fn rested(server: &Server, options: &Options, clip: &Path) -> Result<Look> {
    let fresh = look(server, Duration::ZERO).await?;
    let few = Options {
        streams: 2,
        players: STAY,
        ..options.clone()
    };
    load(server, &few, Duration::from_secs(5), clip).await?;
    let most = Look {
        descriptors: f64::INFINITY,
        files: f64::INFINITY,
        ..fresh
    };
    left(server, most).await
}

async fn load(server: &Server, options: &Options, time: Duration, clip: &Path) -> Result<Outcome> {
    let mut command = own(&["bench", "load", "--address", HTTP, "--publish", RTMP, "--wire", "mixed"])?;
    let numbers = [
        ("--players", options.players.div_ceil(STAY)),
        ("--stay", STAY),
        ("--streams", options.streams as u64),
        ("--restart", RESTART),
        ("--seconds", time.as_secs()),
        ("--server", server.pid()?.into()),
    ];
    for (name, number) in numbers {
        command.args([name, &number.to_string()]);
    }
    command.arg("--clip").arg(clip).kill_on_drop(true);
    of_load(command).await
}

/// Ends only with an error.
async fn keep_looking(server: &Server, looks: &mut Vec<Look>) -> Result<()> {
    let begun = Instant::now();
    loop {
        tokio::time::sleep(EVERY).await;
        let seen = look(server, begun.elapsed()).await?;
        say(format_args!("{seen:?}"));
        looks.push(seen);
    }
}

async fn look(server: &Server, at: Duration) -> Result<Look> {
    let metrics = http_body(ADMIN, "/metrics").await?;
    let value = |name: &str| {
        let line = metrics
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse::<f64>().ok())
            .context(format_args!("no metric {name}"))
    };
    #[allow(clippy::cast_precision_loss, reason = "megabytes, and some files")]
    let (memory, files) = (
        cpu::resident(server.pid()?)? as f64 / f64::from(1 << 20),
        files(&server.state()) as f64,
    );
    Ok(Look {
        at,
        memory,
        descriptors: value("process_open_fds")?,
        tasks: value("headgate_tasks")?,
        files,
    })
}

/// Below a folder. What goes meanwhile is none.
fn files(folder: &Path) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let count = |entry: std::fs::DirEntry| {
        if entry.path().is_dir() { files(&entry.path()) } else { 1 }
    };
    entries.map(count).fold(0, usize::saturating_add)
}

/// What there still is when nobody is there any more.
async fn left(server: &Server, before: Look) -> Result<Look> {
    let begun = Instant::now();
    loop {
        let seen = look(server, begun.elapsed()).await?;
        let is_clean =
            seen.tasks <= before.tasks && seen.descriptors <= before.descriptors && seen.files <= before.files;
        if is_clean || begun.elapsed() > QUIET {
            return Ok(seen);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn watch_hls(number: usize, streams: usize, segments: Arc<AtomicU64>) {
    let mut stream = number;
    loop {
        stream = stream.wrapping_add(7).checked_rem(streams).unwrap_or(0);
        // A publisher that is away is no error here.
        let _ = watch_one(&format!("bench{stream}"), &segments).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

async fn watch_one(stream: &str, segments: &AtomicU64) -> Result<()> {
    let playlist = own_playlist(HTTP, stream).await?;
    for _ in 0..HLS_LOOKS {
        let text = http_body(HTTP, &playlist).await?;
        if let Some(segment) = text.lines().rfind(|line| !line.starts_with('#')) {
            http_body(HTTP, &format!("/live/{segment}")).await?;
            segments.fetch_add(1, Ordering::Relaxed);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    Ok(())
}

fn figures(outcome: &Outcome, looks: &[Look], (before, after): (Look, Look), segments: u64) -> Vec<Figure> {
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let count = |n: usize| n as f64;
    let later = looks.get(looks.len().div_ceil(4)..).unwrap_or_default();
    let (start, slope) = line(later);
    let span = later.last().map_or(0.0, |look| look.at.as_secs_f64());
    let first = later.first().map_or(0.0, |look| look.at.as_secs_f64());
    let at = |seconds: f64| start + slope * seconds;
    let most = |of: fn(&Look) -> f64| looks.iter().map(of).fold(0.0, f64::max);
    #[allow(clippy::cast_precision_loss, reason = "thousands")]
    let segments = segments as f64;
    vec![
        Figure::new("players that had their stream", count(outcome.live), ""),
        Figure::new(
            "players dead or starved",
            count(outcome.dead.saturating_add(outcome.starved)),
            "",
        )
        .goal(0.0),
        Figure::new("publishers that came", count(outcome.published), ""),
        Figure::new("segments of HLS that were fetched", segments, ""),
        Figure::new("memory before anybody came", before.memory, "MiB"),
        Figure::new("memory after all had left", after.memory, "MiB"),
        Figure::new("memory at its most", most(|look| look.memory), "MiB"),
        Figure::new("slope of memory", slope * 3600.0, "MiB/h"),
        Figure::new(
            "memory at the line's end / at its beginning",
            at(span) / at(first).max(1.0),
            "",
        )
        .goal(1.05),
        Figure::new("descriptors at their most", most(|look| look.descriptors), ""),
        Figure::new("descriptors left", after.descriptors - before.descriptors, "").goal(0.0),
        Figure::new("tasks at their most", most(|look| look.tasks), ""),
        Figure::new("tasks left", after.tasks - before.tasks, "").goal(0.0),
        Figure::new("files at their most", most(|look| look.files), ""),
        Figure::new("files left", after.files - before.files, "").goal(0.0),
    ]
}

/// Least squares of memory over time: MiB at the beginning, and MiB a second.
fn line(looks: &[Look]) -> (f64, f64) {
    #[allow(clippy::cast_precision_loss, reason = "hundreds")]
    let count = looks.len().max(1) as f64;
    let mean = |of: &dyn Fn(&Look) -> f64| looks.iter().map(of).sum::<f64>() / count;
    let (time, memory) = (mean(&|l| l.at.as_secs_f64()), mean(&|l| l.memory));
    let spread = mean(&|l| (l.at.as_secs_f64() - time).powi(2));
    let together = mean(&|l| (l.at.as_secs_f64() - time) * (l.memory - memory));
    let slope = if spread > 0.0 { together / spread } else { 0.0 };
    (memory - slope * time, slope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_found_through_what_was_seen() {
        let look = |seconds, memory| Look {
            at: Duration::from_secs(seconds),
            memory,
            descriptors: 0.0,
            tasks: 0.0,
            files: 0.0,
        };
        let (start, slope) = line(&[look(0, 50.0), look(10, 52.0), look(20, 54.0)]);
        assert!(
            (start - 50.0).abs() < 1e-9 && (slope - 0.2).abs() < 1e-9,
            "{start} {slope}"
        );
        assert_eq!(line(&[]), (0.0, 0.0));
    }
}
