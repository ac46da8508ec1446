//! Round trips, the standard's rules on packets, and hostile bytes.

#![allow(clippy::arithmetic_side_effects, reason = "overflow fails a test, as it should")]

use super::*;
use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind, h264, h265};
use packet::Packet;
use proptest::prelude::*;
use std::collections::HashMap;

const AVC: &str = "0142c01effe1001a6742c01ed900a42fe224c044000003000400000300c83c58b92001000568cb83cb20";
const HEVC: &str = "0101600000009000000000003ff000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003003f95980921\
     0001002b42010101600000030090000003000003003fa005020169d565959a4932bc05a020000003002000000303c122000100074401c172b46240";

fn hex(text: &str) -> Bytes {
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16).unwrap()).unwrap();
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).map(digit).collect();
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}

fn video(codec: Codec) -> Track {
    match codec {
        Codec::H264 => Track::h264(TrackId::VIDEO, hex(AVC)).unwrap(),
        _ => Track::h265(TrackId::VIDEO, hex(HEVC)).unwrap(),
    }
}

fn audio(codec: Codec) -> Track {
    let info = AudioInfo {
        sample_rate: 44_100,
        channels: 2,
    };
    match codec {
        Codec::Aac => Track::aac(TrackId::AUDIO, Bytes::from_static(&[0x12, 0x10])).unwrap(),
        Codec::Mp3 => Track::sound(TrackId::AUDIO, Codec::Mp3, info),
        _ => Track {
            audio: Some(AudioInfo {
                sample_rate: 48_000,
                ..info
            }),
            ..Track::plain(
                TrackId::AUDIO,
                Codec::Opus,
                Bytes::from_static(b"OpusHead\x01\x02\0\0\x80\xbb\0\0\0\0\0"),
            )
        },
    }
}

/// A picture of some slices; none of the bytes can look like a start code or a trailing zero.
fn picture(codec: Codec, key: bool, slices: &[Vec<u8>]) -> Bytes {
    let mut out = BytesMut::new();
    for slice in slices {
        let head: &[u8] = match (codec, key) {
            (Codec::H264, true) => &[0x65],
            (Codec::H264, false) => &[0x41],
            (_, true) => &[0x26, 1],
            (_, false) => &[0x02, 1],
        };
        out.put_u32((slice.len() + head.len() + 1).try_into().unwrap());
        out.put_slice(head);
        out.extend(slice.iter().map(|b| b | 2));
        out.put_u8(0x80);
    }
    out.freeze()
}

fn frame(track: &Track, dts: i64, composition: i64, key: bool, payload: Bytes) -> Frame {
    Frame {
        track: track.id,
        kind: track.kind(),
        dts: Timestamp::from_ticks(dts),
        pts: Timestamp::from_ticks(dts + composition),
        key,
        payload,
    }
}

fn mux(tracks: &[Track], frames: &[Frame]) -> BytesMut {
    let (mut muxer, mut out) = (Muxer::default(), BytesMut::new());
    muxer.set_tracks(tracks);
    for frame in frames {
        muxer.put(frame, &mut out).unwrap();
    }
    out
}

/// Tracks and frames, fed in pieces.
fn demux(stream: &[u8], piece: usize) -> (Vec<Track>, Vec<Frame>) {
    let (mut demuxer, mut out) = (Demuxer::default(), Vec::new());
    for piece in stream.chunks(piece) {
        demuxer.push(piece, &mut out).unwrap();
    }
    demuxer.finish(&mut out).unwrap();
    let (mut tracks, mut frames) = (Vec::new(), Vec::new());
    for demuxed in out {
        match demuxed {
            Demuxed::Track(track) => tracks.push(track),
            Demuxed::Frame(frame) => frames.push(frame),
        }
    }
    (tracks, frames)
}

fn of_kind(frames: &[Frame], kind: TrackKind) -> Vec<Frame> {
    frames.iter().filter(|f| f.kind == kind).cloned().collect()
}

