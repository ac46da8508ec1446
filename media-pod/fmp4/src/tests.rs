//! Round trips, a look by another implementation, and hostile bytes.

#![allow(clippy::arithmetic_side_effects, reason = "overflow fails a test, as it should")]

use super::*;
use bytes::{Bytes, BytesMut};
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind, VideoInfo};
use mp4_atom::{Any, ReadFrom};
use proptest::prelude::*;

const AVC: &str = "0142c01effe1001a6742c01ed900a42fe224c044000003000400000300c83c58b92001000568cb83cb20";
const HEVC: &str = "0101600000009000000000003ff000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003003f95980921\
     0001002b42010101600000030090000003000003003fa005020169d565959a4932bc05a020000003002000000303c122000100074401c172b46240";

fn hex(text: &str) -> Bytes {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).map(digit).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}

fn videos() -> Vec<Track> {
    let plain = |codec, config: &'static [u8]| Track {
        video: Some(VideoInfo {
            width: 64,
            height: 36,
            frames_per_second: None,
        }),
        ..Track::plain(TrackId::VIDEO, codec, Bytes::from_static(config))
    };
    vec![
        Track::h264(TrackId::VIDEO, hex(AVC)).unwrap(),
        Track::h265(TrackId::VIDEO, hex(HEVC)).unwrap(),
        plain(Codec::Av1, &[0x81, 5, 12, 0]),
        plain(Codec::Vp9, &[1, 0, 0, 0, 0, 31, 0x80, 2, 2, 2, 0, 0]),
    ]
}

fn audios() -> Vec<Track> {
    let info = AudioInfo {
        sample_rate: 44_100,
        channels: 2,
    };
    let g711 = AudioInfo {
        sample_rate: 8_000,
        channels: 1,
    };
    let with = |codec, config: &'static [u8], audio| Track {
        audio: Some(audio),
        ..Track::plain(TrackId::AUDIO, codec, Bytes::from_static(config))
    };
    let opus = AudioInfo {
        sample_rate: 48_000,
        ..info
    };
    vec![
        Track::aac(TrackId::AUDIO, Bytes::from_static(&[0x12, 0x10])).unwrap(),
        with(Codec::Opus, b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0", opus),
        with(Codec::Flac, &[b'f', b'L', b'a', b'C', 0x80, 0, 0, 2, 9, 9], info),
        Track::sound(TrackId::AUDIO, Codec::Mp3, info),
        Track::sound(TrackId::AUDIO, Codec::G711a, g711),
        Track::sound(TrackId::AUDIO, Codec::G711u, g711),
    ]
}

fn frame(track: &Track, dts: i64, composition: i64, key: bool, payload: Vec<u8>) -> Frame {
    Frame {
        track: track.id,
        kind: track.kind(),
        dts: Timestamp::from_ticks(dts),
        pts: Timestamp::from_ticks(dts + composition),
        key,
        payload: payload.into(),
    }
}

fn read(stream: &[u8], piece: usize) -> (Vec<Track>, Vec<Frame>) {
    let (mut reader, mut out) = (Reader::default(), Vec::new());
    for piece in stream.chunks(piece) {
        reader.push(piece, &mut out).unwrap();
    }
    let (mut tracks, mut frames) = (Vec::new(), Vec::new());
    for demuxed in out {
        match demuxed {
            Demuxed::Track(track) => tracks.push(track),
            Demuxed::Frame(frame) => frames.push(frame),
        }
    }
    (tracks, frames)
}

/// An initialisation segment and fragments of `at_once` frames.
fn mux(tracks: &[Track], frames: &[Frame], at_once: usize) -> Bytes {
    let (mut muxer, mut out) = (Muxer::default(), BytesMut::from(&init_segment(tracks)[..]));
    muxer.set_tracks(tracks);
    if at_once == 1 {
        for frame in frames {
            muxer.put(frame, &mut out);
        }
    } else {
        for (n, some) in frames.chunks(at_once).enumerate() {
            muxer.put_all(some, frames.get((n + 1) * at_once), &mut out);
        }
    }
    out.freeze()
}

fn of_kind(frames: &[Frame], kind: TrackKind) -> Vec<Frame> {
    frames.iter().filter(|f| f.kind == kind).cloned().collect()
}

/// The names of boxes, as another implementation sees them; it must understand every one.
fn boxes(mut stream: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while !stream.is_empty() {
        match Any::read_from(&mut stream).unwrap() {
            Any::Unknown(kind, _) => panic!("{kind:?} is unknown"),
            Any::Ftyp(_) => names.push("ftyp".into()),
            Any::Moov(moov) => names.push(format!("moov of {}", moov.trak.len())),
            Any::Moof(moof) => {
                let samples: usize = moof.traf.iter().flat_map(|t| &t.trun).map(|t| t.samples.len()).sum();
                names.push(format!("moof of {samples}"));
            }
            Any::Mdat(mdat) => names.push(format!("mdat of {}", mdat.data.len())),
            other => panic!("{other:?}"),
        }
    }
    names
}

