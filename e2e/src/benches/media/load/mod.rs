//! The load: one thread that publishes the clip in real time and drives all players, a process of its own.
//!
//! A player speaks its protocol until the first key frame; then its bytes are counted and dropped in the kernel, so that thousands cost little. One in
//! the middle goes on reading, and finds each video frame again by its last bytes: that is the latency.

mod churn;
mod publish;

use super::clip;
use super::cpu;
use super::player::{Player, Wire};
use super::publisher::{Publisher, Sent};
use crate::error::{Context as _, Result};
use churn::Gone;
use headgate_flv::Tag;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The publishers are so far ahead of the first player.
const AHEAD: Duration = Duration::from_secs(3);
/// After the last join, before it is measured.
const SETTLE: Duration = Duration::from_secs(2);
/// Between two measures.
const TURN: Duration = Duration::from_millis(500);
/// Joins take so long in all, but not more than [`JOINS_MAX`] a second.
const JOINING: Duration = Duration::from_secs(2);
const JOINS_MAX: f64 = 500.0;
/// Tokens from here on are publishers.
const PUBLISHERS: usize = 1 << 32;

/// What is asked of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Order {
    /// Where players connect.
    #[arg(long)]
    pub address: SocketAddr,
    /// What they speak.
    #[arg(long, value_enum)]
    pub wire: Wire,
    /// How many there are; with `stay`, how many come in a second.
    #[arg(long)]
    pub players: usize,
    /// Players leave after so many seconds, and others come all the time.
    #[arg(long)]
    pub stay: Option<u64>,
    /// Where to publish, and where those play who speak RTMP among others; nowhere when the server has the stream already.
    #[arg(long)]
    pub publish: Option<SocketAddr>,
    /// Publishers leave after about so many seconds, and come again.
    #[arg(long)]
    pub restart: Option<u64>,
    /// So many streams, over which the players are spread.
    #[arg(long, default_value_t = 1)]
    pub streams: usize,
    /// The stream.
    #[arg(long)]
    pub clip: PathBuf,
    /// The server's process.
    #[arg(long)]
    pub server: u32,
    /// How long it is measured, in seconds.
    #[arg(long, default_value_t = 8)]
    pub seconds: u64,
    /// The core that this process runs on; any, when none is named.
    #[arg(long)]
    pub core: Option<usize>,
    /// Measures a second time without ever sleeping.
    #[arg(long)]
    pub awake: bool,
}

/// What the server cost for a while.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Cost {
    /// CPU in microseconds a second.
    pub spent: f64,
    /// The same for a player.
    pub each: f64,
    /// What a player got, in Mbit/s, on average.
    pub mbps: f64,
    /// From publishing a video frame to having it, in milliseconds: median and 99th percentile. Nothing where nobody published.
    pub latency: (f64, f64),
}

/// What came of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Outcome {
    /// Players that had their key frame and were there at the end.
    pub live: usize,
    /// Players that were cut, or had no key frame.
    pub dead: usize,
    /// Players that got less than half of the stream.
    pub starved: usize,
    /// Publishers that came, those who came again among them.
    pub published: usize,
    /// With a load that sleeps when it has nothing to do.
    pub asleep: Cost,
    /// With one that does not.
    pub awake: Option<Cost>,
    /// Resident bytes of the server before the players came.
    pub resident_before: u64,
    /// And at the end.
    pub resident: u64,
    /// From connecting to the whole first key frame, in milliseconds: median and 95th percentile.
    pub join: (f64, f64),
}

/// All that runs.
struct Load {
    order: Order,
    poll: Poll,
    players: Vec<Option<Player>>,
    /// Nobody where one has left and is to come again.
    publishers: Vec<Option<Publisher>>,
    tags: Arc<[Tag]>,
    /// When which publisher has something to do.
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    sent: Sent,
    scratch: Vec<u8>,
    latencies: Vec<f64>,
    gone: Gone,
    published: usize,
    /// Never sleeps.
    awake: bool,
}

/// A cost, and what each player got meanwhile that is there.
struct Measured {
    cost: Cost,
    live: Vec<u64>,
}

impl Measured {
    /// Those who got less than half of what is usual.
    fn starved(&self) -> usize {
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let mean = number_of(self.live.iter().sum()) / self.live.len().max(1) as f64;
        self.live.iter().filter(|got| number_of(**got) < mean / 2.0).count()
    }
}

/// Does it, and takes the time that the order says.
pub fn run(order: Order) -> Result<Outcome> {
    order.core.map_or(Ok(()), cpu::pin)?;
    let mut load = Load {
        poll: Poll::new().context("epoll")?,
        players: Vec::with_capacity(order.players),
        publishers: Vec::with_capacity(order.streams),
        tags: clip::tags(&order.clip)?.into(),
        due: BinaryHeap::new(),
        sent: Sent::default(),
        scratch: vec![0; 256 * 1024],
        latencies: Vec::new(),
        gone: Gone::default(),
        published: 0,
        awake: false,
        order,
    };
    load.publish()?;
    load.until(AHEAD)?;
    let resident_before = cpu::resident(load.order.server)?;
    if let Some(stay) = load.order.stay {
        return load.churn(Duration::from_secs(stay), resident_before);
    }
    load.join()?;
    load.until(SETTLE)?;
    load.measure(resident_before)
}

