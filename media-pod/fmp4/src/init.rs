//! The initialisation segment: `ftyp` and a `moov` without samples (§8.2).

use crate::boxes::{put_box, put_full};
use crate::{TIMESCALE, carries, entry};
use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{Track, TrackKind};

/// A rotation by nothing (§6.2.2).
const UNITY: [u32; 9] = [0x1_0000, 0, 0, 0, 0x1_0000, 0, 0, 0, 0x4000_0000];
/// `und`, packed.
const LANGUAGE: u16 = 0x55c4;

/// What a reader must have before the first fragment of these tracks; those that cannot be written are left out.
pub fn init_segment(tracks: &[Track]) -> Bytes {
    let tracks: Vec<&Track> = tracks.iter().filter(|track| carries(track)).collect();
    let mut out = BytesMut::new();
    put_box(&mut out, *b"ftyp", |out| out.put_slice(b"iso6\0\0\0\x01iso6cmfcmp41"));
    put_box(&mut out, *b"moov", |out| {
        put_full(out, *b"mvhd", 0, 0, put_movie_head);
        for track in &tracks {
            put_box(out, *b"trak", |out| put_track(out, track));
        }
        put_box(out, *b"mvex", |out| {
            for track in &tracks {
                // Description 1; the rest each fragment says itself.
                put_full(out, *b"trex", 0, 0, |out| put_words(out, &[wire_id(track), 1, 0, 0, 0]));
            }
        });
    });
    out.freeze()
}

/// Track ids start at one here.
pub(crate) fn wire_id(track: &Track) -> u32 {
    u32::from(track.id.0).saturating_add(1)
}

fn put_words(out: &mut BytesMut, words: &[u32]) {
    for word in words {
        out.put_u32(*word);
    }
}

fn put_movie_head(out: &mut BytesMut) {
    // Times and duration unknown; normal rate and volume.
    put_words(out, &[0, 0, TIMESCALE, 0, 0x1_0000, 0x0100_0000, 0, 0]);
    put_words(out, &UNITY);
    put_words(out, &[0, 0, 0, 0, 0, 0, u32::MAX]);
}

fn put_track(out: &mut BytesMut, track: &Track) {
    let is_video = track.kind() == TrackKind::Video;
    // Enabled, in the movie.
    put_full(out, *b"tkhd", 0, 3, |out| {
        put_words(out, &[0, 0, wire_id(track), 0, 0, 0, 0]);
        put_words(out, &[0, if is_video { 0 } else { 0x0100_0000 }]);
        put_words(out, &UNITY);
        let (width, height) = track.video.map_or((0, 0), |v| (v.width, v.height));
        put_words(out, &[width.wrapping_shl(16), height.wrapping_shl(16)]);
    });
    put_box(out, *b"mdia", |out| {
        put_full(out, *b"mdhd", 0, 0, |out| {
            put_words(out, &[0, 0, TIMESCALE, 0]);
            out.put_u16(LANGUAGE);
            out.put_u16(0);
        });
        put_full(out, *b"hdlr", 0, 0, |out| {
            out.put_u32(0);
            out.put_slice(if is_video { b"vide" } else { b"soun" });
            put_words(out, &[0, 0, 0]);
            out.put_u8(0);
        });
        put_box(out, *b"minf", |out| put_information(out, track, is_video));
    });
}

fn put_information(out: &mut BytesMut, track: &Track, is_video: bool) {
    if is_video {
        put_full(out, *b"vmhd", 0, 1, |out| put_words(out, &[0, 0]));
    } else {
        put_full(out, *b"smhd", 0, 0, |out| out.put_u32(0));
    }
    put_box(out, *b"dinf", |out| {
        put_full(out, *b"dref", 0, 0, |out| {
            out.put_u32(1);
            // In this very file.
            put_full(out, *b"url ", 0, 1, |_| {});
        });
    });
    put_box(out, *b"stbl", |out| {
        put_full(out, *b"stsd", 0, 0, |out| {
            out.put_u32(1);
            entry::put(out, track);
        });
        put_full(out, *b"stts", 0, 0, |out| out.put_u32(0));
        put_full(out, *b"stsc", 0, 0, |out| out.put_u32(0));
        put_full(out, *b"stsz", 0, 0, |out| put_words(out, &[0, 0]));
        put_full(out, *b"stco", 0, 0, |out| out.put_u32(0));
    });
}
