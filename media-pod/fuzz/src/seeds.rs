//! Good inputs: made by our own writers, so that a change of theirs reaches the seeds.

use bytes::{Bytes, BytesMut};
use headgate_codec::{Frame, Timestamp, Track, TrackId, TrackKind};
use headgate_flv as flv;
use headgate_rtmp::amf0::{self, Value};
use headgate_rtmp::chunk::{DEFAULT_CHUNK_SIZE, RawMessage, write_message};
use headgate_rtmp::client::{ClientSession, Purpose};
use headgate_rtmp::server::ServerSession;

/// Made by x264, 1280x720 at 30 fps, High.
const AVC: &[u8] = b"\x01\x64\x00\x1f\xff\xe1\x00\x1a\x67\x64\x00\x1f\xac\xd9\x40\x50\x05\xbb\x01\x10\x00\x00\x03\x00\x10\x00\x00\x03\x03\xc0\xf1\x83\x19\x60\x01\x00\x06\x68\xeb\xe3\xcb\x22\xc0\xfd\xf8\xf8\x00";
/// Made by x265, 638x358.
const HEVC: &[u8] = b"\x01\x01\x60\x00\x00\x00\x90\x00\x00\x00\x00\x00\x3f\xf0\x00\xfc\xfd\xf8\xf8\x00\x00\x0f\x03\x20\x00\x01\x00\x18\x40\x01\x0c\x01\xff\xff\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3f\x95\x98\x09\x21\x00\x01\x00\x2b\x42\x01\x01\x01\x60\x00\x00\x03\x00\x90\x00\x00\x03\x00\x00\x03\x00\x3f\xa0\x05\x02\x01\x69\xd5\x65\x95\x9a\x49\x32\xbc\x05\xa0\x20\x00\x00\x03\x00\x20\x00\x00\x03\x03\xc1\x22\x00\x01\x00\x07\x44\x01\xc1\x72\xb4\x62\x40";
const AAC: &[u8] = &[0x12, 0x10];

/// Behind a first byte that says how it is cut.
fn cut(data: &[u8]) -> Vec<Vec<u8>> {
    [&[255_u8][..], &[3]]
        .iter()
        .map(|first| [first, data].concat())
        .collect()
}

fn tracks() -> Vec<Track> {
    let video = Track::h264(TrackId::VIDEO, Bytes::from_static(AVC));
    let audio = Track::aac(TrackId::AUDIO, Bytes::from_static(AAC));
    video.into_iter().chain(audio).collect()
}

/// A key picture, sound, a picture.
fn frames() -> Vec<Frame> {
    let frame = |track, kind, at, key, payload: &'static [u8]| Frame {
        track,
        kind,
        dts: Timestamp::from_millis(at),
        pts: Timestamp::from_millis(at),
        key,
        payload: Bytes::from_static(payload),
    };
    vec![
        frame(
            TrackId::VIDEO,
            TrackKind::Video,
            0,
            true,
            b"\0\0\0\x05\x65\x88\x84\x00\x33",
        ),
        frame(TrackId::AUDIO, TrackKind::Audio, 10, true, b"\x21\x10\x04\x60\x8c\x1c"),
        frame(
            TrackId::VIDEO,
            TrackKind::Video,
            40,
            false,
            b"\0\0\0\x05\x41\x9a\x02\x04\x05",
        ),
    ]
}

pub(crate) fn parameter_sets() -> Vec<Vec<u8>> {
    let whole = [AVC, HEVC, AAC, b"\x2b\x92\x08\x88\x80"].map(<[u8]>::to_vec);
    let bare = [AVC.get(8..34), HEVC.get(54..97)].map(|set| set.unwrap_or_default().to_vec());
    whole.into_iter().chain(bare).collect()
}

pub(crate) fn flv() -> Vec<Vec<u8>> {
    let tracks = tracks();
    let mut file = BytesMut::from(&flv::file_header(true, true)[..]);
    for track in &tracks {
        let body = flv::Form::default().config(track);
        let _ = flv::put_tag(&mut file, tag_kind(track.kind()), 0, &[&body]);
    }
    for frame in frames() {
        if let Some(track) = tracks.iter().find(|track| track.id == frame.track) {
            let prefix = flv::Form::default().prefix(track, &frame);
            let parts = [prefix.as_slice(), &frame.payload];
            let _ = flv::put_tag(&mut file, tag_kind(frame.kind), 40, &parts);
        }
    }
    let enhanced = b"\x90hvc1\x01\x01\x60\x00\x00\x00";
    let _ = flv::put_tag(&mut file, flv::TagKind::Video, 80, &[enhanced]);
    cut(&file)
}

fn tag_kind(kind: TrackKind) -> flv::TagKind {
    match kind {
        TrackKind::Video => flv::TagKind::Video,
        TrackKind::Audio => flv::TagKind::Audio,
    }
}

pub(crate) fn mpegts() -> Vec<Vec<u8>> {
    let (mut muxer, mut out) = (headgate_mpegts::Muxer::default(), BytesMut::new());
    muxer.set_tracks(&tracks());
    for frame in frames() {
        let _ = muxer.put(&frame, &mut out);
    }
    cut(&out)
}

pub(crate) fn fmp4() -> Vec<Vec<u8>> {
    let (mut muxer, tracks) = (headgate_fmp4::Muxer::default(), tracks());
    let mut out = BytesMut::from(&headgate_fmp4::init_segment(&tracks)[..]);
    muxer.set_tracks(&tracks);
    for frame in frames() {
        muxer.put(&frame, &mut out);
    }
    cut(&out)
}

