//! The load: one thread that publishes the clip in real time and drives all players, a process of its own.
//!
//! A player speaks its protocol until the first key frame; then its bytes are counted and dropped in the kernel, so that thousands cost little. The first
//! player goes on reading, and finds each video frame again by its last bytes: that is the latency.

use super::clip::tags;
use super::cpu;
use super::player::{Player, Wire};
use super::publisher::Publisher;
use crate::error::{Context as _, Result};
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// The publisher is so far ahead of the first player.
const AHEAD: Duration = Duration::from_secs(3);
/// After the last join, before it is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// Joins take so long in all, but not more than [`JOINS_MAX`] a second.
const JOINING: Duration = Duration::from_secs(2);
const JOINS_MAX: f64 = 500.0;
const PUBLISHER: Token = Token(usize::MAX - 1);

/// What is asked of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Order {
    /// Where players connect.
    #[arg(long)]
    pub address: SocketAddr,
    /// What they speak.
    #[arg(long, value_enum)]
    pub wire: Wire,
    /// How many there are.
    #[arg(long)]
    pub players: usize,
    /// Where to publish; nowhere when the server has the stream already.
    #[arg(long)]
    pub publish: Option<SocketAddr>,
    /// The stream.
    #[arg(long)]
    pub clip: PathBuf,
    /// The server's process.
    #[arg(long)]
    pub server: u32,
    /// How long it is measured, in seconds.
    #[arg(long, default_value_t = 8)]
    pub seconds: u64,
    /// The core that this process runs on.
    #[arg(long, default_value_t = 1)]
    pub core: usize,
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Players that had their key frame and were there at the end.
    pub live: usize,
    /// Players that were cut.
    pub dead: usize,
    /// Players that got less than half of the stream.
    pub starved: usize,
    /// What a player got, in Mbit/s, on average.
    pub mbps: f64,
    /// CPU of the server for a player and second, in microseconds.
    pub cost: f64,
    /// How much of a core the server used, in percent.
    pub core_percent: f64,
    /// Resident bytes of the server before the players came.
    pub resident_before: u64,
    /// And at the end.
    pub resident: u64,
    /// From connecting to the whole first key frame, in milliseconds: median and 95th percentile.
    pub join: (f64, f64),
    /// From publishing a video frame to having it, in milliseconds: median and 99th percentile. Nothing where nobody published.
    pub latency: (f64, f64),
}

/// All that runs.
struct Load {
    order: Order,
    poll: Poll,
    players: Vec<Player>,
    publisher: Option<Publisher>,
    sent: super::publisher::Sent,
    scratch: Vec<u8>,
    latencies: Vec<f64>,
}

/// Does it, and takes the time that the order says.
pub fn run(order: Order) -> Result<Outcome> {
    cpu::pin(order.core)?;
    let mut load = Load {
        poll: Poll::new().context("epoll")?,
        players: Vec::with_capacity(order.players),
        publisher: None,
        sent: super::publisher::Sent::default(),
        scratch: vec![0; 256 * 1024],
        latencies: Vec::new(),
        order,
    };
    load.publish()?;
    load.until(AHEAD)?;
    let resident_before = cpu::resident(load.order.server)?;
    load.join()?;
    load.until(SETTLE)?;
    load.measure(resident_before)
}

impl Load {
    fn publish(&mut self) -> Result<()> {
        let Some(address) = self.order.publish else {
            return Ok(());
        };
        let mut publisher = Publisher::connect(address, "live", "bench", tags(&self.order.clip)?)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut publisher.socket, PUBLISHER, interest)
            .context("the publisher's socket")?;
        self.publisher = Some(publisher);
        Ok(())
    }

    fn join(&mut self) -> Result<()> {
        let count = self.order.players;
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let rate = (count as f64 / JOINING.as_secs_f64()).clamp(1.0, JOINS_MAX);
        let pace = Duration::from_secs_f64(1.0 / rate);
        for number in 0..count {
            let begun = Instant::now();
            let mut player = Player::connect(self.order.address, self.order.wire, number == 0)?;
            let interest = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut player.socket, Token(number), interest)
                .context("a player's socket")?;
            self.players.push(player);
            self.until(pace.saturating_sub(begun.elapsed()))?;
        }
        Ok(())
    }

    fn measure(mut self, resident_before: u64) -> Result<Outcome> {
        self.latencies.clear();
        let (before, begun) = (cpu::nanoseconds(self.order.server)?, Instant::now());
        let received: Vec<u64> = self.players.iter().map(|p| p.received).collect();
        self.until(Duration::from_secs(self.order.seconds))?;
        let spent = cpu::nanoseconds(self.order.server)?.saturating_sub(before);
        let seconds = begun.elapsed().as_secs_f64();
        let got: Vec<u64> = self
            .players
            .iter()
            .zip(received)
            .map(|(p, before)| p.received.saturating_sub(before))
            .collect();
        let live: Vec<u64> = self
            .players
            .iter()
            .zip(&got)
            .filter(|(p, _)| p.is_live())
            .map(|(_, n)| *n)
            .collect();
        let joins: Vec<f64> = self.players.iter().filter_map(|p| p.joined).map(milliseconds).collect();
        #[allow(clippy::cast_precision_loss, reason = "a ratio of measures")]
        let number = |n: u64| n as f64;
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let count = live.len().max(1) as f64;
        let mean = number(live.iter().sum()) / count;
        Ok(Outcome {
            live: live.len(),
            dead: self.players.len().saturating_sub(live.len()),
            starved: live.iter().filter(|n| number(**n) < mean / 2.0).count(),
            mbps: mean * 8.0 / seconds / 1e6,
            cost: number(spent) / 1e3 / seconds / count,
            core_percent: number(spent) / 1e7 / seconds,
            resident_before,
            resident: cpu::resident(self.order.server)?,
            join: (percentile(joins.clone(), 50), percentile(joins, 95)),
            latency: (percentile(self.latencies.clone(), 50), percentile(self.latencies, 99)),
        })
    }

    /// Goes on for so long.
    fn until(&mut self, length: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut events = Events::with_capacity(1024);
        loop {
            let left = length.saturating_sub(begun.elapsed());
            let due = self.publisher.as_mut().map(|p| p.pace(&mut self.sent)).transpose()?;
            let wait = due.map_or(left, |due| due.min(left));
            match self.poll.poll(&mut events, Some(wait)) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                polled => polled.context("epoll")?,
            }
            for event in &events {
                self.handle(event.token())?;
            }
            if begun.elapsed() >= length {
                return Ok(());
            }
        }
    }

    fn handle(&mut self, token: Token) -> Result<()> {
        if token == PUBLISHER {
            return self.publisher.as_mut().map_or(Ok(()), Publisher::ready);
        }
        let Some(player) = self.players.get_mut(token.0) else {
            return Ok(());
        };
        let now = Instant::now();
        for tail in player.ready(&mut self.scratch) {
            if let Some(at) = self.sent.find(tail) {
                self.latencies.push(milliseconds(now.saturating_duration_since(at)));
            }
        }
        Ok(())
    }
}

fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = values.len().saturating_mul(percent) / 100;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or(f64::NAN)
}
