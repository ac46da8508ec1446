//! What a load balancer says of whom it speaks for.

use headgate_front::{HEADER_MAX, Header, parse};

/// Read as from a socket: just what is asked for, until it is whole, wrong or not all there.
pub(crate) fn header(data: &[u8]) {
    let mut taken = 0_usize;
    while let Some(Ok(Header::More(more))) = data.get(..taken).map(parse) {
        assert!(more > 0, "{taken} bytes are not enough and nothing is asked for");
        taken = taken.saturating_add(more);
        assert!(taken <= HEADER_MAX, "a header of {taken} bytes is asked for");
    }
}
