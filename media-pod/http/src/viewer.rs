//! A viewer on its raw socket: a pass of the hub writes, this hears.

use crate::format::Framing;
use crate::websocket::{FromClient, Said};
use bytes::Bytes;
use headgate_hub::{Client, EndReason, Outlet, Player, Seated};
use std::io;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// How long a viewer that is told goodbye has to take it.
const GOODBYE: Duration = Duration::from_secs(1);

/// An admitted viewer for whom there is something.
pub(crate) struct Viewer {
    pub(crate) client: Client,
    pub(crate) player: Player,
    /// Of the answer.
    pub(crate) head: Bytes,
    pub(crate) framing: Framing,
}

impl Viewer {
    /// Until the stream ends, the peer closes, the hub cuts it, or the process stops. The connection ends with the body. `heard` came behind the
    /// request.
    pub(crate) async fn run(self, socket: TcpStream, heard: Bytes, shutdown: CancellationToken) {
        let (client, framing, socket) = (self.client, self.framing, Arc::new(socket));
        let outlet: Arc<dyn Outlet> = Arc::clone(&socket) as _;
        // The hub's own patience with a full socket.
        let seated = self.player.seat(outlet, vec![self.head], Duration::MAX);
        let reason = tokio::select! {
            reason = seated.over() => reason,
            () = listen(&socket, &seated, framing, &heard) => EndReason::PeerClosed,
            () = shutdown.cancelled() => EndReason::Shutdown,
        };
        let begun = seated.leave(reason).await;
        let listens = match reason {
            EndReason::TooSlow => false,
            // A WebSocket client that says goodbye waits for the answer.
            EndReason::PeerClosed => framing == Framing::WebSocket,
            _ => true,
        };
        if listens {
            let _ = tokio::time::timeout(GOODBYE, end_body(&begun, framing, &socket)).await;
        }
        let _ = socket2::SockRef::from(&*socket).shutdown(Shutdown::Write);
        drop(client);
    }
}

/// Hears what the peer says while it watches, and answers; without WebSocket it has nothing to say. Resolves when it closes.
async fn listen(socket: &TcpStream, seated: &Seated, framing: Framing, early: &[u8]) {
    let mut frames = (framing == Framing::WebSocket).then(FromClient::default);
    let mut heard = |data: &[u8]| {
        let Some(frames) = &mut frames else { return true };
        let mut said = frames.push(data);
        while let Some(Said::Answer(answer)) = said {
            seated.say(answer);
            said = frames.push(&[]);
        }
        said.is_none()
    };
    let mut goes_on = heard(early);
    while goes_on {
        goes_on = socket.readable().await.is_ok();
        let mut data = [0; 512];
        match socket.try_read(&mut data) {
            Ok(0) => return,
            Ok(read) => goes_on &= heard(data.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}

/// A body that was begun is whole only with the rest of what was under way, and its end.
async fn end_body(begun: &[Bytes], framing: Framing, socket: &TcpStream) -> io::Result<()> {
    for piece in begun.iter().map(AsRef::as_ref).chain([framing.end()]) {
        let mut rest: &[u8] = piece;
        while !rest.is_empty() {
            socket.writable().await?;
            match socket.try_write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(())
}
