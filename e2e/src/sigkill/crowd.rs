//! Publishers and players who come and go, whatever becomes of the server.

use crate::error::{Context as _, Error, Result};
use headgate_rtmp::client::{ClientSession, Event, Purpose};
use parking_lot::Mutex;
use rand::{Rng as _, random_range};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Streams, each with one publisher after the other.
const STREAMS: usize = 8;
/// Of them have a player too, one after the other.
const PLAYED: usize = 4;
/// How long a client waits to be let in.
const PATIENCE: Duration = Duration::from_secs(5);

/// Somebody whom the server let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comer {
    pub(super) publishes: bool,
    pub(super) stream: String,
    /// The query that only it has.
    pub(super) query: String,
}

/// See the module.
pub(super) struct Crowd {
    let_in: Arc<Mutex<Vec<Comer>>>,
    tasks: JoinSet<()>,
    over: CancellationToken,
}

impl Crowd {
    pub(super) fn start(address: &str) -> Self {
        let (let_in, number) = (Arc::<Mutex<Vec<Comer>>>::default(), Arc::<AtomicU64>::default());
        let (mut tasks, over) = (JoinSet::new(), CancellationToken::new());
        let wishes = (0..STREAMS).map(|n| (n, true)).chain((0..PLAYED).map(|n| (n, false)));
        for (stream, publishes) in wishes {
            let way = Way {
                address: address.to_owned(),
                stream: format!("s{stream}"),
                publishes,
                let_in: Arc::clone(&let_in),
                number: Arc::clone(&number),
            };
            let over = over.clone();
            tasks.spawn(async move {
                over.run_until_cancelled(way.come_and_go()).await;
            });
        }
        Self { let_in, tasks, over }
    }

    /// Those who were let in so far, of each stream in their order.
    pub(super) fn let_in(&self) -> Vec<Comer> {
        self.let_in.lock().clone()
    }

    /// All leave. Who was let in.
    pub(super) async fn end(self) -> Vec<Comer> {
        self.over.cancel();
        self.tasks.join_all().await;
        self.let_in.lock().clone()
    }
}

/// One place in the crowd.
struct Way {
    address: String,
    stream: String,
    publishes: bool,
    let_in: Arc<Mutex<Vec<Comer>>>,
    number: Arc<AtomicU64>,
}

impl Way {
    async fn come_and_go(&self) {
        loop {
            let query = format!("?n={}", self.number.fetch_add(1, Ordering::Relaxed));
            let came = tokio::time::timeout(PATIENCE, self.come(&query)).await;
            if let Ok(Ok(socket)) = came {
                self.let_in.lock().push(Comer {
                    publishes: self.publishes,
                    stream: self.stream.clone(),
                    query,
                });
                tokio::time::sleep(Duration::from_millis(random_range(0..30))).await;
                drop(socket);
            }
            // A server that is away is asked again soon, and one that is there is not asked without end.
            tokio::time::sleep(Duration::from_millis(random_range(2..10))).await;
        }
    }

    /// Until the server says that it is let in.
    async fn come(&self, query: &str) -> Result<TcpStream> {
        let mut socket = TcpStream::connect(&self.address).await.context("connecting")?;
        let purpose = if self.publishes {
            Purpose::Publish
        } else {
            Purpose::Play
        };
        let server = format!("rtmp://{}", self.address);
        let mut session = ClientSession::new(purpose, &server, "live", &format!("{}{query}", self.stream));
        let mut came = 0;
        loop {
            let outcome = session.process(came, &mut |out| rand::rng().fill_bytes(out));
            outcome.map_err(|error| Error::new(error.to_string()))?;
            let output = session.take_output();
            socket.write_all(&output).await.context("sending")?;
            match session.poll_event() {
                Some(Event::Started) => return Ok(socket),
                Some(Event::Refused { description, .. }) => return Err(Error::new(description)),
                Some(_) => came = 0,
                None => {
                    came = socket.read_buf(session.buffer()).await.context("reading")?;
                    crate::ensure!(came > 0, "the server closed the connection");
                }
            }
        }
    }
}
