//! Playlists by snapshot, and the standard's rules on them by a small validator over streams of every kind.

#![allow(clippy::arithmetic_side_effects, reason = "overflow fails a test, as it should")]

use super::*;
use bytes::Bytes;
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind};
use proptest::prelude::*;
use std::collections::HashMap;
use std::time::Duration;

const AVC: &str = "0142c01effe1001a6742c01ed900a42fe224c044000003000400000300c83c58b92001000568cb83cb20";

fn hex(text: &str) -> Bytes {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    let digits: Vec<u8> = text.bytes().map(digit).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}

fn video() -> Track {
    Track::h264(TrackId::VIDEO, hex(AVC)).unwrap()
}

fn audio() -> Track {
    Track::aac(TrackId::AUDIO, Bytes::from_static(&[0x12, 0x10])).unwrap()
}

fn picture(millis: i64, key: bool) -> Frame {
    let dts = Timestamp::from_millis(millis);
    Frame {
        track: TrackId::VIDEO,
        kind: TrackKind::Video,
        dts,
        pts: dts,
        key,
        payload: Bytes::from_static(&[0, 0, 0, 2, 0x65, 0x80]),
    }
}

fn sound(millis: i64) -> Frame {
    let dts = Timestamp::from_millis(millis);
    Frame {
        track: TrackId::AUDIO,
        kind: TrackKind::Audio,
        dts,
        pts: dts,
        key: true,
        payload: Bytes::from_static(&[7; 20]),
    }
}

/// The wall clock at a time of the stream.
fn wall(millis: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_millisecond(1_800_000_000_000 + millis).unwrap()
}

/// Pictures at 25 fps with sound between them, a key frame every `gop` of them.
fn feed(segmenter: &mut Segmenter, from: i64, pictures: i64, gop: i64) {
    for n in 0..pictures {
        let millis = from + n * 40;
        segmenter.push(&picture(millis, n % gop == 0), wall(millis));
        segmenter.push(&sound(millis + 5), wall(millis));
    }
}

fn text(segmenter: &mut Segmenter, skip: bool) -> String {
    String::from_utf8(segmenter.playlist(skip).to_vec()).unwrap()
}

fn low_latency() -> Config {
    Config {
        part: Some(Duration::from_millis(500)),
        ..Config::new(Container::Fmp4, "alice/", "k")
    }
}

#[test]
fn a_live_window_of_transport_stream_segments() {
    let mut segmenter = Segmenter::new(Config {
        window: 3,
        ..Config::new(Container::Ts, "alice/", "k")
    });
    segmenter.set_tracks(&[video(), audio()]);
    feed(&mut segmenter, 1000, 260, 50);
    insta::assert_snapshot!(text(&mut segmenter, false));
    assert!(
        segmenter.file(File::Segment(0)).is_some(),
        "kept for who read an older playlist"
    );
}

#[test]
fn low_latency_with_a_change_of_source() {
    let mut segmenter = Segmenter::new(low_latency());
    segmenter.set_tracks(&[video(), audio()]);
    feed(&mut segmenter, 0, 110, 50);
    segmenter.break_off();
    segmenter.set_tracks(&[video()]);
    feed(&mut segmenter, 500_000, 35, 50);
    insta::assert_snapshot!(text(&mut segmenter, false));
}

#[test]
fn a_delta_update_leaves_out_what_is_old() {
    let mut segmenter = Segmenter::new(Config {
        window: 12,
        ..low_latency()
    });
    segmenter.set_tracks(&[video()]);
    feed(&mut segmenter, 0, 520, 50);
    insta::assert_snapshot!(text(&mut segmenter, true));
}

#[test]
fn a_stream_that_ended_says_so() {
    let mut segmenter = Segmenter::new(low_latency());
    segmenter.set_tracks(&[video()]);
    feed(&mut segmenter, 0, 60, 50);
    segmenter.end();
    let text = text(&mut segmenter, false);
    assert!(text.ends_with("-1.m4s\n#EXT-X-ENDLIST\n"), "{text}");
    assert_eq!(
        segmenter.reload(Directives {
            segment: Some(99),
            ..Directives::default()
        }),
        Reload::Now
    );
}

