//! AMF0, the encoding of RTMP commands and metadata (Adobe AMF0 specification, 2007).
//!
//! Reads what a peer sent within limits: nesting at most [`DEPTH_MAX`], and never more memory than a small multiple of the
//! bytes that are there. Properties keep their order, since some players rely on it.

use crate::amf3;
use bytes::{BufMut, Bytes, BytesMut};

/// How deep objects and arrays may be nested.
pub const DEPTH_MAX: usize = 16;
/// Values and properties in one message.
pub const VALUES_MAX: usize = 4096;

/// One value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Marker 0.
    Number(f64),
    /// Marker 1.
    Boolean(bool),
    /// Markers 2 and 12. What is no UTF-8 is replaced.
    String(String),
    /// Marker 3.
    Object(Vec<(String, Value)>),
    /// Marker 5.
    Null,
    /// Marker 6.
    Undefined,
    /// Marker 8.
    EcmaArray(Vec<(String, Value)>),
    /// Marker 10.
    StrictArray(Vec<Value>),
    /// Marker 11: milliseconds since 1970; the time zone is not used.
    Date(f64),
}

/// Why bytes are no AMF0.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The value goes on behind the end.
    #[error("the value ends early: {needed} more bytes are needed")]
    Truncated {
        /// How many.
        needed: usize,
    },
    /// A marker that is not known or not supported.
    #[error("unknown marker {0:#04x}")]
    UnknownMarker(u8),
    /// More than [`DEPTH_MAX`].
    #[error("nested deeper than {DEPTH_MAX}")]
    TooDeep,
    /// More than [`VALUES_MAX`], or more text than goes with it.
    #[error("more than {VALUES_MAX} values, or too much text in them")]
    TooMany,
    /// An AMF3 reference to what was not there.
    #[error("reference {0} to nothing")]
    BadReference(usize),
    /// An AMF3 object that only its class can read.
    #[error("an object in a form of its own")]
    Externalizable,
}

impl Value {
    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The value of a number.
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// A property of an object or ECMA array.
    pub fn get(&self, name: &str) -> Option<&Value> {
        match self {
            Self::Object(list) | Self::EcmaArray(list) => list.iter().find(|(n, _)| n == name).map(|(_, v)| v),
            _ => None,
        }
    }

    /// An object from pairs.
    pub fn object<'a>(pairs: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Self::Object(
            pairs
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        )
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

/// Every value in `bytes`, to its end.
pub fn read_all(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut reader = Reader { rest: bytes, values: 0 };
    let mut out = Vec::new();
    while !reader.rest.is_empty() {
        out.push(reader.value(0)?);
    }
    Ok(out)
}

/// The first value, and what stands behind it.
pub fn read_one(bytes: &[u8]) -> Result<(Value, &[u8]), Error> {
    let mut reader = Reader { rest: bytes, values: 0 };
    let value = reader.value(0)?;
    Ok((value, reader.rest))
}

/// The values one behind the other. Names longer than 65,535 bytes are cut at a character.
pub fn write_all(values: &[Value]) -> Bytes {
    let mut out = BytesMut::with_capacity(256);
    for value in values {
        write(&mut out, value);
    }
    out.freeze()
}

struct Reader<'a> {
    rest: &'a [u8],
    values: usize,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > DEPTH_MAX {
            return Err(Error::TooDeep);
        }
        self.values = self.values.saturating_add(1);
        if self.values > VALUES_MAX {
            return Err(Error::TooMany);
        }
        let [marker] = self.array::<1>()?;
        Ok(match marker {
            0 => Value::Number(f64::from_be_bytes(self.array()?)),
            1 => Value::Boolean(self.array::<1>()? != [0]),
            2 => Value::String(self.short_string()?),
            3 => Value::Object(self.properties(depth)?),
            5 => Value::Null,
            6 | 13 => Value::Undefined,
            8 => {
                self.array::<4>()?; // a count that peers get wrong: the end marker counts
                Value::EcmaArray(self.properties(depth)?)
            }
            10 => Value::StrictArray(self.strict_array(depth)?),
            11 => {
                let time = f64::from_be_bytes(self.array()?);
                self.array::<2>()?;
                Value::Date(time)
            }
            12 | 15 => {
                let length = u32::from_be_bytes(self.array()?);
                Value::String(self.text(usize::try_from(length).unwrap_or(usize::MAX))?)
            }
            16 => {
                self.short_string()?; // the class name
                Value::Object(self.properties(depth)?)
            }
            17 => {
                let (value, rest) = amf3::read(self.rest, depth)?;
                self.rest = rest;
                value
            }
            other => return Err(Error::UnknownMarker(other)),
        })
    }

    fn properties(&mut self, depth: usize) -> Result<Vec<(String, Value)>, Error> {
        let mut out = Vec::new();
        loop {
            // Some encoders leave the end out when the object is the last thing in the message.
            if self.rest.is_empty() {
                return Ok(out);
            }
            let name = self.short_string()?;
            if name.is_empty() && self.rest.first() == Some(&9) {
                self.take(1)?;
                return Ok(out);
            }
            out.push((name, self.value(depth.saturating_add(1))?));
        }
    }

    fn strict_array(&mut self, depth: usize) -> Result<Vec<Value>, Error> {
        let count = u32::from_be_bytes(self.array()?);
        let mut out = Vec::new(); // grows with the bytes that are there, not with the count that is claimed
        for _ in 0..count {
            out.push(self.value(depth.saturating_add(1))?);
        }
        Ok(out)
    }

    fn short_string(&mut self) -> Result<String, Error> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(usize::from(length))
    }

    fn text(&mut self, length: usize) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk().ok_or(Error::Truncated { needed: N })?;
        self.rest = rest;
        Ok(*head)
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let needed = count.saturating_sub(self.rest.len());
        let (head, rest) = self.rest.split_at_checked(count).ok_or(Error::Truncated { needed })?;
        self.rest = rest;
        Ok(head)
    }
}