#[test]
fn every_codec_is_described_and_read_back() {
    for (video, audio) in videos().iter().cycle().zip(audios()) {
        let tracks = [video.clone(), audio];
        let init = init_segment(&tracks);
        assert_eq!(read(&init, 7).0, tracks);
    }
}

#[test]
fn another_implementation_understands_every_box() {
    let tracks = [videos().swap_remove(0), audios().swap_remove(0)];
    let frames = [
        frame(&tracks[0], 0, 3600, true, vec![1; 30]),
        frame(&tracks[1], 0, 0, true, vec![2; 20]),
        frame(&tracks[0], 3600, -3600, false, vec![3; 10]),
    ];
    let expected = ["ftyp", "moov of 2", "moof of 3", "mdat of 60"];
    assert_eq!(boxes(&mux(&tracks, &frames, 3)), expected);
    assert_eq!(boxes(&mux(&tracks, &frames, 1)).len(), 8);
}

#[test]
fn a_frame_lasts_until_the_next_and_the_last_of_a_fragment_as_long_as_it_is_told() {
    let track = videos().swap_remove(0);
    let frames: Vec<Frame> = [0, 3000, 7000, 12_000]
        .map(|dts| frame(&track, dts, 0, true, vec![1]))
        .to_vec();
    let durations = |at_once| {
        let stream = mux(std::slice::from_ref(&track), &frames, at_once);
        let (mut rest, mut seen) = (&stream[..], Vec::new());
        while !rest.is_empty() {
            if let Any::Moof(moof) = Any::read_from(&mut rest).unwrap() {
                let traf = &moof.traf[0];
                let of_all = traf.tfhd.default_sample_duration;
                seen.extend(traf.trun[0].samples.iter().map(|e| e.duration.or(of_all).unwrap()));
            }
        }
        seen
    };
    assert_eq!(durations(2), [3000, 4000, 5000, 5000]);
    assert_eq!(
        durations(1),
        [3600, 3000, 4000, 5000],
        "alone, as long as the one before"
    );
}

#[test]
fn fragments_of_one_frame_become_few_and_say_the_same() {
    let tracks = [videos().swap_remove(0), audios().swap_remove(0)];
    let video = |n: i64, at| {
        frame(
            &tracks[0],
            at,
            3600 * (n % 3 - 1),
            n == 0,
            vec![u8::try_from(n).unwrap(); 30],
        )
    };
    let audio = |at| frame(&tracks[1], at, 0, true, vec![9; 7]);
    let frames = [
        video(0, 9000),
        audio(9000),
        video(1, 12_600),
        audio(11_000),
        audio(13_100),
        video(2, 16_200),
        // The clock was set back, and then forward.
        video(3, 4000),
        video(4, 7600),
        video(5, 7600 + 900_000),
    ];
    let mut muxer = Muxer::default();
    muxer.set_tracks(&tracks);
    let one = |frame: &Frame| {
        let mut out = BytesMut::new();
        muxer.put(frame, &mut out);
        out.freeze()
    };
    let mut packets: Vec<Bytes> = frames.iter().map(one).collect();
    packets.insert(0, init_segment(&tracks));
    packets.insert(3, init_segment(&tracks));
    let mut out = BytesMut::new();
    gather(packets.iter().map(|packet| &packet[..]), &mut out);
    let expected = [
        "ftyp",
        "moov of 2",
        "moof of 2",
        "mdat of 37",
        "ftyp",
        "moov of 2",
        "moof of 4",
        "mdat of 74",
        "moof of 2",
        "mdat of 60",
        "moof of 1",
        "mdat of 30",
    ];
    assert_eq!(boxes(&out), expected);
    let again = read(&out, 1000).1;
    for kind in [TrackKind::Video, TrackKind::Audio] {
        assert_eq!(of_kind(&again, kind), of_kind(&frames, kind));
    }
    assert!(out.len() < packets.iter().map(Bytes::len).sum());
}

#[test]
fn a_track_without_its_configuration_is_left_out() {
    let bare = Track::plain(TrackId::VIDEO, Codec::H264, Bytes::new());
    let (tracks, mut muxer, mut out) = ([bare], Muxer::default(), BytesMut::new());
    muxer.set_tracks(&tracks);
    muxer.put(&frame(&tracks[0], 0, 0, true, vec![1]), &mut out);
    muxer.put_all(&[frame(&tracks[0], 0, 0, true, vec![1])], None, &mut out);
    assert!(out.is_empty() && !muxer.carries(TrackId::VIDEO));
    assert_eq!(boxes(&init_segment(&tracks)), ["ftyp", "moov of 0"]);
}

