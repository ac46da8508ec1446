//! A stream of JSON lines that a pod holds open, read without a buffer that waits.
//!
//! There are two to each pod, for as long as it lives, and an HTTP library's buffers for thousands of them are most of a process.
//! So this speaks the little HTTP that one held answer needs, and keeps only what of a line has come.

use super::chunked::Chunked;
use super::transport::{LinkError, Peer, REQUEST_TIMEOUT, SILENCE};
use super::wire::Wire;
use crate::pace::Pace;
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use serde::de::DeserializeOwned;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};

/// Lines are read at 4 MiB a second, each counted as 1 KiB at least: a pod that sends more fills its own socket.
const KIBIBYTE_TIME: Duration = Duration::from_micros(244);
/// As much as this time pays for is read at once: the largest report, or a whole ledger.
const BURST_TIME: Duration = Duration::from_secs(6);
/// Bytes of an answer's head.
const HEAD_MAX: usize = 8 * 1024;
const HEADERS_MAX: usize = 32;

/// An open stream of JSON lines; closed when dropped.
pub struct Lines {
    peer: Peer,
    wire: Wire,
    /// `None` when the answer goes on until the connection ends.
    chunked: Option<Chunked>,
    raw: BytesMut,
    line: BytesMut,
    max: usize,
    pace: Pace,
    rest: Option<Instant>,
}

/// What matters of an answer's head.
struct Head {
    status: StatusCode,
    chunked: bool,
}

impl Lines {
    /// Asks for `path`; no line may have more than `max` bytes.
    pub async fn open(peer: &Peer, path: &'static str, max: usize) -> Result<Self, LinkError> {
        let opened = async {
            let mut lines = Self {
                wire: Wire::open(peer).await?,
                peer: peer.clone(),
                chunked: None,
                raw: BytesMut::new(),
                line: BytesMut::new(),
                max,
                pace: Pace::new(KIBIBYTE_TIME, BURST_TIME),
                rest: None,
            };
            lines.ask(path).await?;
            Ok(lines)
        };
        timeout(REQUEST_TIMEOUT, opened)
            .await
            .unwrap_or(Err(LinkError::Timeout(peer.address)))
    }

    /// The next line. The stream is of no use after an error.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<T, LinkError> {
        let address = self.peer.address;
        if let Some(rest) = self.rest {
            sleep_until(rest).await;
        }
        let line = timeout(SILENCE, self.line())
            .await
            .unwrap_or(Err(LinkError::Silent(address)))?;
        let (now, kibibytes) = (Instant::now(), line.len().div_ceil(1024));
        let rest = self.pace.charge(u32::try_from(kibibytes).unwrap_or(u32::MAX), now);
        self.rest = now.checked_add(rest).filter(|_| !rest.is_zero());
        serde_json::from_slice(&line).map_err(|e| LinkError::BadReport(address, e.to_string()))
    }

    async fn ask(&mut self, path: &'static str) -> Result<(), LinkError> {
        let broken = |e| LinkError::Broken(self.peer.address, e);
        let request = format!("GET {path} HTTP/1.1\r\nhost: media-pod\r\naccept: application/json\r\n\r\n");
        let sent = self.wire.send(request.as_bytes(), &mut self.raw).await;
        sent.map_err(broken)?;
        let head = loop {
            self.read().await?;
            if let Some(head) = self.head()? {
                break head;
            }
        };
        if head.status != StatusCode::OK {
            return Err(LinkError::Status(self.peer.address, head.status, path));
        }
        self.chunked = head.chunked.then(Chunked::default);
        self.decode()
    }

    /// `None` until all of it has come.
    fn head(&mut self) -> Result<Option<Head>, LinkError> {
        let bad = |why: String| LinkError::BadReport(self.peer.address, why);
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut answer = httparse::Response::new(&mut headers);
        let parsed = answer.parse(&self.raw).map_err(|e| bad(e.to_string()))?;
        let httparse::Status::Complete(length) = parsed else {
            return match self.raw.len() {
                long if long > HEAD_MAX => Err(bad(format!("a head longer than {HEAD_MAX} bytes"))),
                _ => Ok(None),
            };
        };
        let status = answer.code.and_then(|code| StatusCode::from_u16(code).ok());
        let status = status.ok_or_else(|| bad("an answer without a status".into()))?;
        let is_chunked = |h: &httparse::Header<'_>| {
            h.name.eq_ignore_ascii_case("transfer-encoding") && h.value.eq_ignore_ascii_case(b"chunked")
        };
        let chunked = answer.headers.iter().any(is_chunked);
        drop(self.raw.split_to(length));
        Ok(Some(Head { status, chunked }))
    }

    async fn line(&mut self) -> Result<Bytes, LinkError> {
        let address = self.peer.address;
        let mut searched = 0;
        loop {
            let found = self.line.iter().skip(searched).position(|b| *b == b'\n');
            if let Some(end) = found.map(|at| at.saturating_add(searched)) {
                let line = self.line.split_to(end.saturating_add(1)).freeze();
                if self.line.is_empty() {
                    self.line = BytesMut::new();
                }
                if !line.trim_ascii().is_empty() {
                    return Ok(line);
                }
                searched = 0;
                continue;
            }
            searched = self.line.len();
            if searched > self.max {
                return Err(LinkError::TooLong(address, self.max));
            }
            if self.chunked == Some(Chunked::End) {
                return Err(LinkError::Ended(address));
            }
            self.read().await?;
            self.decode()?;
        }
    }

    /// From what was read to what the lines are made of.
    fn decode(&mut self) -> Result<(), LinkError> {
        match &mut self.chunked {
            Some(chunked) => chunked
                .decode(&mut self.raw, &mut self.line)
                .map_err(|e| LinkError::BadReport(self.peer.address, e.to_string()))?,
            None => self.line.extend_from_slice(&self.raw.split()),
        }
        if self.raw.is_empty() {
            self.raw = BytesMut::new();
        }
        Ok(())
    }

    /// Something more. The buffer is there only while something is.
    async fn read(&mut self) -> Result<(), LinkError> {
        let address = self.peer.address;
        match self.wire.read(&mut self.raw).await {
            Ok(0) => Err(LinkError::Ended(address)),
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => Err(LinkError::Ended(address)),
            Err(error) => Err(LinkError::Broken(address, error)),
        }
    }
}
