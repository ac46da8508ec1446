//! Boxes (§4.2): writing them one in the other, and walking over them.

use crate::Error;
use bytes::{BufMut, BytesMut};

/// A box whose content `put` writes.
pub(crate) fn put_box(out: &mut BytesMut, name: [u8; 4], put: impl FnOnce(&mut BytesMut)) {
    let at = out.len();
    out.put_u32(0);
    out.put_slice(&name);
    put(out);
    let size = u32::try_from(out.len().saturating_sub(at)).unwrap_or(0);
    patch(out, at, size);
}

/// A box with a version and flags before its content.
pub(crate) fn put_full(out: &mut BytesMut, name: [u8; 4], version: u8, flags: u32, put: impl FnOnce(&mut BytesMut)) {
    put_box(out, name, |out| {
        out.put_u32((u32::from(version) << 24) | flags);
        put(out);
    });
}

/// Writes a number over four bytes that are there.
pub(crate) fn patch(out: &mut BytesMut, at: usize, value: u32) {
    if let Some(place) = out.get_mut(at..at.saturating_add(4)) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// The head of a box: its name, and how many bytes there are before the content and in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) name: [u8; 4],
    pub(crate) before: usize,
    pub(crate) content: u64,
}

impl Head {
    /// `None` while there is too little to tell. A box without an end is refused.
    pub(crate) fn parse(data: &[u8]) -> Result<Option<Self>, Error> {
        const BAD: Error = Error::Malformed { what: "box size" };
        let Some((&[a, b, c, d, name @ ..], rest)) = data.split_first_chunk::<8>() else {
            return Ok(None);
        };
        let (head, size) = match u32::from_be_bytes([a, b, c, d]) {
            1 => match rest.first_chunk::<8>() {
                Some(large) => (16, u64::from_be_bytes(*large)),
                None => return Ok(None),
            },
            size => (8, u64::from(size)),
        };
        Ok(Some(Self {
            name,
            before: head,
            content: size.checked_sub(head as u64).ok_or(BAD)?,
        }))
    }
}

/// Iterates over the boxes that lie in some bytes. Stops after the first error.
pub(crate) struct Boxes<'a> {
    rest: &'a [u8],
}

impl<'a> Boxes<'a> {
    pub(crate) fn of(rest: &'a [u8]) -> Self {
        Self { rest }
    }

    /// The content of the first box of this name.
    pub(crate) fn find(data: &'a [u8], name: [u8; 4]) -> Option<&'a [u8]> {
        Self::of(data)
            .flatten()
            .find(|(n, _)| *n == name)
            .map(|(_, content)| content)
    }

    /// The content of the first box along a path of names.
    pub(crate) fn descend(data: &'a [u8], path: &[&[u8; 4]]) -> Option<&'a [u8]> {
        path.iter().try_fold(data, |data, name| Self::find(data, **name))
    }

    fn take(&mut self) -> Result<([u8; 4], &'a [u8]), Error> {
        const BAD: Error = Error::Malformed { what: "box" };
        let head = Head::parse(self.rest)?.ok_or(BAD)?;
        let content = usize::try_from(head.content).map_err(|_| BAD)?;
        let (_, rest) = self.rest.split_at_checked(head.before).ok_or(BAD)?;
        let (content, rest) = rest.split_at_checked(content).ok_or(BAD)?;
        self.rest = rest;
        Ok((head.name, content))
    }
}

impl<'a> Iterator for Boxes<'a> {
    type Item = Result<([u8; 4], &'a [u8]), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let taken = self.take();
        if taken.is_err() {
            self.rest = &[];
        }
        Some(taken)
    }
}
