//! Round trips, hostile bytes, and a file that ffmpeg made.

use super::*;
use headgate_codec::{AudioInfo, Frame, Timestamp, TrackId, TrackKind};
use proptest::prelude::*;

fn hex(text: &str) -> Bytes {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).map(digit).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}

/// Six tags of 64x36 H.264 and AAC at the start of a file made by ffmpeg's FLV muxer.
fn sample() -> Bytes {
    hex(include_str!("../testdata/sample.flv.hex"))
}

const AVCC: &str = "0164001fffe1001a6764001facd9405005bb0110000003001000000303c0f183196001000668ebe3cb22c0fdf8f800";
const HVCC: &str = "0101600000009000000000003ff000fcfdf8f800000f00";

fn tracks() -> Vec<Track> {
    let info = AudioInfo {
        sample_rate: 44_100,
        channels: 2,
    };
    let g711 = AudioInfo {
        sample_rate: 8_000,
        channels: 1,
    };
    vec![
        Track::h264(TrackId::VIDEO, hex(AVCC)).unwrap(),
        Track::h265(TrackId::VIDEO, hex(HVCC)).unwrap(),
        Track::plain(TrackId::VIDEO, Codec::Av1, Bytes::from_static(&[0x81, 5, 12, 0])),
        Track::plain(TrackId::VIDEO, Codec::Vp9, Bytes::from_static(&[1, 0, 0, 0])),
        Track::aac(TrackId::AUDIO, Bytes::from_static(&[0x12, 0x10])).unwrap(),
        Track::plain(TrackId::AUDIO, Codec::Opus, Bytes::from_static(b"OpusHead")),
        Track::plain(TrackId::AUDIO, Codec::Flac, Bytes::from_static(b"fLaC")),
        Track::sound(TrackId::AUDIO, Codec::Mp3, info),
        Track::sound(TrackId::AUDIO, Codec::G711a, g711),
        Track::sound(TrackId::AUDIO, Codec::G711u, AudioInfo { channels: 2, ..g711 }),
    ]
}

fn frame_of(track: &Track, millis: i64, composition: i64, key: bool) -> Frame {
    let dts = Timestamp::from_millis(millis);
    let kind = track.kind();
    let composes = matches!(track.codec, Codec::H264 | Codec::H265);
    let pts = dts.plus_millis(if composes { composition } else { 0 });
    Frame {
        track: track.id,
        kind,
        dts,
        pts,
        key: key || kind == TrackKind::Audio,
        payload: Bytes::from_static(&[1, 2, 3, 4, 5]),
    }
}

#[test]
fn what_is_written_is_read_back_for_every_codec() {
    for track in tracks() {
        let mut demuxer = Demuxer::default();
        let config = config_body(&track);
        if config.is_empty() {
            assert!(track.codec.needs_no_config());
        } else {
            assert_eq!(demuxer.push(track.kind(), 0, config), Ok(Demuxed::Track(track.clone())));
        }
        for (millis, composition, key) in [(0, 0, true), (40, 80, false), (80, -40, false)] {
            let frame = frame_of(&track, millis, composition, key);
            let body = [body_prefix(&track, &frame).as_slice(), &frame.payload].concat();
            let expected = match (track.codec.needs_no_config(), millis) {
                (true, 0) => Demuxed::TrackAndFrame(track.clone(), frame.clone()),
                _ => Demuxed::Frame(frame.clone()),
            };
            assert_eq!(
                demuxer.push(track.kind(), frame.dts.as_wrapped_millis(), body.into()),
                Ok(expected),
                "{}",
                track.codec
            );
        }
    }
}

#[test]
fn hevc_under_its_old_codec_id_is_read_as_well() {
    let config = [&[0x1c, 0, 0, 0, 0][..], &hex(HVCC)].concat();
    assert!(matches!(parse_video(config.into()), Ok(Body::Config(track)) if track.codec == Codec::H265));
    let frame = parse_video(Bytes::from_static(&[0x2c, 1, 0, 0, 80, 9, 9]));
    let expected = Body::Frame {
        codec: Codec::H265,
        key: false,
        composition_millis: 80,
        payload: Bytes::from_static(&[9, 9]),
    };
    assert_eq!(frame, Ok(expected));
}

#[test]
fn what_is_not_carried_says_what_it_was() {
    assert_eq!(
        parse_audio(Bytes::from_static(&[0x90, b'a', b'c', b'-', b'3'])),
        Ok(Body::Ignored("enhanced audio AC-3"))
    );
    assert_eq!(
        parse_video(Bytes::from_static(&[0x57, 0])),
        Ok(Body::Ignored("video command frame"))
    );
    assert_eq!(
        parse_video(Bytes::from_static(&[0x12, 0])),
        Ok(Body::Ignored("video codec older than H.264"))
    );
    assert_eq!(parse_video(Bytes::new()), Err(Error::Truncated { what: "video tag" }));
}

