//! A back end in a process of its own that costs as little as can be: it reads a request and writes the answer that its path asks for.

use super::failed;
use crate::error::{Context as _, Result};
use crate::ui::say;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

/// Bytes of a request; a longer one ends its connection.
const REQUEST_MAX: usize = 64 * 1024;

/// Yes, in every dialect that is measured.
const YES: &str = r#"{"code":0,"allow":true}"#;

/// The process.
pub struct Receiver {
    port: u16,
    client: reqwest::Client,
    /// It ends with this.
    _process: Child,
}

impl Receiver {
    /// Starts this program once more, as a receiver.
    pub async fn start() -> Result<Self> {
        let here = std::env::current_exe().context("finding this program")?;
        let mut process = Command::new(here)
            .args(["bench", "hook-receiver"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("starting the receiver")?;
        let said = process.stdout.take().context("it has no output")?;
        let line = BufReader::new(said)
            .lines()
            .next_line()
            .await
            .context("reading its port")?;
        let line = line.context("it said nothing")?;
        let port = line.trim().parse::<u16>().map_err(failed("its port"))?;
        Ok(Self {
            port,
            client: reqwest::Client::new(),
            _process: process,
        })
    }

    /// A URL: `/yes` answers at once, `/wait/N` after N ms, `/hang` never, `/count` with how many requests were answered.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Requests that were answered so far, those for the count left out.
    pub async fn answered(&self) -> Result<u64> {
        let asked = self.client.get(self.url("/count")).send().await;
        let response = asked.map_err(failed("asking for the count"))?;
        let text = response.text().await.map_err(failed("reading the count"))?;
        text.parse::<u64>().map_err(failed("the count"))
    }
}

/// Serves until it is killed; says its port first.
pub async fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("listening")?;
    say(listener.local_addr().context("its address")?.port());
    let answered = Arc::<AtomicU64>::default();
    loop {
        let (socket, _) = listener.accept().await.context("accepting")?;
        let answered = Arc::clone(&answered);
        tokio::spawn(async move { connection(socket, &answered).await });
    }
}

async fn connection(mut socket: TcpStream, answered: &AtomicU64) -> Option<()> {
    socket.set_nodelay(true).ok()?;
    let mut bytes = Vec::new();
    loop {
        let (path, length) = loop {
            if let Some(request) = whole(&bytes) {
                break request;
            }
            let read = socket.read_buf(&mut bytes).await.ok()?;
            if read == 0 || bytes.len() > REQUEST_MAX {
                return None;
            }
        };
        bytes.drain(..length);
        let body = match path.strip_prefix("/wait/").map(str::parse) {
            Some(wait) => {
                tokio::time::sleep(Duration::from_millis(wait.ok()?)).await;
                YES.to_owned()
            }
            None if path == "/count" => answered.load(Ordering::Relaxed).to_string(),
            None if path == "/hang" => std::future::pending().await,
            None => YES.to_owned(),
        };
        if path != "/count" {
            answered.fetch_add(1, Ordering::Relaxed);
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        socket.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// Path and length of the request that the bytes begin with, once it is whole.
fn whole(bytes: &[u8]) -> Option<(String, usize)> {
    let head = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let text = std::str::from_utf8(bytes.get(..head)?).ok()?;
    let mut lines = text.split("\r\n");
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let length = lines
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(Some(0), |(_, value)| value.trim().parse().ok())?;
    let end = head.checked_add(4)?.checked_add(length)?;
    (bytes.len() >= end).then_some((path, end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_read_when_it_is_whole_and_not_before() {
        let request = b"POST /wait/50 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcPOST";
        assert_eq!(whole(&request[..50]), None);
        assert_eq!(whole(request), Some(("/wait/50".into(), request.len() - 4)));
        assert_eq!(whole(b"GET /count HTTP/1.1\r\n\r\n"), Some(("/count".into(), 23)));
    }
}
