//! Where a viewer's bytes go.

use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, RawFd};
use std::task::{Context, Poll};
use tokio::net::TcpStream;

/// A socket that takes what it can and never waits.
pub trait Outlet: Send + Sync + 'static {
    /// Takes some of the pieces, in order; [`io::ErrorKind::WouldBlock`] when it has no room.
    fn offer(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize>;
    /// Sends what was taken and waits inside, as with TLS; [`io::ErrorKind::WouldBlock`] when it cannot yet.
    fn push_out(&self) -> io::Result<()> {
        Ok(())
    }
    /// The descriptor, where bytes go to it as they are: a viewer who takes all at once needs nothing else. Must be open as long as this is there.
    fn descriptor(&self) -> Option<RawFd> {
        None
    }
    /// Ready when there may be room again. Nobody else waits for it.
    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

impl Outlet for TcpStream {
    fn offer(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        match pieces {
            // A plain write costs the kernel less than one of a list.
            [one] => self.try_write(one),
            many => self.try_write_vectored(many),
        }
    }

    fn descriptor(&self) -> Option<RawFd> {
        Some(self.as_raw_fd())
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_write_ready(cx)
    }
}
