//! The floor of the machine: the same bytes in the same windows, sent by a loop that does nothing else.
//!
//! One thread, no protocol, one non-blocking send a player and window. What a server costs above it is what the server itself costs.

use super::clip::tags;
use super::cpu;
use crate::error::{Context as _, Result};
use crate::ui::say;
use std::io::{ErrorKind, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::{Duration, Instant};

/// What an RTMP message costs on the wire beside its payload, in bytes: one full header and one for each further chunk of 4096.
const HEADER: usize = 12;

/// Sends the clip to whoever connects, over and over, until it is killed. Prints its port first.
pub fn serve(file: &Path, window: Duration, core: usize) -> Result<()> {
    cpu::pin(core)?;
    let messages: Vec<(Duration, Vec<u8>)> = tags(file)?
        .iter()
        .map(|tag| {
            (
                Duration::from_millis(tag.timestamp_millis.into()),
                vec![0_u8; tag.body.len().saturating_add(HEADER)],
            )
        })
        .collect();
    let length = messages
        .last()
        .map(|(at, _)| *at)
        .unwrap_or_default()
        .max(Duration::from_secs(1));
    let listener = TcpListener::bind("127.0.0.1:0").context("the floor's port")?;
    listener.set_nonblocking(true).context("the floor's port")?;
    say(listener.local_addr().context("the floor's port")?);
    let (mut players, begun, mut round) = (Vec::new(), Instant::now(), Duration::ZERO);
    loop {
        let mut rest = messages.as_slice();
        while let Some((first, _)) = rest.first() {
            let due = round.saturating_add(*first).saturating_add(window);
            std::thread::sleep(due.saturating_sub(begun.elapsed()));
            accept(&listener, &mut players)?;
            let until = first.saturating_add(window);
            let size = rest
                .iter()
                .take_while(|(at, _)| *at < until || *at == *first)
                .count()
                .max(1);
            // Without a window each message is a send of its own, also where two have one time.
            let size = if window.is_zero() { 1 } else { size };
            let (now, later) = rest.split_at(size.min(rest.len()));
            let batch: Vec<u8> = now
                .iter()
                .map(|(_, bytes)| bytes.as_slice())
                .collect::<Vec<_>>()
                .concat();
            players.retain_mut(|player| send(player, &batch));
            rest = later;
        }
        round = round.saturating_add(length);
    }
}

fn accept(listener: &TcpListener, players: &mut Vec<TcpStream>) -> Result<()> {
    while let Ok((socket, _)) = listener.accept() {
        socket.set_nodelay(true).context("TCP_NODELAY")?;
        socket.set_nonblocking(true).context("a player's socket")?;
        players.push(socket);
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
