//! Containers, fed in pieces.

use crate::pieces;
use headgate_flv as flv;
use headgate_fmp4 as fmp4;
use headgate_mpegts as mpegts;

pub(crate) fn flv_tags(data: &[u8]) {
    let (mut tags, mut demuxer) = (flv::TagStream::default(), flv::Demuxer::default());
    for piece in pieces(data) {
        tags.push(piece);
        loop {
            match tags.next_tag() {
                Ok(Some(tag)) => drop(demuxer.push_tag(tag.kind, tag.timestamp_millis, tag.body)),
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
}

pub(crate) fn mpegts(data: &[u8]) {
    let (mut demuxer, mut out) = (mpegts::Demuxer::default(), Vec::new());
    for piece in pieces(data) {
        let _ = demuxer.push(piece, &mut out);
        out.clear();
    }
    let _ = demuxer.finish(&mut out);
}

pub(crate) fn fmp4(data: &[u8]) {
    let (mut reader, mut out) = (fmp4::Reader::default(), Vec::new());
    let mut lost = false;
    for piece in pieces(data) {
        let result = reader.push(piece, &mut out);
        assert!(!lost || result.is_err(), "a stream that was lost goes on");
        lost = result.is_err();
        out.clear();
    }
}
