//! The parts of the table.

use super::Wire;
use super::measures;
use super::server::Bench;
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
}

impl Case {
    /// Of one stream.
    pub fn new(window: u64, wire: Wire, players: usize) -> Self {
        Self {
            window,
            wire,
            players,
            streams: 1,
            stay: None,
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

/// Players on each core, where cores are compared.
const CORES_PLAYERS: usize = 1500;

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
            Self::Publish => "200 publishers and nobody who plays; the floor without merging is that of 1,000 players.".into(),
            Self::Players => "RTMP players of one stream, without merging, and with the window of 100 ms, which is in force from 500 players on and less below; what the publisher costs by itself is taken off.".into(),
            Self::Streams => "1,000 RTMP players over the streams, in the window of 100 ms; what the publishers cost by themselves is taken off. The floor sends as many streams, each to its own players.".into(),
            Self::Cores => return format!(
                "RTMP players of one stream in the window of 100 ms, {CORES_PLAYERS} a core. On each core that the server has there is a load with as many players, which shares it; only the server's CPU is counted. A stream of 1 Mbit/s, 68 messages a second, over loopback. {seconds} s each, {passes} passes in turn, the median."
            ),
        };
        format!(
            "{what} A stream of 1 Mbit/s, 68 messages a second, over loopback; server on core 0, publishers and players on core 1. Measured twice for {seconds} s in each run: with a load that sleeps whenever it has nothing to do, as that of the peers' figures did, and (awake) with one that never does. {passes} passes in turn, the median; a ratio is that of one pass."
        )
    }

    /// Does it.
    pub async fn measure(self, bench: &Bench, players: usize) -> Result<Vec<Figure>> {
        match self {
            Self::Window350 => measures::window(bench, players, 350, 1.55).await,
            Self::Window100 => measures::window(bench, players, 100, 1.35).await,
            Self::Window40 => measures::window(bench, players, 40, 1.35).await,
            Self::Window0 => measures::window(bench, players, 0, 1.13).await,
            Self::Joins => measures::joins(bench).await,
            Self::Publish => measures::publish(bench).await,
            Self::Players => measures::players(bench).await,
            Self::Streams => measures::streams(bench).await,
            Self::Cores => measures::cores(bench, CORES_PLAYERS).await,
        }
    }
}