impl Load {
    fn connect(&mut self, number: usize, listens: bool) -> Result<()> {
        let stream = number.checked_rem(self.order.streams).unwrap_or(0);
        let name = format!("bench{stream}");
        let wire = self.order.wire.of(number);
        // Where all are spoken, the address is that of HTTP.
        let rtmp = (wire != self.order.wire && wire == Wire::Rtmp).then_some(self.order.publish);
        let address = rtmp.flatten().unwrap_or(self.order.address);
        let mut player = Player::connect(address, wire, &name, listens)?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut player.socket, Token(number), interest)
            .context("a player's socket")?;
        self.players.push(Some(player));
        Ok(())
    }

    /// The one that listens is in the middle, and at the first stream.
    fn listener(&self) -> usize {
        let middle = self.order.players.div_euclid(2);
        let beyond = middle.checked_rem(self.order.streams).unwrap_or(0);
        middle.saturating_sub(beyond)
    }

    fn join(&mut self) -> Result<()> {
        let (count, listener) = (self.order.players, self.listener());
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let rate = (count as f64 / JOINING.as_secs_f64()).clamp(1.0, JOINS_MAX);
        let begun = Instant::now();
        for number in 0..count {
            self.connect(number, number == listener)?;
            #[allow(clippy::cast_precision_loss, reason = "thousands")]
            let next = Duration::from_secs_f64((number as f64 + 1.0) / rate);
            self.until(next.saturating_sub(begun.elapsed()))?;
        }
        Ok(())
    }

    fn measure(mut self, resident_before: u64) -> Result<Outcome> {
        let asleep = self.cost()?;
        let awake = if self.order.awake {
            self.awake = true;
            self.until(TURN)?;
            Some(self.cost()?)
        } else {
            None
        };
        let starved = asleep.starved().max(awake.as_ref().map_or(0, Measured::starved));
        let all: Vec<&Player> = self.players.iter().flatten().collect();
        let live = all.iter().filter(|player| player.is_live()).count();
        let joins: Vec<f64> = all.iter().filter_map(|p| p.joined).map(milliseconds).collect();
        Ok(Outcome {
            live,
            dead: all.len().saturating_sub(live),
            published: self.published,
            starved,
            asleep: asleep.cost,
            awake: awake.map(|measured| measured.cost),
            resident_before,
            resident: cpu::resident(self.order.server)?,
            join: (percentile(joins.clone(), 50), percentile(joins, 95)),
        })
    }

    /// What the server costs from now on for as long as is asked.
    fn cost(&mut self) -> Result<Measured> {
        self.latencies.clear();
        let (before, begun) = (cpu::nanoseconds(self.order.server)?, Instant::now());
        let received = self.received();
        self.until(Duration::from_secs(self.order.seconds))?;
        let spent = number_of(cpu::nanoseconds(self.order.server)?.saturating_sub(before));
        let seconds = begun.elapsed().as_secs_f64();
        let got = self.received().into_iter().zip(received);
        let got: Vec<u64> = got.map(|(now, before)| now.saturating_sub(before)).collect();
        let live = self.players.iter().flatten().zip(&got).filter(|(p, _)| p.is_live());
        let live: Vec<u64> = live.map(|(_, n)| *n).collect();
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let count = live.len().max(1) as f64;
        let latencies = std::mem::take(&mut self.latencies);
        Ok(Measured {
            cost: Cost {
                spent: spent / 1e3 / seconds,
                each: spent / 1e3 / seconds / count,
                mbps: number_of(live.iter().sum()) * 8.0 / count / seconds / 1e6,
                latency: (percentile(latencies.clone(), 50), percentile(latencies, 99)),
            },
            live,
        })
    }

    fn received(&self) -> Vec<u64> {
        self.players.iter().flatten().map(|player| player.received).collect()
    }

    /// Goes on for so long.
    fn until(&mut self, length: Duration) -> Result<()> {
        let begun = Instant::now();
        let mut events = Events::with_capacity(1024);
        loop {
            let due = self.pace()?;
            let left = length.saturating_sub(begun.elapsed());
            let wait = due.map_or(left, |due| due.saturating_duration_since(Instant::now()).min(left));
            let wait = if self.awake { Duration::ZERO } else { wait };
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
        if let Some(number) = token.0.checked_sub(PUBLISHERS) {
            let publisher = self.publishers.get_mut(number).and_then(Option::as_mut);
            return publisher.map_or(Ok(()), Publisher::ready);
        }
        let Some(Some(player)) = self.players.get_mut(token.0) else {
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

#[allow(clippy::cast_precision_loss, reason = "a ratio of measures")]
fn number_of(n: u64) -> f64 {
    n as f64
}

fn percentile(mut values: Vec<f64>, percent: usize) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = values.len().saturating_mul(percent) / 100;
    values
        .get(at.min(values.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}
