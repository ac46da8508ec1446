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
        Track::opus(TrackId::AUDIO, Bytes::from_static(b"OpusHead\x01\x02")),
        Track::flac(TrackId::AUDIO, Bytes::from_static(b"fLaC")),
        Track::sound(TrackId::AUDIO, Codec::Mp3, info),
        Track::sound(TrackId::AUDIO, Codec::G711a, g711),
        Track::sound(TrackId::AUDIO, Codec::G711u, AudioInfo { channels: 2, ..g711 }),
        Track::sound(
            TrackId::AUDIO,
            Codec::Ac3,
            AudioInfo {
                sample_rate: 48_000,
                ..info
            },
        ),
        Track::sound(
            TrackId::AUDIO,
            Codec::Speex,
            AudioInfo {
                sample_rate: 16_000,
                ..g711
            },
        ),
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

/// How each form of FLV is read back: every codec, with a composition time forth and back.
fn round_trip(form: Form, track: &Track) {
    let mut demuxer = Demuxer::default();
    let config = form.config(track);
    assert_eq!(config.is_empty(), track.codec.needs_no_config(), "{}", track.codec);
    if !config.is_empty() {
        let pushed = demuxer.push(track.kind(), 0, config).unwrap();
        assert_eq!(pushed[..], [Demuxed::Track(track.clone())], "{}", track.codec);
    }
    for (millis, composition, key) in [(0, 0, true), (40, 80, false), (80, -40, false)] {
        let frame = frame_of(track, millis, composition, key);
        let body = [&form.prefix(track, &frame), &frame.payload[..]].concat();
        let mut expected = vec![Demuxed::Frame(frame.clone())];
        if track.codec.needs_no_config() && millis == 0 {
            expected.insert(0, Demuxed::Track(track.clone()));
        }
        let pushed = demuxer.push(track.kind(), frame.dts.as_wrapped_millis(), body.into());
        assert_eq!(pushed.unwrap()[..], expected[..], "{}", track.codec);
    }
}

#[test]
fn what_is_written_is_read_back_for_every_codec() {
    for track in tracks() {
        round_trip(Form::default(), &track);
    }
}

#[test]
fn every_track_is_written_for_those_who_know_multitrack_and_the_first_for_the_others() {
    let all = Form {
        four_cc: true,
        multitrack: true,
    };
    for track in tracks() {
        let second = Track {
            id: TrackId::of(track.kind(), 1).unwrap(),
            ..track.clone()
        };
        let frame = frame_of(&second, 0, 0, true);
        let plain = (Form::default().config(&second), Form::default().prefix(&second, &frame));
        assert!(plain.0.is_empty() && plain.1.is_empty(), "{}", track.codec);
        let is_classic_only = matches!(track.codec, Codec::G711a | Codec::G711u | Codec::Speex);
        assert_eq!(all.carries(&second), !is_classic_only, "{}", track.codec);
        if !is_classic_only {
            round_trip(all, &second);
        }
    }
}

#[test]
fn hevc_goes_out_under_the_id_it_came_in_with_unless_the_reader_knows_better() {
    let old = [&[0x1c, 0, 0, 0, 0][..], &hex(HVCC)].concat();
    let mut demuxer = Demuxer::default();
    let pushed = demuxer.push(TrackKind::Video, 0, old.clone().into()).unwrap();
    let [Demuxed::Track(track)] = &pushed[..] else {
        panic!("{pushed:?}")
    };
    assert!(track.codec == Codec::H265 && track.old_id);
    let body = Bytes::from_static(&[0x2c, 1, 0, 0, 80, 9, 9]);
    let pushed = demuxer.push(TrackKind::Video, 0, body.clone()).unwrap();
    let [Demuxed::Frame(frame)] = &pushed[..] else {
        panic!("{pushed:?}")
    };
    assert_eq!(
        (frame.key, frame.pts.as_millis(), &frame.payload[..]),
        (false, 80, &[9, 9][..])
    );
    let form = Form::default();
    assert_eq!(form.config(track), old);
    assert_eq!([&form.prefix(track, frame), &frame.payload[..]].concat(), body);
    let form = Form { four_cc: true, ..form };
    assert_eq!(&form.config(track)[..5], b"\x90hvc1");
    assert_eq!(&form.prefix(track, frame)[..], b"\xa1hvc1\0\0\x50");
}

