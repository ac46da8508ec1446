//! The rules that a public parser of playlists knows, on those of a stream that is live.

use super::place::Place;
use crate::command::Cmd;
use crate::error::{Context as _, Result};
use crate::http_get::http_body;
use crate::tools::node;
use crate::tools::paths::Paths;
use std::path::PathBuf;
use std::time::Duration;

/// Of the npm registry. In strict mode what breaks a rule of RFC 8216bis is an error.
const PARSER: &str = "hls-parser@0.16.1";
/// Reads playlists from standard input, with a line between them; prints what each is.
const SCRIPT: &str = r"
const HLS = require('hls-parser');
HLS.setOptions({ strictMode: true });
const texts = require('fs').readFileSync(0, 'utf8').split('\n----\n');
let wrong = 0;
for (const text of texts) {
  try {
    const playlist = HLS.parse(text);
    const parts = (playlist.segments || []).reduce((sum, segment) => sum + segment.parts.length, 0);
    console.log(playlist.isMasterPlaylist ? `${playlist.variants.length} variant` : `${playlist.segments.length} segments, ${parts} parts`);
  } catch (error) {
    wrong += 1;
    console.log(`${error.message}:\n${text}`);
  }
}
process.exit(wrong);
";
/// From one look at a playlist that moves to the next.
const LOOK: Duration = Duration::from_millis(700);
const LOOKS: usize = 12;

/// `None` where there is no Node.js.
pub async fn ensure(paths: &Paths) -> Result<Option<PathBuf>> {
    node::library(paths, PARSER).await
}

/// Both kinds of a stream's playlists again and again, delta updates too.
pub async fn check(modules: &PathBuf, place: &Place, stream: &str) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    for name in ["hls.m3u8", "hls.fmp4.m3u8"] {
        let texts = texts(place, &format!("/live/{stream}/{name}")).await?;
        let node = Cmd::new("node").args(["-e", SCRIPT]).env("NODE_PATH", modules);
        let said = node.input(texts.join("\n----\n")).run().await?;
        let last = said.lines().last().unwrap_or_default();
        lines.push(format!(
            "{name}: {} playlists in order, the last of {last}",
            texts.len()
        ));
    }
    Ok(lines)
}

async fn texts(place: &Place, path: &str) -> Result<Vec<String>> {
    let host = place.http();
    let master = http_body(&host, path).await?;
    let own = master
        .lines()
        .find(|line| line.contains("hls_ctx="))
        .context("no playlist in the master playlist")?;
    let (folder, _) = path.rsplit_once('/').context("a path has a folder")?;
    let own = format!("{folder}/{}", own.trim_start_matches("./"));
    let mut texts = vec![master];
    for look in 0..LOOKS {
        let how = if look % 3 == 2 { "&_HLS_skip=YES" } else { "" };
        texts.push(http_body(&host, &format!("{own}{how}")).await?);
        tokio::time::sleep(LOOK).await;
    }
    Ok(texts)
}
