//! A TCP link that is slow on purpose: what is sent arrives later, whole and in order, as from a server whose disk others use.

use crate::error::{Context as _, Result};
use bytes::{Bytes, BytesMut};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};
use tokio_util::task::AbortOnDropHandle;

/// The largest piece that is read at once, in bytes.
const PIECE: usize = 64 << 10;
/// How many pieces are under way in one direction before no more is read.
const UNDER_WAY: usize = 256;

/// The link. It is gone, with every connection over it, when dropped.
#[derive(Debug)]
pub struct SlowLink {
    address: SocketAddr,
    delay: Arc<AtomicU64>,
    _serving: AbortOnDropHandle<()>,
}

impl SlowLink {
    /// A link to `upstream`, `HOST:PORT`, from a free port of `host`; not slow yet.
    pub async fn start(host: &str, upstream: String) -> Result<Self> {
        let listener = TcpListener::bind((host, 0)).await.context("the slow link's port")?;
        let address = listener.local_addr().context("the slow link's port")?;
        let delay = Arc::<AtomicU64>::default();
        let serving = tokio::spawn(serve(listener, upstream, Arc::clone(&delay)));
        Ok(Self {
            address,
            delay,
            _serving: AbortOnDropHandle::new(serving),
        })
    }

    /// `HOST:PORT` of its near end.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on whatever passes takes so much longer, in milliseconds, in each direction.
    pub fn slow(&self, delay: Duration) {
        let delay = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
        self.delay.store(delay, Ordering::Relaxed);
    }
}

async fn serve(listener: TcpListener, upstream: String, delay: Arc<AtomicU64>) {
    let mut connections = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (upstream, delay) = (upstream.clone(), Arc::clone(&delay));
        connections.spawn(async move {
            if let Ok(far) = TcpStream::connect(upstream).await {
                both_ways(near, far, &delay).await;
            }
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Until either end is done: a half of a connection is of no use to what runs over this.
async fn both_ways(near: TcpStream, far: TcpStream, delay: &AtomicU64) {
    let _ = (near.set_nodelay(true), far.set_nodelay(true));
    let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
    tokio::select! {
        () = later(near_read, far_write, delay) => {}
        () = later(far_read, near_write, delay) => {}
    }
}

/// Passes on in order what is read, each piece when its time has come.
async fn later(read: impl AsyncRead + Unpin, write: impl AsyncWrite + Unpin, delay: &AtomicU64) {
    let (sender, receiver) = mpsc::channel(UNDER_WAY);
    tokio::join!(take_in(read, sender, delay), give_out(write, receiver));
}

async fn take_in(mut read: impl AsyncRead + Unpin, sender: mpsc::Sender<(Instant, Bytes)>, delay: &AtomicU64) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(PIECE);
        let Ok(1..) = read.read_buf(&mut buffer).await else {
            return;
        };
        let (now, late) = (Instant::now(), Duration::from_millis(delay.load(Ordering::Relaxed)));
        let due = now.checked_add(late).unwrap_or(now);
        if sender.send((due, buffer.split().freeze())).await.is_err() {
            return;
        }
    }
}

async fn give_out(mut write: impl AsyncWrite + Unpin, mut receiver: mpsc::Receiver<(Instant, Bytes)>) {
    while let Some((due, piece)) = receiver.recv().await {
        sleep_until(due).await;
        if write.write_all(&piece).await.is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{copy, split};

    /// A link to a server that sends back what it gets.
    async fn echo() -> (SlowLink, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let upstream = listener.local_addr().unwrap().to_string();
        tokio::spawn(async move {
            let (mut read, mut write) = split(listener.accept().await.unwrap().0);
            copy(&mut read, &mut write).await
        });
        let link = SlowLink::start("127.0.0.1", upstream).await.unwrap();
        let client = TcpStream::connect(link.address()).await.unwrap();
        (link, client)
    }

    #[tokio::test]
    async fn all_comes_back_in_order_and_later_by_both_ways() {
        let (link, mut client) = echo().await;
        link.slow(Duration::from_millis(100));
        let sent: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        let begun = Instant::now();
        let (mut read, mut write) = client.split();
        let mut got = vec![0; sent.len()];
        let (written, seen) = tokio::join!(write.write_all(&sent), read.read_exact(&mut got));
        written.unwrap();
        seen.unwrap();
        assert!(begun.elapsed() >= Duration::from_millis(200), "{:?}", begun.elapsed());
        assert!(got == sent);
    }

    #[tokio::test]
    async fn a_link_that_is_gone_takes_its_connections_along() {
        let (link, mut client) = echo().await;
        client.write_all(b"x").await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), b'x');
        drop(link);
        assert!(client.read_u8().await.is_err());
    }
}
