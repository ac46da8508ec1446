//! RTMP from the bottom up.

use crate::pieces;
use bytes::BytesMut;
use headgate_rtmp::amf0;
use headgate_rtmp::chunk::{ChunkReader, Limits};
use headgate_rtmp::client::{ClientSession, Purpose};
use headgate_rtmp::server::{Event, ServerSession};
use headgate_rtmp::url::Target;

/// What goes out for some bytes that came in must stay in proportion.
const OUT_MAX: usize = 1 << 20;

pub(crate) fn amf(data: &[u8]) {
    if let Ok(values) = amf0::read_all(data) {
        let written = amf0::write_all(&values);
        let again = amf0::read_all(&written).map(|values| amf0::write_all(&values));
        assert_eq!(
            again.as_ref(),
            Ok(&written),
            "what was read and written reads otherwise"
        );
    }
}

pub(crate) fn chunks(data: &[u8]) {
    let limits = Limits::default();
    let (mut reader, mut input) = (ChunkReader::new(limits), BytesMut::new());
    for piece in pieces(data) {
        input.extend_from_slice(piece);
        loop {
            match reader.next(&mut input) {
                Ok(Some(message)) => assert!(message.payload.len() <= limits.message_bytes, "longer than the limit"),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

pub(crate) fn server(data: &[u8]) {
    let mut session = ServerSession::new(Limits::default());
    for piece in pieces(data) {
        session.buffer().extend_from_slice(piece);
        if session.process(piece.len(), &mut |bytes| bytes.fill(0)).is_err() {
            return;
        }
        while let Some(event) = session.poll_event() {
            answer(&mut session, &event);
        }
        assert!(session.take_output().len() <= OUT_MAX, "too much goes out");
    }
}

/// Lets everybody in.
pub(crate) fn answer(session: &mut ServerSession, event: &Event) {
    match event {
        Event::Connect(_) => session.accept_connect(),
        Event::Publish { .. } => session.accept_publish(),
        Event::Play { .. } => session.accept_play(),
        Event::Pause(on) => session.acknowledge_pause(*on),
        _ => {}
    }
}

pub(crate) fn client(data: &[u8]) {
    let mut session = ClientSession::new(Purpose::Play, "rtmp://localhost", "live", "room").that_is_enhanced();
    let _ = session.process(0, &mut |bytes| bytes.fill(0));
    for piece in pieces(data) {
        session.buffer().extend_from_slice(piece);
        if session.process(piece.len(), &mut |bytes| bytes.fill(0)).is_err() {
            return;
        }
        while session.poll_event().is_some() {}
        assert!(session.take_output().len() <= OUT_MAX, "too much goes out");
    }
}

pub(crate) fn url(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let mut lines = text.split('\n');
    let mut next = || lines.next().unwrap_or_default();
    let target = Target::parse(next(), next(), next());
    let _ = target.check_app();
}
