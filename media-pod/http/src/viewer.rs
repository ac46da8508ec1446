//! A viewer on its raw socket: the hub's bytes, several at a time, without a copy.

use crate::format::Framing;
use crate::handler::BATCH;
use crate::websocket::{FromClient, Said};
use bytes::{Buf, Bytes};
use headgate_front::Socket;
use headgate_hub::{Client, EndReason, Player, Traffic};
use std::convert::Infallible;
use std::io::{self, IoSlice};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// How long a viewer that is told goodbye has to take it.
const GOODBYE: Duration = Duration::from_secs(1);

/// An admitted viewer with the first bytes it will get, the head of the answer before them.
pub(crate) struct Viewer {
    pub(crate) client: Client,
    pub(crate) player: Player,
    pub(crate) packets: Vec<Bytes>,
    pub(crate) framing: Framing,
}

impl Viewer {
    /// Sends until the stream ends, the peer closes, the hub cuts it, or the process stops. The connection ends with the body.
    pub(crate) async fn run(mut self, socket: Socket, shutdown: &CancellationToken) {
        let (mut reader, mut writer) = tokio::io::split(socket);
        let mut heard = Heard::new(self.framing);
        let reason = loop {
            if let Err(reason) = self.send(&mut writer).await {
                break reason;
            }
            tokio::select! {
                next = self.player.next(&mut self.packets, BATCH) => if let Err(reason) = next { break reason },
                answer = heard.next(&mut reader) => match answer {
                    Some(answer) => self.packets.push(answer),
                    None => break EndReason::PeerClosed,
                },
                () = shutdown.cancelled() => break EndReason::Shutdown,
            }
        };
        self.player.finish(reason);
        let listens = match reason {
            EndReason::TooSlow => false,
            // A WebSocket client that says goodbye waits for the answer.
            EndReason::PeerClosed => self.framing == Framing::WebSocket,
            _ => true,
        };
        if listens {
            let _ = tokio::time::timeout(GOODBYE, end_body(&self.packets, self.framing, &mut writer)).await;
        }
        let _ = writer.shutdown().await;
    }

    /// Writes all packets. Each write that moves something has its own time.
    async fn send(&mut self, writer: &mut WriteHalf<Socket>) -> Result<(), EndReason> {
        let mut first = 0;
        while let Some(rest) = self.packets.get(first..).filter(|rest| !rest.is_empty()) {
            let written = tokio::select! {
                biased;
                written = write(writer, rest) => written.map_err(|_| EndReason::PeerClosed)?,
                reason = self.player.stalled() => return Err(reason),
            };
            self.client.count(Traffic {
                sent: written as u64,
                received: 0,
            });
            first = first.saturating_add(advance(self.packets.get_mut(first..).unwrap_or_default(), written));
        }
        self.packets.clear();
        tokio::select! {
            biased;
            flushed = writer.flush() => flushed.map_err(|_| EndReason::PeerClosed),
            reason = self.player.stalled() => Err(reason),
        }
    }

    /// The same into the body of an HTTP/2 stream, which takes as much as its peer allows.
    pub(crate) async fn pour(mut self, body: mpsc::Sender<Result<Bytes, Infallible>>, shutdown: CancellationToken) {
        let reason = loop {
            if let Err(reason) = self.fill(&body).await {
                break reason;
            }
            tokio::select! {
                next = self.player.next(&mut self.packets, BATCH) => if let Err(reason) = next { break reason },
                () = body.closed() => break EndReason::PeerClosed,
                () = shutdown.cancelled() => break EndReason::Shutdown,
            }
        };
        self.player.finish(reason);
    }

    async fn fill(&mut self, body: &mpsc::Sender<Result<Bytes, Infallible>>) -> Result<(), EndReason> {
        for packet in self.packets.drain(..).filter(|packet| !packet.is_empty()) {
            let sent = packet.len() as u64;
            tokio::select! {
                biased;
                taken = body.send(Ok(packet)) => taken.map_err(|_| EndReason::PeerClosed)?,
                reason = self.player.stalled() => return Err(reason),
            }
            self.client.count(Traffic { sent, received: 0 });
        }
        Ok(())
    }
}

/// A body that was begun is whole only with the rest of the packet that was under way, and its end.
async fn end_body(packets: &[Bytes], framing: Framing, writer: &mut WriteHalf<Socket>) -> io::Result<()> {
    for packet in packets {
        writer.write_all(packet).await?;
    }
    writer.write_all(framing.end()).await
}

/// As many packets as one system call takes.
async fn write(writer: &mut WriteHalf<Socket>, packets: &[Bytes]) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); BATCH];
    for (slice, packet) in slices.iter_mut().zip(packets) {
        *slice = IoSlice::new(packet);
    }
    match writer
        .write_vectored(slices.get(..packets.len().min(BATCH)).unwrap_or_default())
        .await?
    {
        0 => Err(io::ErrorKind::WriteZero.into()),
        written => Ok(written),
    }
}

/// Takes written bytes off; says how many packets are done.
fn advance(packets: &mut [Bytes], mut written: usize) -> usize {
    let mut done = 0_usize;
    for packet in packets {
        let taken = written.min(packet.len());
        packet.advance(taken);
        written = written.saturating_sub(taken);
        if !packet.is_empty() {
            break;
        }
        done = done.saturating_add(1);
    }
    done
}

/// What the peer says while it watches. Without WebSocket it has nothing to say.
struct Heard {
    frames: Option<FromClient>,
}

impl Heard {
    fn new(framing: Framing) -> Self {
        Self {
            frames: (framing == Framing::WebSocket).then(FromClient::default),
        }
    }

    /// What must be answered; `None` when the peer has closed. Can be dropped and called again without loss.
    async fn next(&mut self, reader: &mut ReadHalf<Socket>) -> Option<Bytes> {
        let mut data = [0; 512];
        let mut read = 0;
        loop {
            let said = self
                .frames
                .as_mut()
                .and_then(|f| f.push(data.get(..read).unwrap_or_default()));
            match said {
                Some(Said::Answer(answer)) => return Some(answer),
                Some(Said::Close) => return None,
                None => {}
            }
            read = reader.read(&mut data).await.ok().filter(|read| *read > 0)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_write_goes_on_where_it_stopped() {
        let mut packets = [
            Bytes::from_static(b"abc"),
            Bytes::from_static(b""),
            Bytes::from_static(b"defg"),
        ];
        assert_eq!(advance(&mut packets, 5), 2);
        assert_eq!(packets[2], "fg");
        assert_eq!(advance(&mut packets[2..], 2), 1);
    }
}
