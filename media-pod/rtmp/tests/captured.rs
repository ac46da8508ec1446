//! What real clients sent, as it was captured once: understood as it was meant, however it is cut, and harmless however it is
//! changed. `ffmpeg-*` are of ffmpeg 5.1 (digest handshake, FMLE order of commands), `librtmp-play` of librtmp 2.4 (simple
//! handshake, a control stream that begins with a short header).

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panic"
)]

use headgate_rtmp::chunk::Limits;
use headgate_rtmp::server::{Event, ServerSession};
use proptest::prelude::*;
use proptest::sample::Index;

const FFMPEG_PUBLISH: &[u8] = include_bytes!("fixtures/ffmpeg-publish.bin");
const FFMPEG_PLAY: &[u8] = include_bytes!("fixtures/ffmpeg-play.bin");
const LIBRTMP_PLAY: &[u8] = include_bytes!("fixtures/librtmp-play.bin");

fn line(event: &Event) -> String {
    match event {
        Event::Connect(c) => format!("connect {} {} {}", c.app, c.tc_url, c.flash_version),
        Event::Audio { timestamp, payload } => format!("audio {timestamp} {}", payload.len()),
        Event::Video { timestamp, payload } => format!("video {timestamp} {}", payload.len()),
        Event::Metadata(body) => format!("metadata {}", body.len()),
        Event::Publish { stream } => format!("publish {stream}"),
        Event::Play { stream } => format!("play {stream}"),
        other => format!("{other:?}"),
    }
}

/// Feeds the pieces to a server that lets everyone in, to the end or the first error. Says what it saw.
fn serve<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Vec<String>, Option<String>) {
    let (mut server, mut seen) = (ServerSession::new(Limits::default()), Vec::new());
    for piece in pieces {
        server.buffer().extend_from_slice(piece);
        if let Err(error) = server.process(piece.len(), &mut |out| out.fill(7)) {
            return (seen, Some(error.to_string()));
        }
        while let Some(event) = server.poll_event() {
            seen.push(line(&event));
            match event {
                Event::Connect(_) => server.accept_connect(),
                Event::Publish { .. } => server.accept_publish(),
                Event::Play { .. } => server.accept_play(),
                _ => {}
            }
        }
        assert!(server.take_output().len() <= 64 * 1024 + 8 * piece.len());
    }
    (seen, None)
}

#[test]
fn what_ffmpeg_publishes_is_understood() {
    let (seen, error) = serve([FFMPEG_PUBLISH]);
    assert_eq!(error, None);
    let expected = [
        "connect live rtmp://127.0.0.1:29351/live FMLE/3.0 (compatible; Lavf59.27.100)",
        "publish alice?secret=k",
        "metadata 293",
        "video 0 42",
        "audio 0 7",
        "audio 0 155",
        "video 23 633",
        "audio 23 163",
        "audio 46 63",
        "video 63 14",
        "audio 69 72",
        "audio 93 67",
        "video 103 14",
        "audio 116 119",
        "audio 139 7",
        "video 103 5",
        "Closed",
    ];
    assert_eq!(seen, expected);
}

#[test]
fn what_players_ask_for_is_understood() {
    let expected = |port: u16, version: &str| {
        let tc_url = format!("rtmp://127.0.0.1:{port}/live");
        vec![format!("connect live {tc_url} {version}"), "play bob".to_owned()]
    };
    let closed = |mut seen: Vec<String>| {
        seen.push("Closed".to_owned());
        (seen, None)
    };
    assert_eq!(serve([FFMPEG_PLAY]), closed(expected(29352, "LNX 9,0,124,2")));
    assert_eq!(serve([LIBRTMP_PLAY]), (expected(29353, ""), None));
}

#[test]
fn the_answers_wait_for_nothing_but_their_questions() {
    for capture in [FFMPEG_PUBLISH, FFMPEG_PLAY, LIBRTMP_PLAY] {
        assert_eq!(serve(capture.chunks(1)), serve([capture]));
    }
}

/// The most memory that this process has held, in KiB.
fn peak() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|l| l.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[derive(Clone, Debug)]
enum Edit {
    Set(Index, u8),
    Insert(Index, u8),
    Remove(Index, Index),
    Repeat(Index, Index),
}

impl Edit {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let at = |index: &Index, bytes: &[u8]| 1 + index.index(bytes.len() - 1);
        match self {
            Self::Set(index, byte) => {
                let at = at(index, bytes);
                bytes[at] = *byte;
            }
            Self::Insert(index, byte) => bytes.insert(at(index, bytes), *byte),
            Self::Remove(from, to) => {
                let (a, b) = (at(from, bytes), at(to, bytes));
                bytes.drain(a.min(b)..a.max(b).min(a.min(b) + 64));
            }
            Self::Repeat(from, to) => {
                let (a, b) = (at(from, bytes), at(to, bytes));
                let piece = bytes[a.min(b)..a.max(b)].to_vec();
                bytes.extend(piece);
            }
        }
    }
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Set(at, byte)),
        1 => (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Edit::Insert(at, byte)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Edit::Remove(a, b)),
        1 => (any::<Index>(), any::<Index>()).prop_map(|(a, b)| Edit::Repeat(a, b)),
    ]
}

fn capture() -> impl Strategy<Value = &'static [u8]> {
    prop::sample::select(vec![FFMPEG_PUBLISH, FFMPEG_PUBLISH, FFMPEG_PLAY, LIBRTMP_PLAY])
}

const HANDSHAKE: usize = 1 + 2 * 1536;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_fragmentation_comes_to_the_same(capture in capture(), cuts in prop::collection::vec(1_usize..600, 1..40)) {
        let mut rest = capture;
        let mut pieces = Vec::new();
        for cut in cuts.iter().cycle() {
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        prop_assert_eq!(serve(pieces), serve([capture]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(5000) })]
    #[test]
    fn no_change_of_what_they_sent_can_harm_the_server(
        capture in capture(), edits in prop::collection::vec(edit(), 1..8), size in 200_usize..20_000,
    ) {
        // Nothing in the handshake is looked at but its first byte and the digest.
        let (handshake, tail) = capture.split_at(HANDSHAKE);
        let mut tail = tail.to_vec();
        for edit in edits {
            edit.apply(&mut tail);
        }
        serve([handshake].into_iter().chain(tail.chunks(size)));
        prop_assert!(peak().is_none_or(|kib| kib < 256 * 1024), "no few bytes make us hold so much");
    }
}
