//! Data messages: AMF0 values that go with the stream.

use super::Event;
use crate::amf0;
use bytes::Bytes;

/// Bytes of one data message that is passed on: every viewer gets it, and a real one has some hundred.
const DATA_BYTES_MAX: usize = 64 * 1024;
/// The marker behind which a value is AMF3.
const AMF3: u8 = 0x11;

/// What a publisher's data message is, with `@setDataFrame` taken off. `None` for what is meant for the server alone, for what is too long, and for
/// what is no AMF0 that begins with a name.
pub(super) fn event(timestamp: u32, payload: &Bytes) -> Option<Event> {
    if payload.len() > DATA_BYTES_MAX {
        return None;
    }
    let (first, rest) = amf0::read_one(payload).ok()?;
    let (name, body) = match first.as_str()? {
        "@setDataFrame" => (amf0::read_one(rest).ok()?.0, payload.slice_ref(rest)),
        "@clearDataFrame" => return None,
        _ => (first.clone(), payload.clone()),
    };
    let values = amf0::read_all(&body).ok()?;
    // What may hold AMF3 is written anew: not every player reads that. What is kept does not hold on to the buffer that it came in.
    let payload = if body.contains(&AMF3) {
        amf0::write_all(&values)
    } else {
        Bytes::copy_from_slice(&body)
    };
    Some(match name.as_str()? {
        "onMetaData" => Event::Metadata(payload),
        _ => Event::Data { timestamp, payload },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::amf0::{Value, write_all};

    fn seen(values: &[Value]) -> Option<Event> {
        event(5, &write_all(values))
    }

    #[test]
    fn metadata_is_told_apart_and_the_rest_keeps_its_time() {
        let values = Value::EcmaArray(vec![("width".into(), 640.0.into())]);
        let plain = write_all(&["onMetaData".into(), values.clone()]);
        let expected = Some(Event::Metadata(plain.clone()));
        assert_eq!(
            seen(&["@setDataFrame".into(), "onMetaData".into(), values.clone()]),
            expected
        );
        assert_eq!(event(5, &plain), expected);
        let text = write_all(&["onTextData".into(), values.clone()]);
        let expected = Some(Event::Data {
            timestamp: 5,
            payload: text.clone(),
        });
        assert_eq!(event(5, &text), expected);
        assert_eq!(seen(&["@setDataFrame".into(), "onTextData".into(), values]), expected);
    }

    #[test]
    fn what_players_cannot_use_goes_no_further() {
        assert_eq!(seen(&["@clearDataFrame".into(), "onMetaData".into()]), None);
        assert_eq!(seen(&[1.0.into()]), None, "no name");
        assert_eq!(seen(&["@setDataFrame".into()]), None);
        assert_eq!(event(0, &Bytes::from_static(b"\x02\0\x09onMeta")), None, "cut");
        let long = Value::String("x".repeat(DATA_BYTES_MAX));
        assert_eq!(seen(&["onTextData".into(), long]), None);
    }
}