#[test]
fn a_frame_before_its_sequence_header_is_nothing() {
    let mut demuxer = Demuxer::default();
    let pushed = demuxer.push(TrackKind::Video, 0, Bytes::from_static(&[0x17, 1, 0, 0, 0, 1]));
    assert_eq!(pushed, Ok(Demuxed::Nothing("frame before its sequence header")));
}

#[test]
fn time_runs_on_when_its_32_bits_wrap() {
    let mut demuxer = Demuxer::default();
    let mut dts = |millis: u32| match demuxer.push(TrackKind::Audio, millis, Bytes::from_static(&[0x2f, 1])) {
        Ok(Demuxed::Frame(frame) | Demuxed::TrackAndFrame(_, frame)) => frame.dts.as_millis(),
        other => panic!("{other:?}"),
    };
    assert_eq!(dts(u32::MAX - 10), 4_294_967_285);
    assert_eq!(dts(29), 4_294_967_325);
    assert_eq!(dts(u32::MAX), 4_294_967_295);
    let mut demuxer = Demuxer::default();
    let mut dts = |millis: u32| match demuxer.push(TrackKind::Audio, millis, Bytes::from_static(&[0x2f, 1])) {
        Ok(Demuxed::Frame(frame) | Demuxed::TrackAndFrame(_, frame)) => frame.dts.as_millis(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        (dts(5_000), dts(4_980), dts(3_000_000_000)),
        (5_000, 4_980, 3_000_000_000)
    );
}

#[test]
fn a_file_made_by_ffmpeg_is_read_and_written_again_byte_for_byte() {
    let file = sample();
    let tags: Vec<Tag> = TagReader::new(file.clone()).unwrap().collect::<Result<_, _>>().unwrap();
    let kinds: Vec<TagKind> = tags.iter().map(|t| t.kind).collect();
    assert_eq!(
        kinds,
        [
            TagKind::Script,
            TagKind::Video,
            TagKind::Audio,
            TagKind::Audio,
            TagKind::Video,
            TagKind::Audio
        ]
    );
    let mut written = vec![file_header(true, true)];
    written.extend(
        tags.iter()
            .map(|t| tag(t.kind, t.timestamp_millis, &[&t.body]).unwrap()),
    );
    assert_eq!(written.concat(), file);
    let mut demuxer = Demuxer::default();
    let demuxed: Vec<Demuxed> = tags
        .iter()
        .map(|t| demuxer.push_tag(t.kind, t.timestamp_millis, t.body.clone()).unwrap())
        .collect();
    let Demuxed::Track(video) = &demuxed[1] else {
        panic!("{:?}", demuxed[1])
    };
    assert_eq!(
        (video.codec, video.video.map(|v| (v.width, v.height))),
        (Codec::H264, Some((64, 36)))
    );
    assert_eq!(demuxed.iter().filter(|d| matches!(d, Demuxed::Frame(_))).count(), 3);
}

#[test]
fn a_body_that_does_not_fit_is_refused() {
    let part = vec![0; BODY_MAX];
    assert_eq!(
        tag(TagKind::Video, 0, &[&[1], &part]),
        Err(Error::TooLarge(BODY_MAX + 1))
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn no_body_makes_the_parsers_panic(body in prop::collection::vec(any::<u8>(), 0..64), time in any::<u32>()) {
        let mut demuxer = Demuxer::default();
        let _ = demuxer.push(TrackKind::Video, time, body.clone().into());
        let _ = demuxer.push(TrackKind::Audio, time, body.into());
    }

    #[test]
    fn no_change_to_a_file_makes_the_reader_panic(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut file = sample().to_vec();
        for (at, byte) in edits {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(cut.index(file.len()).max(13));
        let mut demuxer = Demuxer::default();
        if let Ok(reader) = TagReader::new(file.into()) {
            for tag in reader.flatten() {
                let _ = demuxer.push_tag(tag.kind, tag.timestamp_millis, tag.body);
            }
        }
    }

    #[test]
    fn any_tag_is_read_back(time in any::<u32>(), body in prop::collection::vec(any::<u8>(), 0..200)) {
        let file = [file_header(true, false), tag(TagKind::Video, time, &[&body]).unwrap()].concat();
        let tags: Vec<_> = TagReader::new(file.into()).unwrap().collect();
        prop_assert_eq!(tags, vec![Ok(Tag { kind: TagKind::Video, timestamp_millis: time, body: body.into() })]);
    }
}