fn values() -> Vec<Value> {
    vec![
        "connect".into(),
        1.0.into(),
        Value::object([("app", "live".into()), ("tcUrl", "rtmp://localhost/live".into())]),
        Value::Null,
        Value::EcmaArray(vec![("width".into(), 1280.0.into())]),
    ]
}

pub(crate) fn amf() -> Vec<Vec<u8>> {
    let written = amf0::write_all(&values()).to_vec();
    let three = b"\x11\x0a\x0b\x01\x07key\x06\x0bvalue\x05\x3f\xf0\0\0\0\0\0\0\x01\x01".to_vec();
    vec![written, three]
}

pub(crate) fn rtmp_chunks() -> Vec<Vec<u8>> {
    let mut out = BytesMut::new();
    for (csid, kind, bytes) in [(3, 20, 300), (6, 9, 400), (4, 8, 20)] {
        let message = RawMessage {
            timestamp: 0x00ff_ffff,
            kind,
            stream_id: 1,
            payload: Bytes::from(vec![kind; bytes]),
        };
        write_message(&mut out, csid, &message, DEFAULT_CHUNK_SIZE);
    }
    cut(&out)
}

/// What a publisher and a player send, and what they are answered.
fn conversations() -> Vec<[Vec<u8>; 2]> {
    let converse = |purpose| {
        let mut client = ClientSession::new(purpose, "rtmp://localhost", "live", "room?secret=x");
        let mut server = ServerSession::new(headgate_rtmp::chunk::Limits::default());
        let mut said = [Vec::new(), Vec::new()];
        let _ = client.process(0, &mut |bytes| bytes.fill(0));
        for _ in 0..8 {
            let up = client.take_output();
            said[0].extend_from_slice(&up);
            server.buffer().extend_from_slice(&up);
            let _ = server.process(up.len(), &mut |bytes| bytes.fill(0));
            while let Some(event) = server.poll_event() {
                crate::rtmp::answer(&mut server, &event);
            }
            let down = server.take_output();
            said[1].extend_from_slice(&down);
            client.buffer().extend_from_slice(&down);
            let _ = client.process(down.len(), &mut |bytes| bytes.fill(0));
            while client.poll_event().is_some() {}
        }
        client.metadata(vec![("width".into(), 1280.0.into())]);
        client.video(40, Bytes::from_static(b"\x17\x01\0\0\0\0\0\0\x02\x65\x88"));
        said[0].extend_from_slice(&client.take_output());
        said
    };
    vec![converse(Purpose::Publish), converse(Purpose::Play)]
}

pub(crate) fn rtmp_client() -> Vec<Vec<u8>> {
    conversations().iter().flat_map(|[up, _]| cut(up)).collect()
}

pub(crate) fn rtmp_server() -> Vec<Vec<u8>> {
    conversations().iter().flat_map(|[_, down]| cut(down)).collect()
}

pub(crate) fn urls() -> Vec<Vec<u8>> {
    texts(&[
        "rtmp://host:1935/live\nlive\nroom?secret=x&vhost=a",
        "rtmp://[::1]/live/inst?vhost=a.b\nlive/inst?k=v\nroom%20a",
        "rtmp://host/live...vhost...x\nlive...vhost...x\nroom",
    ])
}

pub(crate) fn paths() -> Vec<Vec<u8>> {
    texts(&[
        "/live/room.flv",
        "/live/a/room.live.ts",
        "/live/room/hls.m3u8",
        "/live/room.m3u8",
        "/live/room/seg-12.m4s",
        "/live/%e4%bd%a0.mp4",
    ])
}

pub(crate) fn websocket() -> Vec<Vec<u8>> {
    let frames: &[&[u8]] = &[
        b"\x88\x82\x01\x02\x03\x04\x02\xea",
        b"\x89\x85\x01\x02\x03\x04hello",
        b"\x82\xfe\x01\x00\x01\x02\x03\x04data",
        b"\x82\xff\0\0\0\0\0\x01\0\0\x01\x02\x03\x04data",
    ];
    frames.iter().flat_map(|frame| cut(frame)).collect()
}

pub(crate) fn proxy_headers() -> Vec<Vec<u8>> {
    let lines = texts(&[
        "PROXY TCP4 192.0.2.1 198.51.100.2 56324 1935\r\n",
        "PROXY TCP6 2001:db8::1 2001:db8::2 4124 443\r\n",
        "PROXY UNKNOWN\r\n",
    ]);
    let version_2 = |command: u8, family: u8, block: &[u8]| {
        let length = u16::try_from(block.len()).unwrap_or(0).to_be_bytes();
        [&b"\r\n\r\n\0\r\nQUIT\n"[..], &[command, family], &length, block].concat()
    };
    let addresses = [192, 0, 2, 1, 198, 51, 100, 2, 0xdc, 0x04, 0x07, 0x8f];
    // With a value behind the addresses: what the client wants to speak.
    let more = [&addresses[..], &[1, 0, 2, b'h', b'2']].concat();
    let binary = [
        version_2(0x20, 0, &[]),
        version_2(0x21, 0x11, &addresses),
        version_2(0x21, 0x11, &more),
        version_2(0x21, 0x21, &[7; 36]),
    ];
    lines.into_iter().chain(binary).collect()
}

pub(crate) fn answers() -> Vec<Vec<u8>> {
    texts(&[
        "\0\u{48}0",
        "\0\u{48}{\"code\":0,\"msg\":\"success\",\"enable_hls\":true,\"second\":10,\"path\":\"/live\"}",
        "\0\u{48}{\"code\":0,\"data\":{\"urls\":[\"rtmp://host/app/stream\"]}}",
        "\0\u{48}{\"allow\":false,\"code\":7,\"message\":\"no\",\"ttlSeconds\":3}",
    ])
}

fn texts(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|text| text.as_bytes().to_vec()).collect()
}