fn write(out: &mut BytesMut, value: &Value) {
    match value {
        Value::Number(number) => {
            out.put_u8(0);
            out.put_f64(*number);
        }
        Value::Boolean(on) => out.put_slice(&[1, u8::from(*on)]),
        Value::String(text) if text.len() > usize::from(u16::MAX) => {
            out.put_u8(12);
            out.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
            out.put_slice(text.as_bytes());
        }
        Value::String(text) => {
            out.put_u8(2);
            write_name(out, text);
        }
        Value::Object(list) => {
            out.put_u8(3);
            write_properties(out, list);
        }
        Value::Null => out.put_u8(5),
        Value::Undefined => out.put_u8(6),
        Value::EcmaArray(list) => {
            out.put_u8(8);
            out.put_u32(u32::try_from(list.len()).unwrap_or(u32::MAX));
            write_properties(out, list);
        }
        Value::StrictArray(list) => {
            out.put_u8(10);
            out.put_u32(u32::try_from(list.len()).unwrap_or(u32::MAX));
            for value in list {
                write(out, value);
            }
        }
        Value::Date(time) => {
            out.put_u8(11);
            out.put_f64(*time);
            out.put_u16(0);
        }
    }
}

fn write_properties(out: &mut BytesMut, list: &[(String, Value)]) {
    for (name, value) in list {
        write_name(out, name);
        write(out, value);
    }
    out.put_slice(&[0, 0, 9]);
}

fn write_name(out: &mut BytesMut, text: &str) {
    let end = text.floor_char_boundary(usize::from(u16::MAX));
    let text = text.get(..end).unwrap_or_default();
    out.put_u16(u16::try_from(text.len()).unwrap_or(u16::MAX));
    out.put_slice(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn everything() -> Vec<Value> {
        vec![
            Value::from("connect"),
            Value::from(1.0),
            Value::object([
                ("app", Value::from("live")),
                ("fpad", Value::Boolean(false)),
                ("none", Value::Null),
            ]),
            Value::EcmaArray(vec![
                ("duration".into(), Value::from(0.0)),
                ("width".into(), Value::from(640.0)),
            ]),
            Value::StrictArray(vec![Value::Undefined, Value::Date(1.5e12)]),
            Value::String("é".repeat(40_000)),
        ]
    }

    #[test]
    fn what_is_written_is_read_back_in_order() {
        assert_eq!(read_all(&write_all(&everything())).unwrap(), everything());
    }

    #[test]
    fn nesting_ends_at_the_limit_and_not_with_the_stack() {
        let deep: Vec<u8> = [3, 0, 1, b'a'].repeat(10_000);
        assert_eq!(read_all(&deep), Err(Error::TooDeep));
        let arrays: Vec<u8> = [10, 0, 0, 0, 1].repeat(10_000);
        assert_eq!(read_all(&arrays), Err(Error::TooDeep));
    }

    #[test]
    fn a_count_that_is_not_backed_by_bytes_takes_no_memory() {
        assert_eq!(
            read_all(&[10, 0xff, 0xff, 0xff, 0xff]),
            Err(Error::Truncated { needed: 1 })
        );
        assert_eq!(
            read_all(&[12, 0xff, 0xff, 0xff, 0xff, b'a']),
            Err(Error::Truncated { needed: 0xffff_fffe })
        );
    }

    #[test]
    fn an_object_may_lack_its_end_at_the_end_of_a_message() {
        assert_eq!(
            read_all(&[3, 0, 1, b'a', 5]).unwrap(),
            [Value::object([("a", Value::Null)])]
        );
    }
}