#[test]
fn segments_begin_with_key_frames_and_hold_every_frame() {
    let mut segmenter = Segmenter::new(Config::new(Container::Ts, "", "k"));
    segmenter.set_tracks(&[video(), audio()]);
    // What comes before the first key frame cannot be decoded.
    segmenter.push(&picture(0, false), wall(0));
    segmenter.push(&sound(1), wall(1));
    feed(&mut segmenter, 40, 250, 50);
    segmenter.end();
    let (mut demuxer, mut out) = (headgate_mpegts::Demuxer::default(), Vec::new());
    for number in 0..5 {
        let segment = segmenter.file(File::Segment(number)).unwrap().concat();
        let (mut alone, mut first) = (headgate_mpegts::Demuxer::default(), Vec::new());
        alone.push(&segment, &mut first).unwrap();
        let first = first.iter().find_map(|d| match d {
            headgate_mpegts::Demuxed::Frame(frame) => Some(frame.clone()),
            headgate_mpegts::Demuxed::Track(_) => None,
        });
        assert!(first.is_some_and(|frame| frame.key && frame.kind == TrackKind::Video));
        demuxer.push(&segment, &mut out).unwrap();
    }
    demuxer.finish(&mut out).unwrap();
    let frames = out
        .iter()
        .filter(|d| matches!(d, headgate_mpegts::Demuxed::Frame(_)))
        .count();
    assert_eq!(frames, 500);
}

#[test]
fn sound_alone_is_cut_by_time() {
    let mut segmenter = Segmenter::new(Config::new(Container::Ts, "", "k"));
    let info = AudioInfo {
        sample_rate: 44_100,
        channels: 2,
    };
    segmenter.set_tracks(&[Track::sound(TrackId::AUDIO, Codec::Mp3, info)]);
    (0..500).for_each(|n| segmenter.push(&sound(n * 26), wall(n * 26)));
    let text = text(&mut segmenter, false);
    assert_eq!(text.matches("#EXTINF:1.9").count(), 6, "{text}");
}

#[test]
fn bytes_are_bounded_whatever_the_stream() {
    let mut segmenter = Segmenter::new(Config {
        bytes_max: 200_000,
        window: 1000,
        ..Config::new(Container::Ts, "", "k")
    });
    segmenter.set_tracks(&[video()]);
    for n in 0..2000 {
        let mut payload = vec![0, 0, 0x3, 0xe8, 0x65];
        payload.extend([0x81; 999]);
        let frame = Frame {
            payload: payload.into(),
            ..picture(n * 40, n % 25 == 0)
        };
        segmenter.push(&frame, wall(n * 40));
        assert!(segmenter.bytes() <= 260_000, "{}", segmenter.bytes());
    }
    assert!(segmenter.is_ready());
}

#[test]
fn a_longer_cut_raises_the_target_duration_and_a_shorter_one_leaves_it() {
    let mut segmenter = Segmenter::new(low_latency());
    segmenter.set_tracks(&[video()]);
    feed(&mut segmenter, 0, 210, 25);
    let cut = segmenter.config().cut();
    segmenter.recut(Cut {
        segment: Duration::from_secs(4),
        part: Some(Duration::from_millis(800)),
        ..cut
    });
    feed(&mut segmenter, 8400, 350, 25);
    let longer = text(&mut segmenter, false);
    assert!(
        longer.contains("TARGETDURATION:4\n") && longer.contains("PART-TARGET=0.80000\n"),
        "{longer}"
    );
    assert!(
        longer.contains("#EXTINF:2.00000,") && longer.contains("#EXTINF:4.00000,"),
        "{longer}"
    );
    assert!(
        !longer.contains("DURATION=0.48000"),
        "parts of the length before are not named: {longer}"
    );
    segmenter.recut(cut);
    feed(&mut segmenter, 22_400, 300, 25);
    let shorter = text(&mut segmenter, false);
    assert!(
        shorter.contains("TARGETDURATION:4\n") && shorter.contains("PART-TARGET=0.50000\n"),
        "{shorter}"
    );
    assert!(!shorter.contains("DISCONTINUITY"), "nobody is cut: {shorter}");
}

