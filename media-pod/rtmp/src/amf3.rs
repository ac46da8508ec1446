//! AMF3, as far as it comes within AMF0: a value behind the marker 0x11, from clients with object encoding 3 (Adobe AMF3
//! specification, 2013). Read only; we always write AMF0.
//!
//! Limits are those of [`crate::amf0`], and one more: references make a few bytes stand for many, so that text is counted each
//! time it is repeated. What no command needs is read over and comes out as undefined: references to objects, byte arrays, XML.

use crate::amf0::{DEPTH_MAX, Error, VALUES_MAX, Value};

/// Bytes of text in one value, with what references repeat.
const TEXT_MAX: usize = 256 * 1024;

/// The value at the start of `bytes`, and what stands behind it. `depth` is how deep in AMF0 it stands.
pub(crate) fn read(bytes: &[u8], depth: usize) -> Result<(Value, &[u8]), Error> {
    let mut reader = Reader {
        rest: bytes,
        values: 0,
        text: 0,
        strings: Vec::new(),
        traits: Vec::new(),
    };
    let value = reader.value(depth)?;
    Ok((value, reader.rest))
}

/// The members that objects of one class have.
#[derive(Clone, Debug, Default)]
struct Traits {
    names: Vec<String>,
    dynamic: bool,
}

struct Reader<'a> {
    rest: &'a [u8],
    values: usize,
    text: usize,
    strings: Vec<String>,
    traits: Vec<Traits>,
}

/// What a number in front of a string, array or object says.
enum Head {
    /// It is the one with this number in its table.
    Reference(usize),
    /// It follows; the number is a length or holds flags.
    Inline(usize),
}

impl Reader<'_> {
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.values = self.values.saturating_add(1);
        if self.values > VALUES_MAX {
            return Err(Error::TooMany);
        }
        Ok(match self.byte()? {
            0 => Value::Undefined,
            1 => Value::Null,
            2 => Value::Boolean(false),
            3 => Value::Boolean(true),
            4 => Value::Number(f64::from(signed(self.number()?))),
            5 => Value::Number(self.double()?),
            6 => Value::String(self.string()?),
            8 => match self.head()? {
                Head::Reference(_) => Value::Undefined,
                Head::Inline(_) => Value::Date(self.double()?),
            },
            9 => match self.head()? {
                Head::Reference(_) => Value::Undefined,
                Head::Inline(count) => self.array(count, depth)?,
            },
            10 => match self.head()? {
                Head::Reference(_) => Value::Undefined,
                Head::Inline(flags) => self.object(flags, depth)?,
            },
            7 | 11 | 12 => {
                if let Head::Inline(length) = self.head()? {
                    self.take(length)?;
                }
                Value::Undefined
            }
            other => return Err(Error::UnknownMarker(other)),
        })
    }

    /// Named members up to an empty name, then `count` without a name.
    fn array(&mut self, count: usize, depth: usize) -> Result<Value, Error> {
        let mut named = Vec::new();
        self.members(&mut named, depth)?;
        let mut dense = Vec::new(); // grows with the bytes that are there, not with the count that is claimed
        for _ in 0..count {
            dense.push(self.value(depth.saturating_add(1))?);
        }
        if named.is_empty() {
            return Ok(Value::StrictArray(dense));
        }
        named.extend(dense.into_iter().enumerate().map(|(n, value)| (n.to_string(), value)));
        Ok(Value::EcmaArray(named))
    }

    fn object(&mut self, flags: usize, depth: usize) -> Result<Value, Error> {
        let traits = self.traits(flags)?;
        let mut members = Vec::new();
        for name in traits.names {
            self.count_text(name.len())?;
            members.push((name, self.value(depth.saturating_add(1))?));
        }
        if traits.dynamic {
            self.members(&mut members, depth)?;
        }
        Ok(Value::Object(members))
    }

    /// Bit 0 off: a reference. Then bit 1: externalizable; bit 2: dynamic; the rest: how many sealed members.
    fn traits(&mut self, flags: usize) -> Result<Traits, Error> {
        if flags & 1 == 0 {
            let known = self.traits.get(flags >> 1).ok_or(Error::BadReference(flags >> 1))?;
            let names = known.names.len();
            // Each member takes a byte at least: no copy of names that cannot all have a value.
            if names > self.rest.len() {
                return Err(Error::Truncated { needed: names });
            }
            return Ok(known.clone());
        }
        if flags & 2 != 0 {
            return Err(Error::Externalizable);
        }
        self.string()?; // the class name
        let mut traits = Traits {
            names: Vec::new(),
            dynamic: flags & 4 != 0,
        };
        for _ in 0..flags >> 3 {
            traits.names.push(self.string()?);
        }
        self.traits.push(traits.clone());
        Ok(traits)
    }

    fn members(&mut self, out: &mut Vec<(String, Value)>, depth: usize) -> Result<(), Error> {
        loop {
            let name = self.string()?;
            if name.is_empty() {
                return Ok(());
            }
            out.push((name, self.value(depth.saturating_add(1))?));
        }
    }

    fn string(&mut self) -> Result<String, Error> {
        let text = match self.head()? {
            Head::Reference(index) => self.strings.get(index).ok_or(Error::BadReference(index))?.clone(),
            Head::Inline(length) => {
                let text = String::from_utf8_lossy(self.take(length)?).into_owned();
                if !text.is_empty() {
                    self.strings.push(text.clone());
                }
                text
            }
        };
        self.count_text(text.len())?;
        Ok(text)
    }

    fn count_text(&mut self, bytes: usize) -> Result<(), Error> {
        self.text = self.text.saturating_add(bytes);
        if self.text > TEXT_MAX {
            return Err(Error::TooMany);
        }
        Ok(())
    }

    fn head(&mut self) -> Result<Head, Error> {
        let number = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        Ok(if number & 1 == 0 {
            Head::Reference(number >> 1)
        } else {
            Head::Inline(number >> 1)
        })
    }

    /// One to four bytes, 29 bits: seven of each, and all eight of a fourth.
    fn number(&mut self) -> Result<u32, Error> {
        let mut number = 0_u32;
        for _ in 0..3 {
            let byte = self.byte()?;
            number = number << 7 | u32::from(byte & 0x7f);
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Ok(number << 8 | u32::from(self.byte()?))
    }

    fn double(&mut self) -> Result<f64, Error> {
        let bytes = self.take(8)?.first_chunk().copied().unwrap_or_default();
        Ok(f64::from_be_bytes(bytes))
    }

    fn byte(&mut self) -> Result<u8, Error> {
        Ok(self.take(1)?.first().copied().unwrap_or_default())
    }

    fn take(&mut self, count: usize) -> Result<&[u8], Error> {
        let needed = count.saturating_sub(self.rest.len());
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Error::Truncated { needed })?;
        self.rest = rest;
        Ok(head)
    }
}

