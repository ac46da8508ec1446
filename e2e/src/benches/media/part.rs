//! The parts of the table.

use super::player::WIRES;
use super::server::Bench;
use super::{Wire, figures_of, kilobytes};
use crate::benches::results::Figure;
use crate::error::Result;
use clap::ValueEnum;

/// A part that is measured by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// Cost of a player, frames merged over 350 ms.
    Window350,
    /// Over 100 ms: the default.
    Window100,
    /// Over 40 ms.
    Window40,
    /// Each message by itself.
    Window0,
    /// 500 joins a second.
    Joins,
    /// Cost of a publisher.
    Publish,
    /// From 10 to 5,000 players.
    Players,
    /// From 1 to 1,000 streams.
    Streams,
    /// Two cores beside one.
    Cores,
}

/// One run.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Merge window of the server in milliseconds.
    pub window: u64,
    /// What players speak.
    pub wire: Wire,
    /// How many there are.
    pub players: usize,
    /// Over how many streams.
    pub streams: usize,
    /// Seconds that each stays, when they come and go.
    pub stay: Option<u64>,
    /// The server has both cores, and the load too.
    pub both_cores: bool,
}

impl Case {
    fn new(window: u64, wire: Wire, players: usize) -> Self {
        Self {
            window,
            wire,
            players,
            streams: 1,
            stay: None,
            both_cores: false,
        }
    }

    /// As in figures.
    pub fn name(&self) -> &'static str {
        match self.wire {
            Wire::Rtmp => "RTMP",
            Wire::Flv => "HTTP-FLV",
            Wire::WsFlv => "WS-FLV",
            Wire::Ts => "HTTP-TS",
            Wire::Fmp4 => "HTTP-fMP4",
            Wire::Raw => "floor",
            Wire::Mixed => "all",
        }
    }
}

/// What other outputs may cost above RTMP.
const OTHERS: f64 = 1.1;

impl Part {
    /// All, when none is named.
    pub fn chosen(named: &[Self]) -> Vec<Self> {
        if named.is_empty() {
            Self::value_variants().to_vec()
        } else {
            named.to_vec()
        }
    }

    /// The section.
    pub fn name(self) -> &'static str {
        match self {
            Self::Window350 => "media: window of 350 ms",
            Self::Window100 => "media: window of 100 ms",
            Self::Window40 => "media: window of 40 ms",
            Self::Window0 => "media: no merge",
            Self::Joins => "media: joins",
            Self::Publish => "media: publishing",
            Self::Players => "media: growth with players",
            Self::Streams => "media: growth with streams",
            Self::Cores => "media: two cores",
        }
    }

    /// As on the command line.
    pub fn argument(self) -> String {
        self.to_possible_value()
            .map(|v| v.get_name().to_owned())
            .unwrap_or_default()
    }

    /// What it is measured with.
    pub fn setting(self, players: usize, seconds: u64, passes: usize) -> String {
        let what = match self {
            Self::Window350 | Self::Window100 | Self::Window40 | Self::Window0 => {
                format!("{players} players of one stream; the floor sends the same bytes in the same windows.")
            }
            Self::Joins => "Players come at 500/s and stay 4 s each.".into(),
            Self::Publish => "200 publishers and nobody who plays.".into(),
            Self::Players => "RTMP players of one stream, in the window of 100 ms, which is in force from 500 players on, and without merging.".into(),
            Self::Streams => "1,000 RTMP players over the streams, in the window of 100 ms; what the publishers cost by themselves is taken off.".into(),
            Self::Cores => "3,000 RTMP players of one stream in the window of 100 ms; on two cores the load shares them.".into(),
        };
        format!(
            "{what} A stream of 1 Mbit/s, 68 messages a second, over loopback; server on core 0, publishers and players on core 1, which does not sleep while it is measured. {seconds} s each, the cheapest of {passes}."
        )
    }

    /// Does it.
    pub async fn measure(self, bench: &Bench, players: usize) -> Result<Vec<Figure>> {
        match self {
            Self::Window350 => window(bench, players, 350, 1.55).await,
            Self::Window100 => window(bench, players, 100, 1.35).await,
            Self::Window40 => window(bench, players, 40, 1.35).await,
            Self::Window0 => window(bench, players, 0, 1.13).await,
            Self::Joins => joins(bench).await,
            Self::Publish => publish(bench).await,
            Self::Players => growth(bench).await,
            Self::Streams => streams(bench).await,
            Self::Cores => cores(bench).await,
        }
    }
}