#[test]
fn a_smaller_window_is_in_force_at_once() {
    let mut segmenter = Segmenter::new(Config::new(Container::Ts, "", "k"));
    segmenter.set_tracks(&[video()]);
    feed(&mut segmenter, 0, 420, 50);
    let cut = segmenter.config().cut();
    segmenter.recut(Cut { window: 3, ..cut });
    assert_eq!(text(&mut segmenter, false).matches("#EXTINF:").count(), 3);
}

fn event() -> Config {
    Config {
        event: true,
        window: 3,
        ..Config::new(Container::Ts, "alice/", "k")
    }
}

#[test]
fn an_event_names_every_segment_from_the_first_on() {
    let mut segmenter = Segmenter::new(event());
    segmenter.set_tracks(&[video(), audio()]);
    feed(&mut segmenter, 0, 1_060, 50);
    let whole = text(&mut segmenter, false);
    assert!(
        whole.contains("#EXT-X-PLAYLIST-TYPE:EVENT\n") && whole.contains("MEDIA-SEQUENCE:0\n"),
        "{whole}"
    );
    assert_eq!(whole.matches("#EXTINF:").count(), 21);
    let delta = text(&mut segmenter, true);
    assert!(delta.contains("#EXT-X-SKIP:SKIPPED-SEGMENTS=15\n"), "{delta}");
    segmenter.end();
    assert!(text(&mut segmenter, false).ends_with("#EXT-X-ENDLIST\n"));
}

#[test]
fn an_event_that_has_no_room_any_more_goes_on_as_a_live_window() {
    let mut segmenter = Segmenter::new(Config {
        bytes_max: 100_000,
        ..event()
    });
    segmenter.set_tracks(&[video(), audio()]);
    let mut was_event = false;
    for second in 0..500 {
        feed(&mut segmenter, second * 1_000, 25, 25);
        if !segmenter.is_ready() {
            continue;
        }
        let text = text(&mut segmenter, false);
        let names_all = text.contains("MEDIA-SEQUENCE:0\n");
        assert_eq!(text.contains("PLAYLIST-TYPE"), names_all, "{text}");
        was_event |= names_all;
        assert!(segmenter.bytes() <= 130_000, "{}", segmenter.bytes());
    }
    assert!(was_event && !text(&mut segmenter, false).contains("PLAYLIST-TYPE"));
}

