//! The body of a streamed HTTP/1.1 answer (RFC 9112, 7.1), decoded as it comes. No I/O.

use bytes::{Buf as _, BytesMut};

/// Digits of a chunk's size, with what may follow it in its line.
const SIZE_LINE_MAX: usize = 256;

/// What comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Chunked {
    /// The line with the size of a chunk.
    #[default]
    Size,
    /// So much of a chunk.
    Data(usize),
    /// The end of line behind a chunk.
    DataEnd,
    /// Nothing that matters: the last chunk was there.
    End,
}

/// Not a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a chunk's size or end is not where it must be")]
pub struct BadChunk;

impl Chunked {
    /// Moves what can be decoded of `raw` to the end of `body`.
    pub fn decode(&mut self, raw: &mut BytesMut, body: &mut BytesMut) -> Result<(), BadChunk> {
        while !raw.is_empty() {
            let before = (*self, raw.len());
            self.step(raw, body)?;
            if before == (*self, raw.len()) {
                break;
            }
        }
        Ok(())
    }

    fn step(&mut self, raw: &mut BytesMut, body: &mut BytesMut) -> Result<(), BadChunk> {
        match *self {
            Self::Size => {
                let Some(end) = raw.iter().position(|b| *b == b'\n') else {
                    return if raw.len() > SIZE_LINE_MAX {
                        Err(BadChunk)
                    } else {
                        Ok(())
                    };
                };
                let line = raw.split_to(end);
                raw.advance(1);
                *self = match size(&line)? {
                    0 => Self::End,
                    size => Self::Data(size),
                };
            }
            Self::Data(left) => {
                let part = raw.split_to(left.min(raw.len()));
                body.extend_from_slice(&part);
                *self = match left.saturating_sub(part.len()) {
                    0 => Self::DataEnd,
                    left => Self::Data(left),
                };
            }
            Self::DataEnd => match raw.as_ref() {
                [b'\r', b'\n', ..] => {
                    raw.advance(2);
                    *self = Self::Size;
                }
                [b'\r'] => {}
                _ => return Err(BadChunk),
            },
            Self::End => raw.clear(),
        }
        Ok(())
    }
}

fn size(line: &[u8]) -> Result<usize, BadChunk> {
    let digits = line.split(|b| matches!(b, b';' | b'\r' | b' ' | b'\t')).next();
    let digits = digits.and_then(|d| std::str::from_utf8(d).ok()).ok_or(BadChunk)?;
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Err(BadChunk);
    }
    usize::from_str_radix(digits, 16).map_err(|_| BadChunk)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decoded(parts: &[&[u8]]) -> Result<(Chunked, Vec<u8>), BadChunk> {
        let (mut chunked, mut raw, mut body) = (Chunked::default(), BytesMut::new(), BytesMut::new());
        for part in parts {
            raw.extend_from_slice(part);
            chunked.decode(&mut raw, &mut body)?;
        }
        Ok((chunked, body.to_vec()))
    }

    #[test]
    fn a_body_ends_with_an_empty_chunk() {
        let whole = decoded(&[b"3;x=y\r\nabc\r\n0\r\n\r\n"]);
        assert_eq!(whole, Ok((Chunked::End, b"abc".to_vec())));
    }

    #[test]
    fn what_is_no_chunk_is_refused() {
        for bad in [
            "xyz\r\n",
            "\r\n",
            "-1\r\n",
            "+1\r\n",
            "1\r\nabc",
            "ffffffffffffffffff\r\n",
        ] {
            assert_eq!(decoded(&[bad.as_bytes()]), Err(BadChunk), "{bad:?}");
        }
        assert_eq!(decoded(&["1".repeat(300).as_bytes()]), Err(BadChunk));
    }

    proptest! {
        #[test]
        fn a_body_comes_out_however_it_is_cut(chunks in proptest::collection::vec("[a-z\r\n]{1,40}", 0..8), cut in 1..7_usize) {
            let coded = chunks.iter().fold(String::new(), |all, c| format!("{all}{:X}\r\n{c}\r\n", c.len()));
            let parts: Vec<&[u8]> = coded.as_bytes().chunks(cut).collect();
            let (state, body) = decoded(&parts).unwrap();
            prop_assert_eq!(state, Chunked::Size);
            prop_assert_eq!(body, chunks.concat().into_bytes());
        }

        #[test]
        fn no_bytes_make_it_fall_over(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
            let _ = decoded(&parts);
        }
    }
}
