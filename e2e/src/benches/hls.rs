//! `cargo e2e bench hls`: what segmenting costs, and how many requests for a playlist and a segment that everybody wants are answered beside nginx with
//! the same files. Both servers have the same one core, one after the other, and the load has the other.

use super::media::{clip, cpu, median};
use super::{Figure, Results, release};
use crate::command::Cmd;
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::http_get::http_body;
use crate::players::place::Place;
use crate::tools::apt;
use crate::tools::paths::write;
use crate::ui::{say, step};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// The servers' core; the load has the other.
const SERVER: &str = "0";
const LOAD: &str = "1";
/// Streams that are cut while it is counted what that costs.
const STREAMS: usize = 10;

/// How to measure.
#[derive(Clone, Debug, clap::Args)]
pub struct Options {
    /// How long each figure is measured, in seconds.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// Connections that ask all the time.
    #[arg(long, default_value_t = 64)]
    connections: usize,
    /// How often each server has its turn; the median counts.
    #[arg(long, default_value_t = 3)]
    turns: usize,
}

/// Measures, prints and keeps it.
pub async fn run(options: &Options) -> Result<()> {
    let programs = release::programs("headgate-media-pod").await?;
    apt::install_also(&["nginx-light", "wrk"]).await?;
    let clip = step("clip of 1 Mbit/s", clip::clip()).await?;
    let place = Place::of(&programs.join("release/media-pod"), Some(SERVER)).await?;
    let publishers = publish(&place, &clip)?;
    let mut figures = step("segmenting", segmenting(&place, options)).await?;
    let nginx = Nginx::start(&place.dir().join("nginx")).await?;
    let (mut playlist, mut segment) = (Contest::new("playlist"), Contest::new("segment"));
    for turn in 0..options.turns.max(1) {
        // Both change while it is measured, but what a turn asks for stays as long as it takes.
        let own = own_playlist(&place.http(), "s0").await?;
        let text = http_body(&place.http(), &own).await?;
        let newest = text
            .lines()
            .rfind(|line| !line.starts_with('#'))
            .context("no segment")?;
        let newest = format!("/live/s0/{newest}");
        let (list, file) = nginx.keep(turn, &place, &text, &newest).await?;
        segment.turn((&place, &newest), (&nginx, &file), options).await?;
        playlist.turn((&place, &own), (&nginx, &list), options).await?;
    }
    figures.extend(playlist.figures());
    figures.extend(segment.figures());
    drop((nginx, publishers));
    place.stop().await?;
    Results {
        name: "hls",
        command: "cargo e2e bench hls".into(),
        setting: format!(
            "Release build. Server on one core, load (wrk, {} connections kept open, {} s, {} turns, the median) on the other; nginx has one worker and \
             the files in its cache of open files. The stream has 1 Mbit/s, the playlist six segments of MPEG-TS, of which the newest is asked for. The \
             load may be what is busy, so the CPU of a request is counted too. Segmenting: {STREAMS} streams, CPU with an HLS viewer each less CPU without.",
            options.connections, options.seconds, options.turns
        ),
        figures,
    }
    .save()
}

fn publish(place: &Place, clip: &Path) -> Result<Vec<Child>> {
    let one = |number: usize| {
        Command::new("taskset")
            .args([
                "-c",
                LOAD,
                "ffmpeg",
                "-v",
                "error",
                "-nostdin",
                "-re",
                "-stream_loop",
                "-1",
                "-i",
            ])
            .arg(clip)
            .args([
                "-c",
                "copy",
                "-f",
                "flv",
                &format!("rtmp://{}/live/s{number}", place.rtmp()),
            ])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting a publisher")
    };
    (0..STREAMS).map(one).collect()
}

/// CPU of the same streams with and without somebody who watches each.
async fn segmenting(place: &Place, options: &Options) -> Result<Vec<Figure>> {
    place.streams(STREAMS).await?;
    let (alone, _) = spent(place, options, &[]).await?;
    let mut playlists = Vec::new();
    for number in 0..STREAMS {
        playlists.push(own_playlist(&place.http(), &format!("s{number}")).await?);
    }
    let (watched, seconds) = spent(place, options, &playlists).await?;
    #[allow(clippy::cast_precision_loss, reason = "a few streams")]
    let each = |nanoseconds: f64| nanoseconds / 1e3 / seconds / STREAMS as f64;
    Ok(vec![
        Figure::new("publishing, CPU per stream-second", each(alone), "µs"),
        Figure::new(
            "segmenting and its playlist, CPU per stream-second",
            each(watched - alone),
            "µs",
        ),
    ])
}

