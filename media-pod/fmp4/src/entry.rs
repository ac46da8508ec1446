//! Sample entries (§12): how a track is coded, with its decoder configuration.

use crate::boxes::{put_box, put_full};
use bytes::{BufMut, Bytes, BytesMut};
use headgate_codec::{Codec, Track, TrackKind};

/// Whether a track can be written: its codec has a sample entry, and the configuration that this needs is there.
pub fn carries(track: &Track) -> bool {
    name(track.codec).is_some() && (track.codec.needs_no_config() || !track.config.is_empty())
}

/// The name of a track's sample entry; `None` for codecs that we write none for.
fn name(codec: Codec) -> Option<[u8; 4]> {
    Some(*match codec {
        Codec::H264 => b"avc1",
        Codec::H265 => b"hvc1",
        Codec::Av1 => b"av01",
        Codec::Vp9 => b"vp09",
        Codec::Aac | Codec::Mp3 => b"mp4a",
        Codec::Opus => b"Opus",
        Codec::Flac => b"fLaC",
        Codec::G711a => b"alaw",
        Codec::G711u => b"ulaw",
        Codec::Ac3 | Codec::Eac3 | Codec::Speex => return None,
    })
}

/// A track's sample entry; nothing for a track that is not carried.
pub(crate) fn put(out: &mut BytesMut, track: &Track) {
    let Some(name) = name(track.codec) else { return };
    put_box(out, name, |out| {
        // Reserved, then the first and only data reference.
        out.put_slice(&[0, 0, 0, 0, 0, 0, 0, 1]);
        match track.codec.kind() {
            TrackKind::Video => put_visual(out, track),
            TrackKind::Audio => put_audio(out, track),
        }
        put_config(out, track);
    });
}

fn put_visual(out: &mut BytesMut, track: &Track) {
    let side = |pixels: u32| u16::try_from(pixels).unwrap_or(u16::MAX);
    let (width, height) = track.video.map_or((0, 0), |v| (side(v.width), side(v.height)));
    out.put_bytes(0, 16);
    out.put_u16(width);
    out.put_u16(height);
    // 72 dpi, one frame a sample, no name, 24 bits.
    out.put_slice(&[0, 0x48, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 1]);
    out.put_bytes(0, 32);
    out.put_slice(&[0, 0x18, 0xff, 0xff]);
}

fn put_audio(out: &mut BytesMut, track: &Track) {
    let (rate, channels) = heard(track);
    out.put_bytes(0, 8);
    out.put_u16(channels);
    out.put_u16(16);
    out.put_u32(0);
    // 16.16; rates that do not fit are only in the codec's own configuration.
    out.put_u32(u16::try_from(rate).map_or(0, |rate| u32::from(rate) << 16));
}

fn heard(track: &Track) -> (u32, u16) {
    let opus = track.config.get(9).map(|channels| (48_000, u16::from(*channels)));
    let said = track
        .audio
        .map(|a| (a.sample_rate, u16::try_from(a.channels).unwrap_or(2)));
    let assumed = match track.codec {
        Codec::Opus => opus.unwrap_or((48_000, 2)),
        Codec::G711a | Codec::G711u => (8_000, 1),
        _ => (44_100, 2),
    };
    said.unwrap_or(assumed)
}

fn put_config(out: &mut BytesMut, track: &Track) {
    let config = &track.config[..];
    match track.codec {
        Codec::H264 => put_box(out, *b"avcC", |out| out.put_slice(config)),
        Codec::H265 => put_box(out, *b"hvcC", |out| out.put_slice(config)),
        Codec::Av1 => put_box(out, *b"av1C", |out| out.put_slice(config)),
        // Its version and flags are part of what publishers send.
        Codec::Vp9 => put_box(out, *b"vpcC", |out| out.put_slice(config)),
        Codec::Aac => put_esds(out, 0x40, config),
        Codec::Mp3 => put_esds(out, 0x6b, &[]),
        Codec::Opus => put_box(out, *b"dOps", |out| out.put_slice(&opus_box(config))),
        Codec::Flac => put_full(out, *b"dfLa", 0, 0, |out| {
            out.put_slice(config.strip_prefix(b"fLaC").unwrap_or(config));
        }),
        Codec::G711a | Codec::G711u | Codec::Ac3 | Codec::Eac3 | Codec::Speex => {}
    }
}

/// An ES_Descriptor (ISO/IEC 14496-1 §7.2.6.5) for a kind of object, with its DecoderSpecificInfo if it has one.
fn put_esds(out: &mut BytesMut, object: u8, config: &[u8]) {
    let mut decoder = BytesMut::new();
    // Audio; buffer and rates unknown.
    decoder.put_slice(&[object, 0x15]);
    decoder.put_bytes(0, 11);
    if !config.is_empty() {
        put_descriptor(&mut decoder, 5, config);
    }
    let mut stream = BytesMut::from(&[0, 0, 0][..]);
    put_descriptor(&mut stream, 4, &decoder);
    put_descriptor(&mut stream, 6, &[2]);
    put_full(out, *b"esds", 0, 0, |out| put_descriptor(out, 3, &stream));
}

fn put_descriptor(out: &mut BytesMut, tag: u8, content: &[u8]) {
    let length = u32::try_from(content.len()).unwrap_or(0);
    out.put_u8(tag);
    for shift in [21, 14, 7] {
        out.put_u8(0x80 | (length >> shift & 0x7f).to_be_bytes()[3]);
    }
    out.put_u8((length & 0x7f).to_be_bytes()[3]);
    out.put_slice(content);
}

/// A `dOps` from an OpusHead (RFC 7845 §5.1), which says the same in the other byte order.
fn opus_box(config: &[u8]) -> Bytes {
    let head = config.strip_prefix(b"OpusHead").unwrap_or_default();
    let mut out = BytesMut::new();
    let Some((&[_, channels, skip0, skip1, r0, r1, r2, r3, gain0, gain1, family], table)) =
        head.split_first_chunk::<11>()
    else {
        out.put_slice(&[0, 2, 0, 0, 0, 0, 0xbb, 0x80, 0, 0, 0]);
        return out.freeze();
    };
    out.put_slice(&[0, channels, skip1, skip0, r3, r2, r1, r0, gain1, gain0, family]);
    if family != 0 {
        out.put_slice(table);
    }
    out.freeze()
}

/// The OpusHead that a `dOps` says.
pub(crate) fn opus_head(content: &[u8]) -> Option<Bytes> {
    let (&[_, channels, skip0, skip1, r0, r1, r2, r3, gain0, gain1, family], table) =
        content.split_first_chunk::<11>()?;
    let mut out = BytesMut::from(&b"OpusHead\x01"[..]);
    out.put_slice(&[channels, skip1, skip0, r3, r2, r1, r0, gain1, gain0, family]);
    out.put_slice(table);
    Some(out.freeze())
}
