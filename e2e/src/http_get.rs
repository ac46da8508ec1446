//! One plain HTTP GET, for metrics and health.

use crate::error::{Context as _, Error, Result};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const LIMIT: Duration = Duration::from_secs(5);

/// The status and the body of `http://ADDRESS PATH`. The answer must come without a transfer coding, as HTTP/1.0 wants it.
pub async fn http_get(address: &str, path: &str) -> Result<(u16, String)> {
    let what = format!("GET http://{address}{path}");
    let answer = tokio::time::timeout(LIMIT, exchange(address, path)).await;
    let answer = answer
        .map_err(|_| Error::new(format!("{what}: no answer in {LIMIT:?}")))?
        .context(&what)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .context(format_args!("{what}: the answer has no end of head"))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok((
        status.context(format_args!("{what}: no status in {head:?}"))?,
        body.to_owned(),
    ))
}

/// The body of an answer that is 200.
pub async fn http_body(address: &str, path: &str) -> Result<String> {
    match http_get(address, path).await? {
        (200, body) => Ok(body),
        (status, body) => Err(Error::new(format!("GET http://{address}{path}: {status} {body}"))),
    }
}

async fn exchange(address: &str, path: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}