async fn window(bench: &Bench, players: usize, window: u64, must: f64) -> Result<Vec<Figure>> {
    let floor = bench.floor(window, players).await?;
    let mut figures = vec![Figure::new("floor: CPU of a player", floor.cost, "µs/s")];
    for wire in WIRES.into_iter().filter(|wire| bench.wants(*wire)) {
        let case = Case::new(window, wire, players);
        let outcome = bench.server(&case).await?;
        let goal = if wire == Wire::Rtmp { must } else { must * OTHERS };
        let name = case.name();
        figures.push(Figure::new(format!("{name}: CPU of a player"), outcome.cost, "µs/s"));
        figures.push(
            Figure::new(
                format!("{name}: CPU of a player / floor"),
                outcome.cost / floor.cost,
                "",
            )
            .goal(goal),
        );
        figures.push(
            Figure::new(
                format!("{name}: resident memory of a player"),
                kilobytes(&outcome),
                "kB",
            )
            .goal(8.0),
        );
        figures.extend(figures_of(&case, &outcome));
    }
    Ok(figures)
}

async fn joins(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for wire in [Wire::Rtmp, Wire::Flv].into_iter().filter(|wire| bench.wants(*wire)) {
        let mut case = Case::new(100, wire, 500);
        case.stay = Some(4);
        let outcome = bench.churn(&case, 20).await?;
        let name = case.name();
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let (live, lost) = (outcome.live as f64, outcome.dead.saturating_add(outcome.starved) as f64);
        figures.push(Figure::new(
            format!("{name}: joined and had their stream"),
            live,
            "players",
        ));
        figures.push(Figure::new(format!("{name}: dead or starved"), lost, "players").goal(0.0));
        figures.push(Figure::new(
            format!("{name}: join to key frame, p50"),
            outcome.join.0,
            "ms",
        ));
        figures.push(Figure::new(
            format!("{name}: join to key frame, p95"),
            outcome.join.1,
            "ms",
        ));
        figures.push(Figure::new(format!("{name}: of one core"), outcome.spent / 1e4, "%"));
    }
    Ok(figures)
}

async fn publish(bench: &Bench) -> Result<Vec<Figure>> {
    let mut case = Case::new(100, Wire::Rtmp, 0);
    case.streams = 200;
    let outcome = bench.server(&case).await?;
    Ok(vec![
        Figure::new("CPU of a publisher", outcome.spent / 200.0, "µs/s").goal(620.0),
    ])
}

async fn growth(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (window, counts) in [(0, &[10, 100, 1000][..]), (100, &[500, 1000, 5000])] {
        let mut costs = Vec::new();
        for count in counts {
            let outcome = bench.server(&Case::new(window, Wire::Rtmp, *count)).await?;
            figures.push(Figure::new(
                format!("window of {window} ms, {count} players: CPU of a player"),
                outcome.cost,
                "µs/s",
            ));
            costs.push(outcome.cost);
        }
        let (first, last) = (
            costs.first().copied().unwrap_or(1.0),
            costs.last().copied().unwrap_or(1.0),
        );
        figures.push(
            Figure::new(
                format!("window of {window} ms: most players / fewest"),
                last / first,
                "",
            )
            .goal(1.3),
        );
    }
    Ok(figures)
}

async fn streams(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    let mut costs = Vec::new();
    for count in [1, 10, 100, 1000] {
        let mut case = Case::new(100, Wire::Rtmp, 1000);
        case.streams = count;
        let with = bench.server(&case).await?;
        case.players = 0;
        let without = bench.server(&case).await?;
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let cost = (with.spent - without.spent) / with.live.max(1) as f64;
        figures.push(Figure::new(format!("{count} streams: CPU of a player"), cost, "µs/s"));
        costs.push(cost);
    }
    let (first, last) = (
        costs.first().copied().unwrap_or(1.0),
        costs.last().copied().unwrap_or(1.0),
    );
    figures.push(Figure::new("1,000 streams / one", last / first, "").goal(1.3));
    Ok(figures)
}

async fn cores(bench: &Bench) -> Result<Vec<Figure>> {
    let mut case = Case::new(100, Wire::Rtmp, 3000);
    let one = bench.server(&case).await?;
    case.both_cores = true;
    let two = bench.server(&case).await?;
    let gain = 2.0 * one.cost / two.cost;
    Ok(vec![
        Figure::new("one core: CPU of a player", one.cost, "µs/s"),
        Figure::new("two cores: CPU of a player", two.cost, "µs/s").goal(one.cost * 2.0 / 1.8),
        Figure::new("what two cores carry, by that, against one", gain, "times"),
    ])
}
