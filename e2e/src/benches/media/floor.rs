//! The floor of the machine: the same bytes in the same windows, sent by a loop that does nothing else.
//!
//! One thread, no protocol, one non-blocking send a player and window. What a server costs above it is what the server itself costs.

use super::clip::tags;
use super::cpu;
use crate::error::{Context as _, Result};
use crate::ui::say;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::{ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What an RTMP message costs on the wire beside its payload, in bytes: one full header and one for each further chunk of 4096.
const HEADER: usize = 12;
/// Between two looks at who wants to play.
const LOOK: Duration = Duration::from_millis(5);

/// What is asked of it.
#[derive(Clone, Debug, clap::Args)]
pub struct Order {
    /// The stream.
    #[arg(long)]
    clip: PathBuf,
    /// In milliseconds.
    #[arg(long)]
    window: u64,
    /// How often the stream is sent beside itself, each time to players of its own.
    #[arg(long, default_value_t = 1)]
    streams: u32,
    #[arg(long)]
    core: usize,
}

/// The messages of a clip, each at its time.
struct Clip {
    messages: Vec<(Duration, Vec<u8>)>,
    length: Duration,
    window: Duration,
}

/// The clip, over and over, and those who get it.
struct Stream {
    players: Vec<TcpStream>,
    /// When the clip has begun this time.
    round: Duration,
    /// How many of its messages were sent.
    sent: usize,
}

/// Sends the clip to whoever connects, over and over, until it is killed. Prints its port first.
pub fn serve(order: &Order) -> Result<()> {
    cpu::pin(order.core)?;
    let clip = Clip::read(&order.clip, Duration::from_millis(order.window))?;
    let listener = TcpListener::bind("127.0.0.1:0").context("the floor's port")?;
    listener.set_nonblocking(true).context("the floor's port")?;
    say(listener.local_addr().context("the floor's port")?);
    let mut streams: Vec<Stream> = (0..order.streams).map(|number| Stream::new(number, order)).collect();
    let mut queue: BinaryHeap<_> = streams
        .iter()
        .enumerate()
        .map(|(number, stream)| Reverse((stream.due(&clip), number)))
        .collect();
    let (begun, mut looked, mut players) = (Instant::now(), Duration::ZERO, 0_usize);
    while let Some(Reverse((due, number))) = queue.pop() {
        let now = begun.elapsed();
        std::thread::sleep(due.saturating_sub(now));
        if now.saturating_sub(looked) > LOOK {
            looked = now;
            accept(&listener, &mut streams, &mut players)?;
        }
        if let Some(stream) = streams.get_mut(number) {
            stream.send(&clip);
            queue.push(Reverse((stream.due(&clip), number)));
        }
    }
    Ok(())
}

impl Clip {
    fn read(file: &Path, window: Duration) -> Result<Self> {
        let message = |at: u32, bytes: usize| {
            (
                Duration::from_millis(at.into()),
                vec![0_u8; bytes.saturating_add(HEADER)],
            )
        };
        let tags = tags(file)?;
        let messages: Vec<_> = tags
            .iter()
            .map(|tag| message(tag.timestamp_millis, tag.body.len()))
            .collect();
        let last = messages.last().map(|(at, _)| *at).unwrap_or_default();
        Ok(Self {
            messages,
            length: last.max(Duration::from_secs(1)),
            window,
        })
    }

    /// How many of these go out together.
    fn size(&self, rest: &[(Duration, Vec<u8>)]) -> usize {
        let first = rest.first().map(|(at, _)| *at).unwrap_or_default();
        let until = first.saturating_add(self.window);
        // Without a window each message is a send of its own, also where two have one time.
        let together = rest.iter().take_while(|(at, _)| *at < until).count();
        together.max(1).min(rest.len())
    }
}

impl Stream {
    /// They do not all send at once.
    fn new(number: u32, order: &Order) -> Self {
        let share = order
            .window
            .saturating_mul(number.into())
            .checked_div(order.streams.into());
        Self {
            players: Vec::new(),
            round: Duration::from_millis(share.unwrap_or_default()),
            sent: 0,
        }
    }

    fn rest<'a>(&self, clip: &'a Clip) -> &'a [(Duration, Vec<u8>)] {
        clip.messages.get(self.sent..).unwrap_or_default()
    }

    fn due(&self, clip: &Clip) -> Duration {
        let next = self.rest(clip).first().map(|(at, _)| *at).unwrap_or_default();
        self.round.saturating_add(next).saturating_add(clip.window)
    }

    fn send(&mut self, clip: &Clip) {
        let (rest, size) = (self.rest(clip), clip.size(self.rest(clip)));
        let batch: Vec<&[u8]> = rest.iter().take(size).map(|(_, bytes)| bytes.as_slice()).collect();
        let batch = batch.concat();
        self.players.retain_mut(|player| send(player, &batch));
        self.sent = self.sent.saturating_add(size);
        if self.sent >= clip.messages.len() {
            self.sent = 0;
            self.round = self.round.saturating_add(clip.length);
        }
    }
}

/// Players come to the streams in turn.
fn accept(listener: &TcpListener, streams: &mut [Stream], players: &mut usize) -> Result<()> {
    while let Ok((socket, _)) = listener.accept() {
        socket.set_nodelay(true).context("TCP_NODELAY")?;
        socket.set_nonblocking(true).context("a player's socket")?;
        let number = players.checked_rem(streams.len()).unwrap_or_default();
        *players = players.saturating_add(1);
        if let Some(stream) = streams.get_mut(number) {
            stream.players.push(socket);
        }
    }
    Ok(())
}

/// Whether the player is still there. What does not fit is not sent: the generator reads all.
fn send(player: &mut TcpStream, batch: &[u8]) -> bool {
    match player.write(batch) {
        Ok(sent) => sent > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    }
}