/// An MP3 frame of 417 bytes, an Opus packet of 20 ms, or any AAC frame.
fn sound(codec: Codec, bytes: usize) -> Bytes {
    match codec {
        Codec::Mp3 => [&[0xff, 0xfb, 0x90, 0x64][..], &[7; 413]].concat().into(),
        Codec::Opus => [&[0xf8][..], &vec![7; bytes]].concat().into(),
        _ => vec![7; bytes.max(1)].into(),
    }
}

fn check_packets(stream: &[u8]) {
    assert_eq!(stream.len() % PACKET_BYTES, 0);
    let mut counters: HashMap<u16, u8> = HashMap::new();
    for packet in stream.chunks(PACKET_BYTES) {
        let packet = Packet::parse(packet).unwrap();
        if let Some(last) = counters.insert(packet.pid, packet.counter) {
            assert_eq!(
                packet.counter,
                (last + 1) & 15,
                "packets of {:#x} follow each other",
                packet.pid
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_is_muxed_is_demuxed_again(
        codec in prop::sample::select(vec![Codec::H264, Codec::H265]),
        sound_codec in prop::sample::select(vec![Codec::Aac, Codec::Mp3, Codec::Opus]),
        start in prop::sample::select(vec![0_i64, 1, 900_000, (1 << 33) - 9000, 1 << 40]),
        pictures in prop::collection::vec(
            (prop::collection::vec(prop::collection::vec(any::<u8>(), 0..700), 1..4), 0..3_i64, 0..600_usize), 1..20),
        piece in 1..1000_usize,
    ) {
        let tracks = [video(codec), audio(sound_codec)];
        let mut frames = Vec::new();
        for (n, (slices, composition, bytes)) in (0..).zip(pictures) {
            let key = n % 5 == 0;
            let dts = start + n * 3600;
            frames.push(frame(&tracks[0], dts, composition * 3600, key, picture(codec, key, &slices)));
            frames.push(frame(&tracks[1], dts, 0, true, sound(sound_codec, bytes)));
        }
        let stream = mux(&tracks, &frames);
        check_packets(&stream);
        let (seen, read) = demux(&stream, piece);
        prop_assert_eq!(seen, tracks);
        // The wire has 33 bits: which of their rounds it is cannot be told.
        let round = start >> 33 << 33;
        let shifted = |f: &Frame| Frame {
            dts: Timestamp::from_ticks(f.dts.ticks() - round),
            pts: Timestamp::from_ticks(f.pts.ticks() - round),
            ..f.clone()
        };
        let frames: Vec<Frame> = frames.iter().map(shifted).collect();
        for kind in [TrackKind::Video, TrackKind::Audio] {
            prop_assert_eq!(of_kind(&read, kind), of_kind(&frames, kind));
        }
    }

    #[test]
    fn any_length_of_a_frame_fills_its_packets(bytes in 0..2000_usize) {
        let track = audio(Codec::Opus);
        let given = frame(&track, 0, 0, true, sound(Codec::Opus, bytes));
        let stream = mux(std::slice::from_ref(&track), std::slice::from_ref(&given));
        check_packets(&stream);
        prop_assert_eq!(demux(&stream, 188).1, vec![given]);
    }

    #[test]
    fn no_change_to_a_stream_makes_the_demuxer_panic_or_grow(
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 1..30),
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
        let (mut demuxer, mut out) = (Demuxer::default(), Vec::new());
        for piece in stream.chunks(piece) {
            let _ = demuxer.push(piece, &mut out);
        }
        let _ = demuxer.finish(&mut out);
        let bytes: usize = out.iter().map(|d| if let Demuxed::Frame(f) = d { f.payload.len() } else { 0 }).sum();
        prop_assert!(bytes <= stream.len() * 2);
    }

    #[test]
    fn no_bytes_make_the_demuxer_panic(data in prop::collection::vec(any::<[u8; 184]>(), 0..20), pids in prop::collection::vec(0..4_u8, 20)) {
        let (mut demuxer, mut out) = (Demuxer::default(), Vec::new());
        let _ = demuxer.push(&sample(), &mut out);
        for (n, (payload, pid)) in (0_u8..).zip(data.iter().zip(pids)) {
            let pid = [0, PMT_PID, FIRST_PID, FIRST_PID + 1][usize::from(pid)] | (u16::from(payload[0] & 1) << 14);
            let [high, low] = pid.to_be_bytes();
            let packet = [&[0x47, high, low, 0x10 | (payload[1] & 0x20) | n & 15][..], payload].concat();
            let _ = demuxer.push(&packet, &mut out);
        }
    }
}

fn sample() -> BytesMut {
    let tracks = [video(Codec::H265), audio(Codec::Aac)];
    let mut frames = Vec::new();
    for n in 0..8 {
        let payload = picture(Codec::H265, n % 4 == 0, &[vec![9; 300]]);
        frames.push(frame(&tracks[0], n * 3600, 3600, n % 4 == 0, payload));
        frames.push(frame(&tracks[1], n * 3600, 0, true, sound(Codec::Aac, 200)));
    }
    mux(&tracks, &frames)
}

/// The ids of the packets, runs of one id as one.
fn pids(stream: &[u8]) -> Vec<u16> {
    let mut pids: Vec<u16> = stream
        .chunks(PACKET_BYTES)
        .map(|p| Packet::parse(p).unwrap().pid)
        .collect();
    pids.dedup();
    pids
}

#[test]
fn tables_stand_before_key_frames_and_come_again_in_time() {
    let track = video(Codec::H264);
    let frames: Vec<Frame> = [
        (0, true),
        (3600, false),
        (45_000, false),
        (48_600, false),
        (52_200, true),
    ]
    .map(|(dts, key)| frame(&track, dts, 0, key, picture(Codec::H264, key, &[vec![1]])))
    .to_vec();
    assert_eq!(
        pids(&mux(&[track], &frames)),
        [0, PMT_PID, FIRST_PID, 0, PMT_PID, FIRST_PID, 0, PMT_PID, FIRST_PID]
    );
}

#[test]
fn sound_between_pictures_does_not_repeat_the_tables_and_alone_it_starts_with_them() {
    let tracks = [video(Codec::H264), audio(Codec::Aac)];
    let (mut muxer, mut out) = (Muxer::default(), BytesMut::new());
    muxer.set_tracks(&tracks);
    let beep = |dts| frame(&tracks[1], dts, 0, true, sound(Codec::Aac, 9));
    muxer.put(&beep(0), &mut out).unwrap();
    muxer.put(&beep(100), &mut out).unwrap();
    assert_eq!(pids(&out), [0, PMT_PID, FIRST_PID + 1]);
}

#[test]
fn a_track_that_comes_late_changes_the_version_of_the_map() {
    let tracks = [video(Codec::H264), audio(Codec::Aac)];
    let (mut muxer, mut out) = (Muxer::default(), BytesMut::new());
    muxer.set_tracks(&tracks[..1]);
    let shot = frame(&tracks[0], 0, 0, true, picture(Codec::H264, true, &[vec![1]]));
    muxer.put(&shot, &mut out).unwrap();
    muxer.set_track(&tracks[1]);
    muxer
        .put(&frame(&tracks[1], 9, 0, true, sound(Codec::Aac, 9)), &mut out)
        .unwrap();
    muxer.set_tracks(&tracks);
    check_packets(&out);
    let versions: Vec<u8> = out
        .chunks(PACKET_BYTES)
        .filter_map(|p| Packet::parse(p).ok().filter(|p| p.pid == PMT_PID))
        .map(|p| {
            sections::read_pmt(&p.payload[1..=sections::section_bytes(&p.payload[1..]).unwrap()])
                .unwrap()
                .unwrap()
                .0
        })
        .collect();
    assert_eq!(versions, [0, 1]);
    assert_eq!(demux(&out, 188).1.len(), 2);
}

#[test]
fn a_clock_that_jumps_is_announced_once() {
    let track = video(Codec::H264);
    let shot = |dts| frame(&track, dts, 0, true, picture(Codec::H264, true, &[vec![1]]));
    let stream = mux(
        std::slice::from_ref(&track),
        &[shot(9_000_000), shot(9_003_600), shot(0), shot(3600)],
    );
    let breaks: Vec<bool> = stream
        .chunks(PACKET_BYTES)
        .filter_map(|p| Packet::parse(p).ok().filter(|p| p.pid == FIRST_PID))
        .map(|p| p.discontinuity)
        .collect();
    assert_eq!(breaks, [false, false, true, false]);
}

#[test]
fn a_bad_frame_leaves_no_trace() {
    let track = video(Codec::H264);
    let (mut muxer, mut out) = (Muxer::default(), BytesMut::new());
    muxer.set_tracks(std::slice::from_ref(&track));
    let bad = frame(&track, 0, 0, true, Bytes::from_static(&[0, 0, 0, 9, 1]));
    assert!(muxer.put(&bad, &mut out).is_err());
    assert!(out.is_empty());
    let good = frame(&track, 0, 0, true, picture(Codec::H264, true, &[vec![1]]));
    muxer.put(&good, &mut out).unwrap();
    assert_eq!(demux(&out, 188).1, [good]);
}

#[test]
fn what_a_transport_stream_cannot_carry_is_left_out() {
    let vp9 = Track::plain(TrackId::VIDEO, Codec::Vp9, Bytes::new());
    let mut muxer = Muxer::default();
    muxer.set_tracks(&[vp9.clone(), audio(Codec::Aac)]);
    assert!(!muxer.carries(vp9.id) && muxer.carries(TrackId::AUDIO));
    let mut out = BytesMut::new();
    let shot = frame(&vp9, 0, 0, true, Bytes::from_static(&[1]));
    muxer.put(&shot, &mut out).unwrap();
    assert!(out.is_empty());
}

#[test]
fn a_lost_packet_loses_its_frame_and_no_more() {
    let track = video(Codec::H264);
    let shots: Vec<Frame> = (0..4)
        .map(|n| frame(&track, n * 3600, 0, true, picture(Codec::H264, true, &[vec![3; 600]])))
        .collect();
    let stream = mux(std::slice::from_ref(&track), &shots);
    let packets: Vec<&[u8]> = stream.chunks(PACKET_BYTES).collect();
    let of_second = packets
        .iter()
        .enumerate()
        .filter(|(_, p)| Packet::parse(p).unwrap().pid == FIRST_PID)
        .nth(5);
    let lost = of_second.unwrap().0;
    let rest = [&packets[..lost], &packets[lost + 1..]].concat().concat();
    let seen = demux(&rest, 188).1;
    assert_eq!(seen, [&shots[..1], &shots[2..]].concat());
}

#[test]
fn a_frame_without_an_end_is_given_up() {
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    let track = video(Codec::H264);
    let shot = frame(&track, 0, 0, true, picture(Codec::H264, true, &[vec![3; 70_000]]));
    let stream = mux(&[track], &[shot]);
    demuxer.push(&stream, &mut out).unwrap();
    let mut counter = Packet::parse(&stream[stream.len() - PACKET_BYTES..]).unwrap().counter;
    let failed = (0..100_000).find_map(|_| {
        counter = (counter + 1) & 15;
        let packet = [&[0x47, 0x01, 0x00, 0x10 | counter][..], &[7; 184]].concat();
        demuxer.push(&packet, &mut out).err()
    });
    assert!(matches!(failed, Some(Error::TooLarge(_))), "{failed:?}");
}

#[test]
fn configurations_come_from_what_stands_in_band() {
    let sets = |config: &Bytes| h264::AvcConfig::parse(config).unwrap().sps[0].to_vec();
    let (seen, _) = demux(&sample(), 188);
    assert_eq!(seen[0].config, hex(HEVC));
    assert_eq!(h265::HevcConfig::parse(&seen[0].config).unwrap().units.len(), 3);
    assert_eq!(seen[0].video.map(|v| (v.width, v.height)), Some((638, 358)));
    assert_eq!(sets(&hex(AVC))[0] & 31, 7);
}