#[test]
fn a_multitrack_message_comes_to_a_frame_of_each_track_at_the_nanosecond() {
    let mut demuxer = Demuxer::default();
    let starts = b"\x95\x20Opus\x00\0\0\x0aOpusHead\x01\x02fLaC\x01\0\0\x04fLaC";
    let pushed = demuxer.push(TrackKind::Audio, 0, Bytes::from_static(starts)).unwrap();
    let ids: Vec<_> = pushed
        .iter()
        .map(|d| {
            if let Demuxed::Track(t) = d {
                (t.id, t.codec)
            } else {
                panic!("{d:?}")
            }
        })
        .collect();
    assert_eq!(ids, [(TrackId(1), Codec::Opus), (TrackId(3), Codec::Flac)]);
    let frames = b"\x97\x02\x01\x00\x00\x05\x21Opus\x00\0\0\x01afLaC\x01\0\0\x01b";
    let pushed = demuxer.push(TrackKind::Audio, 7, Bytes::from_static(frames)).unwrap();
    let ticks = 7 * 90 + 65_536 / 11_111;
    let frames: Vec<_> = pushed
        .iter()
        .map(|d| {
            if let Demuxed::Frame(f) = d {
                (f.track, f.dts.ticks(), &f.payload[..])
            } else {
                panic!("{d:?}")
            }
        })
        .collect();
    assert_eq!(frames, [(TrackId(1), ticks, &b"a"[..]), (TrackId(3), ticks, &b"b"[..])]);
}

