//! Tags out of a file that comes in pieces and has no end.

use crate::file::{Head, first_tag};
use crate::{Error, Tag};
use bytes::{Buf, BytesMut};

/// A tag of a reserved kind with nothing in it. Every reader passes over it: it says that the sender is there and has nothing to send.
pub const PADDING: [u8; 15] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11];

/// Bytes that may stand before the first tag.
const BEFORE_MAX: usize = 4096;

/// State of one such file. Holds one tag and one piece at most.
#[derive(Debug, Default)]
pub struct TagStream {
    buffer: BytesMut,
    started: bool,
}

impl TagStream {
    /// Adds a piece. All whole tags should be taken out before the next.
    pub fn push(&mut self, piece: &[u8]) {
        self.buffer.extend_from_slice(piece);
    }

    /// The next tag; `None` when it is not all there yet. Tags of unknown kinds are passed over. After an error there is nothing more.
    pub fn next_tag(&mut self) -> Result<Option<Tag>, Error> {
        if !self.start()? {
            return Ok(None);
        }
        while let Some(head) = Head::read(&self.buffer) {
            let bytes = head.tag_bytes();
            if self.buffer.len() < bytes {
                self.buffer.reserve(bytes.saturating_sub(self.buffer.len()));
                return Ok(None);
            }
            if let Some(tag) = head.tag_of(self.buffer.split_to(bytes).freeze()) {
                return Ok(Some(tag));
            }
        }
        Ok(None)
    }

    /// Whether the file's header is over.
    fn start(&mut self) -> Result<bool, Error> {
        if self.started {
            return Ok(true);
        }
        let Some(skip) = first_tag(&self.buffer)? else {
            return Ok(false);
        };
        if skip > BEFORE_MAX {
            return Err(Error::TooLarge(skip));
        }
        if skip <= self.buffer.len() {
            self.buffer.advance(skip);
            self.started = true;
        }
        Ok(self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TagKind, TagReader, file_header, tag};
    use bytes::Bytes;
    use proptest::prelude::*;

    fn file(bodies: &[Vec<u8>]) -> Vec<u8> {
        let mut file = file_header(true, true).to_vec();
        for (millis, body) in (0x0123_4567_u32..).step_by(1 << 28).zip(bodies) {
            file.extend_from_slice(&tag(TagKind::Video, millis, &[body]).unwrap());
            file.extend_from_slice(&PADDING);
        }
        file
    }

    fn read(file: &[u8], pieces: usize) -> Vec<Tag> {
        let (mut stream, mut tags) = (TagStream::default(), Vec::new());
        for piece in file.chunks(pieces) {
            stream.push(piece);
            while let Some(tag) = stream.next_tag().unwrap() {
                tags.push(tag);
            }
        }
        tags
    }

    proptest! {
        #[test]
        fn pieces_of_any_size_come_to_what_the_whole_file_holds(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..9), pieces in 1..700_usize
        ) {
            let file = file(&bodies);
            let whole: Vec<Tag> = TagReader::new(Bytes::from(file.clone())).unwrap().map(Result::unwrap).collect();
            prop_assert_eq!(whole.len(), bodies.len());
            prop_assert_eq!(read(&file, pieces), whole);
        }

        #[test]
        fn any_bytes_end_in_an_error_or_in_waiting(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let mut stream = TagStream::default();
            stream.push(&bytes);
            while let Ok(Some(_)) = stream.next_tag() {}
        }
    }

    #[test]
    fn what_is_no_flv_is_an_error_and_a_header_without_end_too() {
        for bytes in [&b"HTTP/1.1 200"[..], b"FLV\x01\x05\x00\xff\xff\xff"] {
            let mut stream = TagStream::default();
            stream.push(bytes);
            assert!(stream.next_tag().is_err(), "{bytes:?}");
        }
    }
}