/// 29 bits with a sign, as 32.
fn signed(number: u32) -> i32 {
    (number << 3).cast_signed() >> 3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf0::read_all;

    fn text(text: &str) -> Value {
        Value::from(text)
    }

    #[test]
    fn every_kind_of_value_is_read() {
        let cases: [(&[u8], Value); 13] = [
            (&[0], Value::Undefined),
            (&[1], Value::Null),
            (&[3], Value::Boolean(true)),
            (&[4, 0x7f], Value::from(127.0)),
            (&[4, 0x81, 0x00], Value::from(128.0)),
            (&[4, 0xff, 0xff, 0xff, 0xff], Value::from(-1.0)),
            (&[5, 0x3f, 0xf8, 0, 0, 0, 0, 0, 0], Value::from(1.5)),
            (&[6, 5, b'h', b'i'], text("hi")),
            (&[8, 1, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0], Value::Date(1.0)),
            (
                &[9, 5, 1, 4, 7, 6, 3, b'a'],
                Value::StrictArray(vec![Value::from(7.0), text("a")]),
            ),
            (
                &[9, 3, 3, b'k', 3, 1, 1],
                Value::EcmaArray(vec![("k".into(), Value::Boolean(true)), ("0".into(), Value::Null)]),
            ),
            // One sealed member and one dynamic, whose value is the first one's name.
            (
                &[10, 0x1b, 1, 3, b'a', 4, 1, 3, b'b', 6, 0, 1],
                Value::object([("a", Value::from(1.0)), ("b", text("a"))]),
            ),
            (&[12, 5, 0xca, 0xfe], Value::Undefined),
        ];
        for (bytes, expected) in cases {
            let within = [&[0x11], bytes, &[5]].concat();
            assert_eq!(read_all(&within), Ok(vec![expected, Value::Null]), "{bytes:x?}");
        }
    }

    #[test]
    fn objects_of_one_class_share_its_names() {
        let bytes = [0x11, 9, 5, 1, 10, 0x13, 1, 3, b'a', 4, 1, 10, 1, 4, 2];
        let object = |number| Value::object([("a", Value::from(number))]);
        assert_eq!(
            read_all(&bytes),
            Ok(vec![Value::StrictArray(vec![object(1.0), object(2.0)])])
        );
    }

    #[test]
    fn what_a_peer_may_not_do_is_an_error() {
        let deep = [&[0x11][..], &[9, 3, 1].repeat(10_000)].concat();
        let cases: [(&[u8], Error); 6] = [
            (&deep, Error::TooDeep),
            (&[0x11, 6, 4], Error::BadReference(2)),
            (&[0x11, 10, 0x09], Error::BadReference(2)),
            (&[0x11, 10, 0x07, 1], Error::Externalizable),
            (&[0x11, 9, 0xff, 0xff, 0xff, 0xff, 1], Error::Truncated { needed: 1 }),
            (&[0x11, 13, 1], Error::UnknownMarker(13)),
        ];
        for (bytes, expected) in cases {
            assert_eq!(read_all(bytes), Err(expected));
        }
    }

    #[test]
    fn references_cannot_make_a_few_bytes_into_many() {
        let long = [&[6, 0x87, 0xff, 0x7f][..], &vec![b'x'; 0xffff]].concat();
        let bytes = [&[0x11, 9, 0x9f, 0x41, 1][..], &long, &[6, 0].repeat(2000)].concat();
        assert_eq!(read_all(&bytes), Err(Error::TooMany));
    }
}
