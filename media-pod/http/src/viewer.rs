//! A viewer on its raw socket: the hub's bytes, several at a time, without a copy.

use crate::FlvFormat;
use crate::flv::LAST_CHUNK;
use crate::handler::BATCH;
use crate::refuse::MEDIA_HEADERS;
use bytes::{Buf, Bytes};
use headgate_hub::{Client, EndReason, Player, Traffic};
use std::io::{self, IoSlice};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio_util::sync::CancellationToken;

/// How long a viewer that is told goodbye has to take it.
const GOODBYE: Duration = Duration::from_secs(1);

/// An admitted viewer with the first bytes it will get.
pub(crate) struct Viewer {
    pub(crate) client: Client,
    pub(crate) player: Player,
    pub(crate) packets: Vec<Bytes>,
    pub(crate) format: FlvFormat,
}

impl Viewer {
    /// Sends until the stream ends, the peer closes, the hub cuts it, or the process stops. The connection ends with the body.
    pub(crate) async fn run(mut self, mut stream: TcpStream, shutdown: &CancellationToken) {
        let (mut reader, mut writer) = stream.split();
        self.packets.insert(0, head(self.format));
        let reason = loop {
            if let Err(reason) = self.send(&mut writer).await {
                break reason;
            }
            tokio::select! {
                next = self.player.next(&mut self.packets, BATCH) => if let Err(reason) = next { break reason },
                () = gone(&mut reader) => break EndReason::PeerClosed,
                () = shutdown.cancelled() => break EndReason::Shutdown,
            }
        };
        self.player.finish(reason);
        if !matches!(reason, EndReason::TooSlow | EndReason::PeerClosed) {
            let _ = tokio::time::timeout(GOODBYE, end_body(&self.packets, self.format, &mut writer)).await;
        }
        let _ = writer.shutdown().await;
    }

    /// Writes all packets. Each write that moves something has its own time.
    async fn send(&mut self, writer: &mut WriteHalf<'_>) -> Result<(), EndReason> {
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
        Ok(())
    }
}

/// A body that was begun is whole only with the rest of the packet that was under way, and its end.
async fn end_body(packets: &[Bytes], format: FlvFormat, writer: &mut WriteHalf<'_>) -> io::Result<()> {
    for packet in packets {
        writer.write_all(packet).await?;
    }
    if format == FlvFormat::Chunked {
        writer.write_all(LAST_CHUNK).await?;
    }
    Ok(())
}

/// As many packets as one system call takes.
async fn write(writer: &mut WriteHalf<'_>, packets: &[Bytes]) -> io::Result<usize> {
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

/// Resolves when the peer has closed. What it sends meanwhile is dropped.
async fn gone(reader: &mut ReadHalf<'_>) {
    let mut dropped = [0; 512];
    while matches!(reader.read(&mut dropped).await, Ok(read) if read > 0) {}
}

fn head(format: FlvFormat) -> Bytes {
    let mut head = b"HTTP/1.1 200 OK\r\n".to_vec();
    for (name, value) in &MEDIA_HEADERS {
        for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            head.extend_from_slice(part);
        }
    }
    if format == FlvFormat::Chunked {
        head.extend_from_slice(b"transfer-encoding: chunked\r\n");
    }
    head.extend_from_slice(b"\r\n");
    head.into()
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
