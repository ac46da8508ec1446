//! Records as bytes: `magic, length, CRC, version, JSON`. Reading goes on behind whatever cannot be read.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::record::Record;

/// Begins each record, so that one can be found behind damage.
const MAGIC: [u8; 4] = *b"HgR\x01";
/// The version of what is written.
const VERSION: u8 = 1;
/// Magic, length and CRC.
const HEAD: usize = 12;
/// Bytes of a record behind its head; a longer one is neither written nor believed.
pub(crate) const RECORD_MAX: usize = 4 * 1024 * 1024;

/// What stands at a place in a segment.
#[derive(Debug, PartialEq)]
pub(crate) enum Piece<R = Record> {
    /// A record and its size.
    Record(R, usize),
    /// Something that is lost.
    Flaw(Flaw),
}

/// Why something could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::IntoStaticStr)]
pub(crate) enum Flaw {
    /// The segment ends in the middle of a record.
    Torn,
    /// Bytes that are no record, with records behind them.
    Corrupt,
    /// A whole record of another version.
    UnknownVersion,
    /// A whole record of this version that says nothing this version understands.
    Unreadable,
}

/// Appends a record to `to`. False, and nothing appended, when it is too long.
pub(crate) fn write(record: &impl Serialize, to: &mut Vec<u8>) -> bool {
    let start = to.len();
    to.extend_from_slice(&[0; HEAD]);
    to.push(VERSION);
    let written = serde_json::to_writer(&mut *to, record).is_ok();
    let body = to.get(start.saturating_add(HEAD)..).unwrap_or_default();
    let (length, crc) = (body.len(), crc32fast::hash(body));
    let length32 = u32::try_from(length).ok().filter(|_| written && length <= RECORD_MAX);
    let (Some(length), Some(head)) = (length32, to.get_mut(start..start.saturating_add(HEAD))) else {
        to.truncate(start);
        return false;
    };
    let fields = MAGIC.into_iter().chain(length.to_le_bytes()).chain(crc.to_le_bytes());
    head.iter_mut().zip(fields).for_each(|(to, byte)| *to = byte);
    true
}

/// Everything in a segment, in order.
pub(crate) fn read(segment: &[u8]) -> impl Iterator<Item = Piece> {
    read_as(segment)
}

/// The same of other records.
pub(crate) fn read_as<R: DeserializeOwned>(segment: &[u8]) -> impl Iterator<Item = Piece<R>> {
    let mut rest = segment;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, size) = match body(rest) {
            Some(body) => (parse(body), body.len().saturating_add(HEAD)),
            None => skip(rest),
        };
        rest = rest.get(size..).unwrap_or_default();
        Some(piece)
    })
}

/// Version and JSON of the record that `bytes` begin with, if they do.
fn body(bytes: &[u8]) -> Option<&[u8]> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = rest.get(..length).filter(|_| (1..=RECORD_MAX).contains(&length))?;
    (crc32fast::hash(body) == u32::from_le_bytes(*crc)).then_some(body)
}

fn parse<R: DeserializeOwned>(body: &[u8]) -> Piece<R> {
    match body.split_first() {
        Some((&VERSION, json)) => match serde_json::from_slice(json) {
            Ok(record) => Piece::Record(record, body.len().saturating_add(HEAD)),
            Err(_) => Piece::Flaw(Flaw::Unreadable),
        },
        _ => Piece::Flaw(Flaw::UnknownVersion),
    }
}

/// The damage that `bytes` begin with, and how long it is: up to the next whole record, or to the end.
fn skip<R>(bytes: &[u8]) -> (Piece<R>, usize) {
    let candidates = (1..bytes.len()).filter(|at| bytes.get(*at..).is_some_and(|rest| rest.starts_with(&MAGIC)));
    let mut whole = candidates.filter(|at| bytes.get(*at..).and_then(body).is_some());
    match whole.next() {
        Some(at) => (Piece::Flaw(Flaw::Corrupt), at),
        None => (Piece::Flaw(Flaw::Torn), bytes.len()),
    }
}