/// Nanoseconds of CPU in a while, in which each playlist is asked for every second; and how long it was.
async fn spent(place: &Place, options: &Options, playlists: &[String]) -> Result<(f64, f64)> {
    let pid = place.pid()?;
    let (before, begun) = (cpu::nanoseconds(pid)?, std::time::Instant::now());
    for _ in 0..options.seconds.saturating_mul(2) {
        for playlist in playlists {
            http_body(&place.http(), playlist).await?;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    #[allow(clippy::cast_precision_loss, reason = "some seconds")]
    let spent = cpu::nanoseconds(pid)?.saturating_sub(before) as f64;
    Ok((spent, begun.elapsed().as_secs_f64()))
}

/// The path of a new viewer's playlist.
pub(super) async fn own_playlist(http: &str, stream: &str) -> Result<String> {
    let url = format!("http://{http}/live/{stream}.m3u8");
    let master = reqwest::get(&url).await.and_then(reqwest::Response::error_for_status);
    let text = master.map_err(|e| Error::new(e.to_string()))?.text().await;
    let text = text.map_err(|e| Error::new(e.to_string()))?;
    let named = text
        .lines()
        .find(|line| line.contains("hls_ctx="))
        .context("no playlist is named")?;
    Ok(format!("/live/{}", named.trim_start_matches("./")))
}

/// What two servers were asked for in turn.
struct Contest {
    what: &'static str,
    turns: Vec<(Answered, Answered)>,
}

/// Requests a second, and microseconds of the server's CPU for each.
#[derive(Clone, Copy, Debug)]
struct Answered {
    rate: f64,
    cost: f64,
}

impl Contest {
    fn new(what: &'static str) -> Self {
        let turns = Vec::new();
        Self { what, turns }
    }

    async fn turn(
        &mut self,
        (place, ours): (&Place, &str),
        (nginx, theirs): (&Nginx, &str),
        options: &Options,
    ) -> Result<()> {
        let here = asked((&place.http(), ours), place.pid()?, options).await?;
        let there = asked((&nginx.address, theirs), nginx.pid()?, options).await?;
        say(format_args!("{}: {here:?}, nginx {there:?}", self.what));
        self.turns.push((here, there));
        Ok(())
    }

    fn figures(&self) -> Vec<Figure> {
        let of = |of: fn(&(Answered, Answered)) -> f64| median(self.turns.iter().map(of).collect());
        let figure = |what: &str, value, unit| Figure::new(format!("{}: {what}", self.what), value, unit);
        vec![
            figure("requests answered", of(|(here, _)| here.rate), "/s"),
            figure("requests that nginx answers", of(|(_, there)| there.rate), "/s"),
            // Of the promised 0.8, the other way round.
            figure(
                "nginx's requests a second / ours",
                of(|(here, there)| there.rate / here.rate),
                "",
            )
            .goal(1.25),
            figure("CPU of a request", of(|(here, _)| here.cost), "µs"),
            figure("CPU of a request in nginx", of(|(_, there)| there.cost), "µs"),
            figure(
                "CPU of a request / nginx's",
                of(|(here, there)| here.cost / there.cost),
                "",
            ),
        ]
    }
}

/// What wrk gets answered with 200.
async fn asked((address, path): (&str, &str), server: u32, options: &Options) -> Result<Answered> {
    let (connections, seconds) = (format!("-c{}", options.connections), format!("-d{}s", options.seconds));
    let url = format!("http://{address}{path}");
    let before = cpu::nanoseconds(server)?;
    let wrk = Cmd::new("taskset").args(["-c", LOAD, "wrk", "-t1", &connections, &seconds, &url]);
    let text = wrk.timeout(Duration::from_mins(2)).run().await?;
    ensure!(!text.contains("Non-2xx"), "{url}: {text}");
    #[allow(clippy::cast_precision_loss, reason = "some seconds")]
    let spent = cpu::nanoseconds(server)?.saturating_sub(before) as f64;
    let number = |line: Option<&str>| line.and_then(|text| text.trim().parse::<f64>().ok());
    let rate = text.lines().find_map(|line| line.trim().strip_prefix("Requests/sec:"));
    let count = text
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))
        .map(|(count, _)| count);
    let (rate, count) = number(rate)
        .zip(number(count))
        .context(format_args!("wrk says no rate: {text}"))?;
    let cost = spent / 1e3 / count.max(1.0);
    Ok(Answered { rate, cost })
}

/// Debian's nginx with the same files.
struct Nginx {
    process: Child,
    address: String,
    files: PathBuf,
}

impl Nginx {
    async fn start(root: &Path) -> Result<Self> {
        write(&root.join("files/ready"), "")?;
        let port = crate::players::place::free_ports::<1>()?;
        let [port] = port;
        let (files, root) = (root.join("files"), root.display());
        let config = format!(
            "daemon off; master_process off; pid {root}/pid; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; open_file_cache max=100;
  types {{ application/vnd.apple.mpegurl m3u8; video/mp2t ts; }}
  client_body_temp_path {root}; proxy_temp_path {root}; fastcgi_temp_path {root}; uwsgi_temp_path {root}; scgi_temp_path {root};
  server {{ listen 127.0.0.1:{port}; root {root}/files; add_header Access-Control-Allow-Origin *; }}
}}
"
        );
        let file = format!("{root}/nginx.conf");
        write(Path::new(&file), config)?;
        let process = Command::new("taskset")
            .args(["-c", SERVER, "nginx", "-c", &file])
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting nginx")?;
        let address = format!("127.0.0.1:{port}");
        crate::harness::eventually(Duration::from_secs(10), "nginx answers", async || {
            http_body(&address, "/ready").await.map(drop)
        })
        .await?;
        Ok(Self {
            process,
            address,
            files,
        })
    }

    fn pid(&self) -> Result<u32> {
        self.process.id().context("nginx has ended")
    }

    /// Has the same two files as the place; their paths.
    async fn keep(&self, turn: usize, place: &Place, playlist: &str, segment: &str) -> Result<(String, String)> {
        let bytes = reqwest::get(format!("http://{}{segment}", place.http())).await;
        let bytes = bytes.map_err(|e| Error::new(e.to_string()))?.bytes().await;
        let bytes = bytes.map_err(|e| Error::new(e.to_string()))?;
        let (list, file) = (format!("playlist{turn}.m3u8"), format!("segment{turn}.ts"));
        write(&self.files.join(&list), playlist)?;
        write(&self.files.join(&file), bytes)?;
        Ok((format!("/{list}"), format!("/{file}")))
    }
}
