//! Players of browsers, in headless Chromium: a page plays every output that one can, and sends back what it shows.

use super::place::Place;
use super::source::COLOURS;
use crate::command::Cmd;
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::tools::apt;
use crate::tools::paths::{Paths, out};
use axum::extract::{DefaultBodyLimit, State};
use axum::response::Html;
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::sync::mpsc;

/// From the npm registry. Their versions are part of what is checked.
const LIBRARIES: [(&str, &str, &str); 2] = [
    ("hls.js", "1.7.4", "dist/hls.min.js"),
    ("mpegts.js", "1.8.2", "dist/mpegts.js"),
];
const PAGE: &str = include_str!("page.html");
const CHROMIUM: &str = "--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
    --disable-component-update --disable-sync --mute-audio --autoplay-policy=no-user-gesture-required --window-size=1280,720";
/// How far a colour may be off what was painted: encoders and the conversion of colours both round.
const NEAR: u32 = 28;
const LIMIT: Duration = Duration::from_mins(1);

/// The players' libraries, kept outside of the checkout.
pub struct Libraries(PathBuf);

/// What a player came to.
#[derive(Debug, serde::Deserialize)]
struct Shown {
    name: String,
    error: Option<String>,
    width: u32,
    height: u32,
    frames: u32,
    seconds: f64,
    /// In the middle of each quadrant.
    colours: Vec<[i32; 3]>,
    /// A PNG in base64.
    picture: String,
}

impl Libraries {
    /// Fetches what is missing.
    pub async fn ensure(paths: &Paths) -> Result<Self> {
        let folder = paths.cache.join("players");
        let is_there = |(name, version, file): &(&str, &str, &str)| {
            let package = folder.join("node_modules").join(name);
            let said = std::fs::read_to_string(package.join("package.json")).unwrap_or_default();
            said.contains(&format!("\"version\": \"{version}\"")) && package.join(file).exists()
        };
        if !LIBRARIES.iter().all(is_there) {
            std::fs::create_dir_all(&folder).context("making the directory of players")?;
            if Cmd::new("npm").arg("--version").run().await.is_err() {
                apt::install_also(&["npm"]).await?;
            }
            let wanted = LIBRARIES.map(|(name, version, _)| format!("{name}@{version}"));
            let npm = Cmd::new("npm").args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"]);
            npm.arg(&folder)
                .args(wanted)
                .timeout(Duration::from_mins(3))
                .run()
                .await?;
        }
        Ok(Self(folder))
    }

    fn script(&self, index: usize) -> Result<String> {
        let (name, _, file) = LIBRARIES.get(index).context("there is no such library")?;
        let path = self.0.join("node_modules").join(name).join(file);
        std::fs::read_to_string(&path).context(path.display())
    }
}

/// Plays all in one page, and looks at what each shows. Pictures are kept in `e2e/out/players/`.
pub async fn check(libraries: &Libraries, place: &Place, stream: &str) -> Result<Vec<String>> {
    let (sender, mut shown) = mpsc::channel(32);
    let page = PAGE.replace("@HOST@", &place.http()).replace("@STREAM@", stream);
    let (hls, mpegts) = (libraries.script(0)?, libraries.script(1)?);
    let script = |text: String| get(move || std::future::ready(([("content-type", "text/javascript")], text)));
    let router = Router::new()
        .route("/", get(move || std::future::ready(Html(page))))
        .route("/hls.js", script(hls))
        .route("/mpegts.js", script(mpegts))
        .route("/shown", post(take))
        .layer(DefaultBodyLimit::max(8 << 20))
        .with_state(sender);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .context("the page's port")?;
    let address = listener.local_addr().context("the page's port")?;
    let server = tokio::spawn(async move { axum::serve(listener, router).await });
    let profile = tempfile::tempdir().context("making a profile for Chromium")?;
    let mut chromium = Command::new("chromium")
        .args(CHROMIUM.split_whitespace())
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("http://{address}/"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .context("starting Chromium")?;
    let outcome = tokio::time::timeout(LIMIT, collect(&mut shown)).await;
    let ended = chromium.kill().await.context("ending Chromium");
    server.abort();
    ended?;
    outcome.map_err(|_| Error::new("the page did not end in a minute"))?
}

async fn take(State(sender): State<mpsc::Sender<Vec<Shown>>>, Json(shown): Json<Vec<Shown>>) {
    let _ = sender.send(shown).await;
}

async fn collect(shown: &mut mpsc::Receiver<Vec<Shown>>) -> Result<Vec<String>> {
    let all = shown.recv().await.context("the page said nothing")?;
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    for shown in &all {
        keep(shown)?;
        match verdict(shown) {
            Ok(line) => lines.push(line),
            Err(error) => wrong.push(error.to_string()),
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n    "));
    Ok(lines)
}

fn keep(shown: &Shown) -> Result<()> {
    let folder = out().join("players");
    std::fs::create_dir_all(&folder).context("making the directory of pictures")?;
    let name: String = shown
        .name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .collect();
    let bytes = BASE64_STANDARD.decode(&shown.picture).unwrap_or_default();
    std::fs::write(folder.join(format!("{name}.png")), bytes).context("keeping a picture")
}

fn verdict(shown: &Shown) -> Result<String> {
    let name = &shown.name;
    if let Some(error) = &shown.error {
        return Err(Error::new(format!("{name}: {error}")));
    }
    ensure!(
        (shown.width, shown.height) == (320, 180),
        "{name}: {}x{}",
        shown.width,
        shown.height
    );
    ensure!(shown.frames >= 25, "{name}: {} pictures", shown.frames);
    let near = |(a, b): (&[i32; 3], &[i32; 3])| a.iter().zip(b).all(|(a, b)| a.abs_diff(*b) <= NEAR);
    ensure!(
        shown.colours.len() == COLOURS.len() && shown.colours.iter().zip(&COLOURS).all(near),
        "{name}: the colours are {:?}, not {COLOURS:?}",
        shown.colours
    );
    Ok(format!(
        "{name}: {} pictures in {:.1} s, and the right ones",
        shown.frames, shown.seconds
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_black_picture_and_one_that_stands_still_are_seen() {
        let good = || Shown {
            name: "x".into(),
            error: None,
            width: 320,
            height: 180,
            frames: 50,
            seconds: 2.0,
            colours: COLOURS.to_vec(),
            picture: String::new(),
        };
        assert!(verdict(&good()).is_ok());
        let black = Shown {
            colours: vec![[0; 3]; 4],
            ..good()
        };
        assert!(verdict(&black).is_err());
        assert!(verdict(&Shown { frames: 1, ..good() }).is_err());
        assert!(
            verdict(&Shown {
                colours: vec![],
                ..good()
            })
            .is_err()
        );
    }
}