#[test]
fn an_event_of_very_many_segments_is_bounded_and_quick() {
    let mut segmenter = Segmenter::new(Config {
        segment: Duration::from_secs(1),
        part: Some(Duration::from_millis(500)),
        container: Container::Fmp4,
        ..event()
    });
    segmenter.set_tracks(&[video()]);
    let count = i64::try_from(EVENT_MAX).unwrap() + 100;
    (0..count * 2).for_each(|n| segmenter.push(&picture(n * 500, n % 2 == 0), wall(n * 500)));
    let start = std::time::Instant::now();
    let text = text(&mut segmenter, false);
    assert_eq!(text.matches("#EXTINF:").count(), EVENT_MAX);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn a_live_window_that_becomes_an_event_is_one_while_it_has_its_beginning() {
    for (pictures, is_event) in [(110, true), (420, false)] {
        let mut segmenter = Segmenter::new(Config {
            event: false,
            ..event()
        });
        segmenter.set_tracks(&[video()]);
        feed(&mut segmenter, 0, pictures, 50);
        let cut = segmenter.config().cut();
        segmenter.recut(Cut { event: true, ..cut });
        feed(&mut segmenter, pictures * 40, 420, 50);
        let as_event = text(&mut segmenter, false);
        assert_eq!(as_event.contains("PLAYLIST-TYPE"), is_event, "{as_event}");
        segmenter.recut(cut);
        let live = text(&mut segmenter, false);
        assert!(!live.contains("PLAYLIST-TYPE"), "{live}");
        assert_eq!(live.matches("#EXTINF:").count(), 3);
    }
}

#[test]
fn a_source_that_begins_again_comes_behind_a_discontinuity() {
    let mut segmenter = Segmenter::new(Config::new(Container::Ts, "", "k"));
    segmenter.set_tracks(&[video(), audio()]);
    feed(&mut segmenter, 0, 110, 50);
    // The same tracks, and times that go back by less than a jump ahead would have to be.
    feed(&mut segmenter, 0, 110, 50);
    let text = text(&mut segmenter, false);
    assert_eq!(text.matches("#EXT-X-DISCONTINUITY\n").count(), 1, "{text}");
}

#[test]
fn numbers_begin_where_they_are_told_to() {
    let mut segmenter = Segmenter::new(Config {
        first: 900,
        ..Config::new(Container::Ts, "", "k")
    });
    segmenter.set_tracks(&[video()]);
    feed(&mut segmenter, 0, 110, 50);
    let text = text(&mut segmenter, false);
    assert!(
        text.contains("MEDIA-SEQUENCE:900\n") && !text.contains("DISCONTINUITY"),
        "{text}"
    );
}

#[test]
fn a_master_playlist_is_told_what_the_stream_is() {
    let mut segmenter = Segmenter::new(Config::new(Container::Ts, "", "k"));
    segmenter.set_tracks(&[video(), audio()]);
    assert_eq!(segmenter.variant(), None);
    feed(&mut segmenter, 0, 110, 50);
    let variant = segmenter.variant().unwrap();
    assert!(variant.peak >= variant.average && variant.average > 1000, "{variant:?}");
    let line = variant.line();
    assert!(
        line.contains("CODECS=\"avc1.42c01e,mp4a.40.2\"") && line.contains("RESOLUTION="),
        "{line}"
    );
}

#[test]
fn a_playlist_is_made_once_until_it_changes() {
    let mut segmenter = Segmenter::new(Config::new(Container::Ts, "", "k"));
    segmenter.set_tracks(&[video()]);
    feed(&mut segmenter, 0, 110, 50);
    let (first, version) = (segmenter.playlist(false), segmenter.version());
    assert_eq!(first.as_ptr(), segmenter.playlist(false).as_ptr());
    feed(&mut segmenter, 4400, 60, 50);
    assert_ne!(version, segmenter.version());
    assert_ne!(first, segmenter.playlist(false));
}

/// What a validator remembers from one playlist to the next.
#[derive(Default)]
struct Validator {
    target: Option<u64>,
    sequence: u64,
    discontinuity_sequence: u64,
    /// Durations of segments by their names.
    known: HashMap<String, String>,
}

impl Validator {
    /// The rules of RFC 8216bis §4.4 and §6.2.2 that can be seen in playlists and files.
    fn check(&mut self, segmenter: &mut Segmenter) {
        let text = text(segmenter, false);
        let value = |tag: &str| text.lines().find_map(|l| l.strip_prefix(tag)).map(str::to_owned);
        let number = |tag: &str| value(tag).map_or(0, |v| v.parse::<u64>().unwrap());
        assert!(text.starts_with("#EXTM3U\n#EXT-X-VERSION:"));
        let target = number("#EXT-X-TARGETDURATION:");
        assert_eq!(
            *self.target.get_or_insert(target),
            target,
            "the target duration must not change"
        );
        let sequence = number("#EXT-X-MEDIA-SEQUENCE:");
        assert!(sequence >= self.sequence, "the media sequence must not go back");
        let discontinuities = number("#EXT-X-DISCONTINUITY-SEQUENCE:");
        assert!(discontinuities >= self.discontinuity_sequence);
        let is_event = value("#EXT-X-PLAYLIST-TYPE:").is_some();
        assert!(
            !is_event || sequence == segmenter.config().first,
            "an event has its beginning"
        );
        (self.sequence, self.discontinuity_sequence) = (sequence, discontinuities);
        let part_target = value("#EXT-X-PART-INF:PART-TARGET=").map(|v| v.parse::<f64>().unwrap());
        let (mut expected, mut duration, mut parts) = (sequence, None, 0.0);
        for line in text.lines() {
            if let Some(part) = line.strip_prefix("#EXT-X-PART:DURATION=") {
                let (seconds, rest) = part.split_once(",URI=\"").unwrap();
                let seconds: f64 = seconds.parse().unwrap();
                assert!(seconds <= part_target.unwrap() + 1e-9, "a part is too long: {line}");
                parts += seconds;
                Self::is_there(segmenter, rest.split_once('"').unwrap().0);
            } else if let Some(map) = line.strip_prefix("#EXT-X-MAP:URI=\"") {
                Self::is_there(segmenter, map.trim_end_matches('"'));
            } else if let Some(seconds) = line.strip_prefix("#EXTINF:") {
                let seconds = seconds.trim_end_matches(',');
                let length: f64 = seconds.parse().unwrap();
                #[allow(clippy::cast_precision_loss, reason = "a test's target is small")]
                let most = target as f64;
                assert!(length.round() <= most, "{line} is longer than {target}");
                assert!(
                    parts == 0.0 || (parts - length).abs() < 0.001,
                    "parts of {parts} make {length}"
                );
                (duration, parts) = (Some(seconds.to_owned()), 0.0);
            } else if !line.starts_with('#') {
                Self::is_there(segmenter, line);
                let file = File::parse(line.rsplit('/').next().unwrap(), segmenter.config());
                assert_eq!(
                    file,
                    Some(File::Segment(expected)),
                    "sequence numbers follow each other"
                );
                expected += 1;
                let duration = duration.take().unwrap();
                let before = self.known.insert(line.to_owned(), duration.clone());
                assert!(
                    before.is_none_or(|before| before == duration),
                    "a segment must not change"
                );
            }
        }
    }

    fn is_there(segmenter: &Segmenter, uri: &str) {
        let name = uri.strip_prefix(segmenter.config().prefix.as_str()).unwrap();
        let file = File::parse(name, segmenter.config()).unwrap();
        let pieces = segmenter.file(file);
        assert!(
            pieces.is_some_and(|p| p.iter().any(|p| !p.is_empty())),
            "{uri} is named and not there"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_rules_hold_for_every_stream(
        container in prop::sample::select(vec![Container::Ts, Container::Fmp4]),
        segment in 1..5_u64,
        window in 3..8_usize,
        event in any::<bool>(),
        part in prop::option::of(200..1000_u64),
        sources in prop::collection::vec((0..1_000_000_i64, 1..300_i64, 1..120_i64, any::<bool>(), 1..6_i64), 1..5),
    ) {
        let mut segmenter = Segmenter::new(Config {
            segment: Duration::from_secs(segment),
            window,
            event,
            part: part.map(Duration::from_millis),
            ..Config::new(container, "alice/", "k")
        });
        let mut validator = Validator::default();
        for (start, pictures, gop, with_sound, stretch) in sources {
            segmenter.break_off();
            segmenter.set_tracks(if with_sound { &TRACKS[..] } else { &TRACKS[..1] }.iter().map(|t| t()).collect::<Vec<_>>().as_slice());
            for n in 0..pictures {
                let millis = start + n * 33 * stretch;
                segmenter.push(&picture(millis, n % gop == 0), wall(millis));
                segmenter.push(&sound(millis + 3), wall(millis));
                if segmenter.is_ready() && n % 7 == 0 {
                    validator.check(&mut segmenter);
                }
            }
        }
        segmenter.end();
        if segmenter.is_ready() {
            validator.check(&mut segmenter);
        }
    }
}

const TRACKS: [fn() -> Track; 2] = [video, audio];
