//! `cargo e2e run sigkill`: a media pod that is killed at random points under load, again and again. Nobody who was let in stays without an end.
//!
//! The pod is a process of its own over one state folder, publishers and players come and go at it over RTMP all the time, and the back end, which outlives
//! every process, is here. Whatever a client saw as success must have its closing events, each under one id, in the order of its stream.

mod crowd;
mod inbox;
mod judge;
mod pod;

use crate::benches::{Figure, Results};
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::players::place;
use crate::ui::{say, seconds};
use crowd::Crowd;
use inbox::Inbox;
use judge::Verdict;
use pod::Folder;
use rand::random_range;
use std::path::Path;
use std::time::{Duration, Instant};

/// The name by which `cargo e2e run` knows it.
pub const NAME: &str = "sigkill";
/// What it proves.
pub const ABOUT: &str = "a media pod killed at random points under load: no closing event lost, none out of order, each under one id; needs no cluster";
/// So many kills are promised.
pub const KILLS: usize = 1000;
/// So many in `cargo verify`.
pub const FEW_KILLS: usize = 25;

/// Notifications that are under way at an endpoint at most, and may be told twice when the process dies.
const IN_FLIGHT: usize = 64;
/// How long the last process may take to tell what all before it left.
const SETTLED: Duration = Duration::from_mins(1);

/// Kills so often, and keeps what came of it with the results of the benches when it is what is promised.
pub async fn run(kills: usize) -> Result<()> {
    let program = place::build().await?;
    let begun = Instant::now();
    say(format_args!("RUN  {NAME}: {ABOUT}"));
    let verdict = kill(&program, kills).await?;
    say(format_args!(
        "{kills} kills in {}: {verdict:?}",
        seconds(begun.elapsed())
    ));
    if kills >= KILLS {
        results(kills, &verdict).save()?;
    }
    ensure!(verdict.holds(kills.saturating_mul(IN_FLIGHT)), "it is not as promised");
    say(format_args!("PASS {NAME}"));
    Ok(())
}

async fn kill(program: &Path, kills: usize) -> Result<Verdict> {
    let inbox = Inbox::start().await?;
    let folder = Folder::new(program, &inbox.url())?;
    let crowd = Crowd::start(&folder.rtmp());
    for killed in 0..kills {
        one_life(&folder).await?;
        if killed > 0 && killed.is_multiple_of(100) {
            say(format_args!("     {killed} kills, {} sessions", crowd.let_in().len()));
        }
    }
    let let_in = crowd.end().await;
    let last = folder.spawn()?;
    folder.settled(SETTLED).await?;
    last.end().await?;
    Ok(Verdict::of(&let_in, &inbox.seen()))
}

/// One process: it dies at some point of its start, or some time after it.
async fn one_life(folder: &Folder) -> Result<()> {
    let process = folder.spawn()?;
    if random_range(0..4) == 0 {
        tokio::time::sleep(Duration::from_millis(random_range(0..100))).await;
    } else {
        folder.opens().await.context("the media pod does not come back")?;
        tokio::time::sleep(Duration::from_millis(random_range(10..300))).await;
    }
    process.kill().await
}

fn results(kills: usize, verdict: &Verdict) -> Results {
    let whole = |count: usize| u32::try_from(count).map_or(f64::MAX, f64::from);
    let most = whole(kills.saturating_mul(IN_FLIGHT));
    let figures = vec![
        Figure::new("sessions that a client saw let in", whole(verdict.let_in), ""),
        Figure::new("notifications that came", whole(verdict.came), ""),
        Figure::new("sessions without a closing event", whole(verdict.lost), "").goal(0.0),
        Figure::new("connections of theirs without one", whole(verdict.unclosed), "").goal(0.0),
        Figure::new("closing events under a second id", whole(verdict.renamed), "").goal(0.0),
        Figure::new(
            "closing events of what was never asked about",
            whole(verdict.unasked),
            "",
        )
        .goal(0.0),
        Figure::new("streams whose order was broken", whole(verdict.reordered), "").goal(0.0),
        Figure::new("repeats (goal: 64 a kill)", whole(verdict.repeats), "").goal(most),
    ];
    Results {
        name: NAME,
        command: format!("cargo e2e run {NAME} --kills {kills}"),
        setting: format!(
            "A standalone media pod, killed {kills} times over one state folder; 8 publishers and 4 players over RTMP that come and go all the time; SRS bodies."
        ),
        figures,
    }
}