#[test]
fn sound_without_a_sequence_header_says_itself_what_it_is() {
    let cases: [(&'static [u8], Codec, u32, u32); 5] = [
        (b"\x91.mp3\xff\xf3\x40\xc4", Codec::Mp3, 22_050, 1),
        (b"\x2f\xff\xfb\x94\x64", Codec::Mp3, 48_000, 2),
        (b"\x91ac-3\x0b\x77\xb5\x0b\x1e\x40\xeb\xf8", Codec::Ac3, 48_000, 6),
        (b"\x91ec-3\x0b\x77\x01\xa0\x74\x87\xc0\x00", Codec::Eac3, 44_100, 2),
        (b"\xb2\x00", Codec::Speex, 16_000, 1),
    ];
    for (body, codec, sample_rate, channels) in cases {
        let pushed = Demuxer::default()
            .push(TrackKind::Audio, 0, Bytes::from_static(body))
            .unwrap();
        let info = AudioInfo { sample_rate, channels };
        assert_eq!(pushed[0], Demuxed::Track(Track::sound(TrackId::AUDIO, codec, info)));
        assert!(matches!(pushed[1], Demuxed::Frame(_)));
    }
}

#[test]
fn the_size_of_vp9_is_that_of_its_newest_key_frame() {
    let (mut demuxer, config) = (
        Demuxer::default(),
        [&b"\x90vp09"[..], &[1, 0, 0, 0, 0, 10, 0x82, 2, 2, 2, 0, 0]].concat(),
    );
    let key = |size: u8| [&b"\x91vp09\x82\x49\x83\x42\0\x09\xf0\x05"[..], &[size], b"more"].concat();
    let mut push = |body: Vec<u8>| {
        let found = demuxer.push(TrackKind::Video, 0, body.into()).unwrap();
        let track = found.iter().find_map(|one| match one {
            Demuxed::Track(track) => Some(track.video.map(|video| (video.width, video.height))),
            _ => None,
        });
        (
            track,
            found.iter().filter(|one| matches!(one, Demuxed::Frame(_))).count(),
        )
    };
    assert_eq!(push(config.clone()), (Some(None), 0));
    assert_eq!(push(key(0x95)), (Some(Some((160, 90))), 1));
    assert_eq!(push(key(0x95)), (None, 1), "known");
    assert_eq!(push(config.clone()), (Some(Some((160, 90))), 0), "said again");
    assert_eq!(push(key(0x85)), (Some(Some((160, 89))), 1), "another one");
}

#[test]
fn flac_is_as_the_standard_has_it_whoever_sends_it() {
    let info = hex("120012000008430018ca0bb802f00005dc00250e2aec5bb476de471ef35f87d0d66b");
    let whole = [&b"fLaC\x80\0\0\x22"[..], &info].concat();
    for config in [&info[..], &whole] {
        let body = [&b"\x90fLaC"[..], config].concat();
        let found = Demuxer::default().push(TrackKind::Audio, 0, body.into()).unwrap();
        let [Demuxed::Track(track)] = &found[..] else {
            panic!("{found:?}")
        };
        assert_eq!(track.config, whole);
        assert_eq!(track.audio.map(|a| (a.sample_rate, a.channels)), Some((48_000, 2)));
    }
}

#[test]
fn what_is_not_carried_says_what_it_was() {
    let ignored = |what| Ok(Body::Ignored(what).into());
    assert_eq!(parse_audio(Bytes::from_static(&[0x50, 0])), ignored("Nellymoser"));
    assert_eq!(
        parse_video(Bytes::from_static(b"\x91vvc1")),
        ignored("enhanced video of a codec that is not carried")
    );
    assert_eq!(
        parse_video(Bytes::from_static(b"\x96\x01av01\x09x")).map(|p| p.bodies[0].body.clone()),
        Ok(Body::Ignored("a video track of a number that is not carried"))
    );
    assert_eq!(
        parse_video(Bytes::from_static(&[0x57, 0])),
        ignored("video command frame")
    );
    assert_eq!(
        parse_video(Bytes::from_static(&[0x12, 0])),
        ignored("video codec older than H.264")
    );
    assert_eq!(parse_video(Bytes::new()), Err(Error::Truncated { what: "video tag" }));
}

#[test]
fn a_frame_before_its_sequence_header_is_nothing() {
    let mut demuxer = Demuxer::default();
    let pushed = demuxer.push(TrackKind::Video, 0, Bytes::from_static(&[0x17, 1, 0, 0, 0, 1]));
    assert_eq!(
        pushed.unwrap()[..],
        [Demuxed::Nothing("frame before its sequence header")]
    );
}

#[test]
fn time_runs_on_when_its_32_bits_wrap() {
    let mut demuxer = Demuxer::default();
    let mut dts = |millis: u32| {
        let pushed = demuxer.push(TrackKind::Audio, millis, Bytes::from_static(&[0x2f, 1]));
        match pushed.unwrap().last() {
            Some(Demuxed::Frame(frame)) => frame.dts.as_millis(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(dts(u32::MAX - 10), 4_294_967_285);
    assert_eq!(dts(29), 4_294_967_325);
    assert_eq!(dts(u32::MAX), 4_294_967_295);
    let mut demuxer = Demuxer::default();
    let mut dts = |millis: u32| {
        let pushed = demuxer.push(TrackKind::Audio, millis, Bytes::from_static(&[0x2f, 1]));
        match pushed.unwrap().last() {
            Some(Demuxed::Frame(frame)) => frame.dts.as_millis(),
            other => panic!("{other:?}"),
        }
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
        .flat_map(|t| demuxer.push_tag(t.kind, t.timestamp_millis, t.body.clone()).unwrap())
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
        // As it is, and as what enhanced RTMP makes of it: modifiers, then tracks.
        for first in [body.first().copied().unwrap_or(0), 0x90, 0x95, 0x96, 0x97, 0xa1] {
            let mut body = body.clone();
            if let Some(byte) = body.first_mut() {
                *byte = first;
            }
            let _ = demuxer.push(TrackKind::Video, time, body.clone().into());
            let _ = demuxer.push(TrackKind::Audio, time, body.into());
        }
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
