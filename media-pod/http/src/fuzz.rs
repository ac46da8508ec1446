//! Ways in for the fuzzers to readers that nobody else outside of this crate needs.

use crate::hls::HlsPath;
use crate::path::MediaPath;
use crate::websocket::{FromClient, Said};

/// Reads the path of a request as every handler would.
pub fn path(path: &str) {
    let _ = MediaPath::parse(path);
    let _ = HlsPath::parse(path);
}

/// Reads what a client of a WebSocket says, and returns the most bytes that were kept of it beyond the piece at hand.
pub fn websocket<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> usize {
    let (mut client, mut most) = (FromClient::default(), 0);
    for mut piece in pieces {
        while let Some(said) = client.push(piece) {
            if said == Said::Close {
                return most;
            }
            piece = &[];
        }
        most = client.kept().max(most);
    }
    most
}
