//! H.264 Constrained Baseline at level 3, with CAVLC: parameter sets, IDR pictures and P pictures.

use super::bits::BitWriter;
use super::picture;

/// Macroblocks in a row.
pub(super) const WIDTH_MBS: u32 = 20;
/// Rows of macroblocks.
pub(super) const HEIGHT_MBS: u32 = 11;
/// Pixels.
pub const WIDTH: u32 = WIDTH_MBS * 16;
/// Pixels.
pub const HEIGHT: u32 = HEIGHT_MBS * 16;
/// Pictures a second.
pub const FRAMES_PER_SECOND: u64 = 10;
/// Pictures from one key frame to the next: two seconds.
const GOP: u64 = 2 * FRAMES_PER_SECOND;

const NAL_SPS: u8 = 0x67;
const NAL_PPS: u8 = 0x68;
const NAL_IDR: u8 = 0x65;
const NAL_SLICE: u8 = 0x41;
const SLICE_P: u32 = 5;
const SLICE_I: u32 = 7;
/// `mb_type` of `I_PCM` in an I slice (table 7-11); 5 more in a P slice.
const I_PCM: u32 = 25;

/// One picture in decoding order, which is also the order of display.
#[derive(Debug)]
pub struct VideoFrame {
    /// Can be decoded without an earlier one.
    pub key: bool,
    /// Length-prefixed NAL units, as in FLV and MP4.
    pub payload: Vec<u8>,
}

/// Makes picture after picture.
#[derive(Debug, Default)]
pub struct H264Writer {
    next: u64,
}

impl H264Writer {
    /// AVCDecoderConfigurationRecord (ISO/IEC 14496-15, 5.3.3.1).
    pub fn config() -> Vec<u8> {
        let (sps, pps) = (sps(), pps());
        let mut out = vec![1, 66, 0xc0, 30, 0xff, 0xe1];
        out.extend(length16(&sps));
        out.extend(&sps);
        out.push(1);
        out.extend(length16(&pps));
        out.extend(&pps);
        out
    }

    /// The next picture.
    pub fn frame(&mut self) -> VideoFrame {
        let picture = self.next;
        self.next += 1;
        let in_gop = picture % GOP;
        let nal = if in_gop == 0 {
            idr(picture)
        } else {
            predicted(picture, in_gop)
        };
        let mut payload = u32::try_from(nal.len()).unwrap_or(0).to_be_bytes().to_vec();
        payload.extend(nal);
        VideoFrame {
            key: in_gop == 0,
            payload,
        }
    }
}

fn length16(nal: &[u8]) -> [u8; 2] {
    u16::try_from(nal.len()).unwrap_or(0).to_be_bytes()
}

/// 7.3.2.1.1, with `pic_order_cnt_type` 2: no reordering, nothing about order in the slices.
fn sps() -> Vec<u8> {
    let mut w = BitWriter::default();
    w.raw(&[66, 0xc0, 30]);
    for code in [0, 0, 2, 1] {
        w.ue(code); // id, log2_max_frame_num - 4, pic_order_cnt_type, max_num_ref_frames
    }
    w.bit(false); // gaps in frame_num
    w.ue(WIDTH_MBS - 1);
    w.ue(HEIGHT_MBS - 1);
    w.bit(true); // frames only
    w.bit(true); // direct_8x8_inference
    w.bit(false); // no cropping
    w.bit(true); // VUI follows (annex E): only timing
    w.bits(0, 4); // aspect ratio, overscan, signal type, chroma location: not said
    w.bit(true);
    w.bits(1, 32);
    w.bits(u32::try_from(FRAMES_PER_SECOND * 2).unwrap_or(0), 32); // two ticks a frame
    w.bit(true); // fixed rate
    w.bits(0, 4); // no HRD twice, no pic_struct, no restrictions
    w.nal(NAL_SPS)
}

/// 7.3.2.2.
fn pps() -> Vec<u8> {
    let mut w = BitWriter::default();
    w.ue(0);
    w.ue(0);
    w.bits(0, 2); // CAVLC, no field order
    for _ in 0..3 {
        w.ue(0); // one slice group, one reference each
    }
    w.bits(0, 3); // no weights
    for _ in 0..3 {
        w.ue(0); // QP 26, no offsets
    }
    w.bits(0b100, 3); // deblocking is said in the slices
    w.nal(NAL_PPS)
}

fn idr(picture: u64) -> Vec<u8> {
    let mut w = BitWriter::default();
    slice_start(&mut w, SLICE_I, 0);
    w.ue(u32::from(picture / GOP % 2 == 1)); // idr_pic_id differs from that of the IDR before
    w.bits(0, 2); // no long-term references
    slice_end(&mut w);
    for (x, y) in macroblocks() {
        w.ue(I_PCM);
        w.align();
        w.raw(&picture::macroblock(picture, x, y));
    }
    w.nal(NAL_IDR)
}

fn predicted(picture: u64, in_gop: u64) -> Vec<u8> {
    let mut w = BitWriter::default();
    slice_start(&mut w, SLICE_P, in_gop);
    w.bits(0, 3); // one reference, no reordering, sliding window
    slice_end(&mut w);
    let mut skipped = 0;
    for (x, y) in macroblocks() {
        if !picture::changed(picture, x, y) {
            skipped += 1;
            continue;
        }
        w.ue(skipped);
        skipped = 0;
        w.ue(5 + I_PCM);
        w.align();
        w.raw(&picture::macroblock(picture, x, y));
    }
    if skipped > 0 {
        w.ue(skipped);
    }
    w.nal(NAL_SLICE)
}

/// The slice header (7.3.3) up to `frame_num`, which has four bits.
fn slice_start(w: &mut BitWriter, kind: u32, frame: u64) {
    w.ue(0);
    w.ue(kind);
    w.ue(0);
    w.bits(u32::try_from(frame % 16).unwrap_or(0), 4);
}

fn slice_end(w: &mut BitWriter) {
    w.ue(0); // slice_qp_delta
    w.ue(1); // no deblocking
}

fn macroblocks() -> impl Iterator<Item = (u32, u32)> {
    (0..HEIGHT_MBS).flat_map(|y| (0..WIDTH_MBS).map(move |x| (x, y)))
}