#[test]
fn what_claims_to_be_too_large_is_refused_before_it_is_kept() {
    let claims: [(&[u8], &str); 4] = [
        (&[0x7f, 0xff, 0xff, 0xff, b'm', b'd', b'a', b't'], "TooLarge"),
        (&[0, 0x20, 0, 0, b'm', b'o', b'o', b'f'], "TooLarge"),
        (&[0, 0, 0, 0, b'm', b'd', b'a', b't'], "Malformed"),
        (
            &[0, 0, 0, 1, b'm', b'o', b'o', b'v', 0xff, 0, 0, 0, 0, 0, 0, 0],
            "TooLarge",
        ),
    ];
    for (claim, reason) in claims {
        let mut reader = Reader::default();
        let error = reader.push(claim, &mut Vec::new()).unwrap_err();
        assert_eq!(error.reason(), reason, "{claim:?}");
        assert!(reader.push(&[0; 8], &mut Vec::new()).is_err(), "the stream is lost");
    }
}

#[test]
fn frames_without_bytes_have_a_limit_too() {
    let tracks = [videos().swap_remove(0)];
    let mut reader = Reader::default();
    reader.push(&init_segment(&tracks), &mut Vec::new()).unwrap();
    let mut moof = BytesMut::new();
    boxes::put_box(&mut moof, *b"moof", |out| {
        boxes::put_box(out, *b"traf", |out| {
            boxes::put_full(out, *b"tfhd", 0, 0x02_0000, |out| out.extend([0, 0, 0, 1]));
            boxes::put_full(out, *b"tfdt", 0, 0, |out| out.extend([0; 4]));
            boxes::put_full(out, *b"trun", 0, 1, |out| {
                out.extend([0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]);
            });
        });
    });
    assert_eq!(reader.push(&moof, &mut Vec::new()).unwrap_err().reason(), "TooLarge");
}

fn sample() -> Bytes {
    let tracks = [videos().swap_remove(1), audios().swap_remove(0)];
    let mut frames = Vec::new();
    for n in 0..8 {
        frames.push(frame(&tracks[0], n * 3600, 3600, n % 4 == 0, vec![9; 300]));
        frames.push(frame(&tracks[1], n * 3600, 0, true, vec![8; 20]));
    }
    mux(&tracks, &frames, 4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn what_is_muxed_is_read_again(
        video in prop::sample::select(videos()),
        audio in prop::sample::select(audios()),
        start in prop::sample::select(vec![0_i64, 1, 900_000, 1 << 33, 1 << 40]),
        given in prop::collection::vec((any::<bool>(), any::<bool>(), -2..3_i64, 1..400_usize), 1..40),
        at_once in 1..6_usize,
        piece in 1..600_usize,
    ) {
        let tracks = [video, audio];
        let mut frames = Vec::new();
        let mut dts = [start, start];
        for (is_video, key, composition, bytes) in given {
            let n = usize::from(!is_video);
            let composition = if is_video { composition * 3600 } else { 0 };
            frames.push(frame(&tracks[n], dts[n], composition, key || !is_video, vec![7; bytes]));
            dts[n] += 1 + i64::try_from(bytes).unwrap();
        }
        let (seen, again) = read(&mux(&tracks, &frames, at_once), piece);
        prop_assert_eq!(&seen[..], &tracks[..]);
        for kind in [TrackKind::Video, TrackKind::Audio] {
            prop_assert_eq!(of_kind(&again, kind), of_kind(&frames, kind));
        }
    }

    #[test]
    fn what_is_gathered_says_the_same_as_one_by_one(
        given in prop::collection::vec((any::<bool>(), any::<bool>(), -2..3_i64, 0..60_usize, -4000..1_000_000_i64), 1..40),
    ) {
        let tracks = [videos().swap_remove(0), audios().swap_remove(0)];
        let (mut muxer, mut packets, mut dts) = (Muxer::default(), Vec::new(), [90_000; 2]);
        muxer.set_tracks(&tracks);
        for (is_video, key, composition, bytes, step) in given {
            let n = usize::from(!is_video);
            let composition = if is_video { composition * 3600 } else { 0 };
            let mut out = BytesMut::new();
            muxer.put(&frame(&tracks[n], dts[n], composition, key, vec![7; bytes]), &mut out);
            packets.push(out.freeze());
            dts[n] = (dts[n] + step).max(0);
        }
        let init = init_segment(&tracks);
        let single = [&init[..], &packets.concat()].concat();
        let mut gathered = BytesMut::from(&init[..]);
        gather(packets.iter().map(|packet| &packet[..]), &mut gathered);
        let (single, gathered) = (read(&single, 4096).1, read(&gathered, 4096).1);
        for kind in [TrackKind::Video, TrackKind::Audio] {
            prop_assert_eq!(of_kind(&gathered, kind), of_kind(&single, kind));
        }
    }

    #[test]
    fn no_change_to_a_stream_makes_the_reader_panic_or_grow(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..12),
        piece in 1..400_usize,
    ) {
        let mut stream = sample().to_vec();
        for (at, byte, how) in edits {
            let at = at.index(stream.len());
            match how {
                0 => stream[at] = byte,
                1 => { stream.remove(at); }
                _ => stream.insert(at, byte),
            }
        }
        let (mut reader, mut out) = (Reader::default(), Vec::new());
        for piece in stream.chunks(piece) {
            let _ = reader.push(piece, &mut out);
        }
        prop_assert!(out.len() <= 65_536);
    }
}
