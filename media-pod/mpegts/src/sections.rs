//! Program association and program map (§2.4.4): writing them, and reading those of others.

use crate::crc::crc32;
use crate::{Error, PMT_PID};
use bytes::{BufMut, BytesMut};

const PAT: u8 = 0;
const PMT: u8 = 2;
const PROGRAM: u16 = 1;
/// Of a section, its first three bytes not counted.
pub(crate) const SECTION_MAX: usize = 1021;

/// One track of a program map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) stream_type: u8,
    pub(crate) pid: u16,
    pub(crate) descriptors: &'a [u8],
}

/// The program association: one program.
pub(crate) fn pat() -> BytesMut {
    section(PAT, 1, 0, |out| {
        out.put_u16(PROGRAM);
        out.put_u16(0xe000 | PMT_PID);
    })
}

/// The program map.
pub(crate) fn pmt<'a>(version: u8, clock_pid: u16, entries: impl Iterator<Item = Entry<'a>>) -> BytesMut {
    section(PMT, PROGRAM, version, |out| {
        out.put_u16(0xe000 | clock_pid);
        out.put_u16(0xf000);
        for entry in entries {
            out.put_u8(entry.stream_type);
            out.put_u16(0xe000 | entry.pid);
            out.put_u16(0xf000 | u16::try_from(entry.descriptors.len()).unwrap_or(0));
            out.put_slice(entry.descriptors);
        }
    })
}

fn section(table: u8, id: u16, version: u8, put: impl FnOnce(&mut BytesMut)) -> BytesMut {
    let mut body = BytesMut::new();
    body.put_u16(id);
    body.put_slice(&[0xc1 | ((version & 31) << 1), 0, 0]);
    put(&mut body);
    let mut out = BytesMut::new();
    out.put_u8(table);
    out.put_u16(0xb000 | u16::try_from(body.len().saturating_add(4)).unwrap_or(0));
    out.put_slice(&body);
    out.put_u32(crc32(&out));
    out
}

/// Length of the section that starts here, once it can be told.
pub(crate) fn section_bytes(data: &[u8]) -> Option<usize> {
    let (high, low) = (data.get(1)?, data.get(2)?);
    Some(usize::from(u16::from_be_bytes([high & 15, *low])).saturating_add(3))
}

/// What stands between a good section's head and its checksum.
struct Content<'a> {
    table: u8,
    version: u8,
    body: &'a [u8],
}

/// `None` for a section that is not in force.
fn content(section: &[u8]) -> Result<Option<Content<'_>>, Error> {
    const BAD: Error = Error::Malformed { what: "section" };
    if crc32(section) != 0 {
        return Err(BAD);
    }
    let (&[table, _, _, _, _, version, _, _], rest) = section.split_first_chunk::<8>().ok_or(BAD)?;
    let body = rest.len().checked_sub(4).and_then(|end| rest.get(..end)).ok_or(BAD)?;
    Ok((version & 1 == 1).then_some(Content {
        table,
        version: version >> 1 & 31,
        body,
    }))
}

/// Where the map of the first program is.
pub(crate) fn read_pat(section: &[u8]) -> Result<Option<u16>, Error> {
    let Some(Content { table: PAT, body, .. }) = content(section)? else {
        return Ok(None);
    };
    let programs = body.chunks_exact(4).filter_map(|entry| match entry {
        [0, 0, _, _] => None,
        [_, _, high, low] => Some(u16::from_be_bytes([high & 0x1f, *low])),
        _ => None,
    });
    Ok(programs.into_iter().next())
}

/// The tracks of a program map, with its version.
pub(crate) fn read_pmt(section: &[u8]) -> Result<Option<(u8, Vec<Entry<'_>>)>, Error> {
    const BAD: Error = Error::Malformed { what: "program map" };
    let Some(Content {
        table: PMT,
        version,
        body,
    }) = content(section)?
    else {
        return Ok(None);
    };
    let (&[_, _, high, low], rest) = body.split_first_chunk::<4>().ok_or(BAD)?;
    let mut rest = rest
        .get(usize::from(u16::from_be_bytes([high & 15, low]))..)
        .ok_or(BAD)?;
    let mut entries = Vec::new();
    while let Some((&[stream_type, pid_high, pid_low, high, low], tail)) = rest.split_first_chunk::<5>() {
        let length = usize::from(u16::from_be_bytes([high & 15, low]));
        let (descriptors, tail) = tail.split_at_checked(length).ok_or(BAD)?;
        entries.push(Entry {
            stream_type,
            pid: u16::from_be_bytes([pid_high & 0x1f, pid_low]),
            descriptors,
        });
        rest = tail;
    }
    Ok(Some((version, entries)))
}

/// Whether the descriptors hold a registration (§2.6.8) under this name.
pub(crate) fn registered(mut descriptors: &[u8], name: [u8; 4]) -> bool {
    const REGISTRATION: u8 = 5;
    while let Some((&[tag, length], rest)) = descriptors.split_first_chunk::<2>() {
        let Some((content, rest)) = rest.split_at_checked(usize::from(length)) else {
            return false;
        };
        if tag == REGISTRATION && content.starts_with(&name) {
            return true;
        }
        descriptors = rest;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        assert_eq!(read_pat(&pat()), Ok(Some(PMT_PID)));
        let entry = Entry {
            stream_type: 6,
            pid: 0x101,
            descriptors: &[5, 4, b'O', b'p', b'u', b's'],
        };
        let map = pmt(3, 0x100, [entry, entry].into_iter());
        assert_eq!(read_pmt(&map), Ok(Some((3, vec![entry, entry]))));
        assert!(registered(entry.descriptors, *b"Opus"));
        assert_eq!(section_bytes(&map), Some(map.len()));
    }

    #[test]
    fn a_changed_bit_is_seen() {
        let mut map = pmt(0, 0x100, std::iter::empty());
        map[9] ^= 1;
        assert_eq!(read_pmt(&map), Err(Error::Malformed { what: "section" }));
    }
}
