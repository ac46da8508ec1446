//! Every reader of parameter sets, fed real ones with bytes changed, cut and inserted: errors are fine, panics are not.

use crate::{Track, TrackId, aac, ac3, av1, flac, h264, h265, mp3, nal_units, opus, vp9};
use bytes::Bytes;
use proptest::prelude::*;

/// Made by x264, 1280x720 at 30 fps, High.
pub(crate) const AVC_720P: &str =
    "0164001fffe1001a6764001facd9405005bb0110000003001000000303c0f183196001000668ebe3cb22c0fdf8f800";
/// Made by x264, 642x362 at 25 fps, Constrained Baseline.
pub(crate) const AVC_CROPPED: &str =
    "0142c01effe1001a6742c01ed900a42fe224c044000003000400000300c83c58b92001000568cb83cb20";
/// Made by x264, 720x576 at 25 fps, interlaced, High 4:2:2.
pub(crate) const AVC_INTERLACED_422: &str =
    "017a001effe10018677a001ebcd940b424d8088000000300800000190f8a14cb01000668fba3cb22c0fef8f800";
/// Made by x265, 638x358, without its SEI.
pub(crate) const HEVC_CROPPED: &str = "0101600000009000000000003ff000fcfdf8f800000f03200001001840010c01ffff01600000030090000003000003003f95980921\
     0001002b42010101600000030090000003000003003fa005020169d565959a4932bc05a020000003002000000303c122000100074401c172b46240";

/// Made by SVT-AV1, 638x358.
pub(crate) const AV1_640: &str = "81010c000a0b0000000cc4fb6500be0010";

/// A key frame of libvpx, 160x90.
pub(crate) const VP9_160: &str = "824983420009f005960638241c184a00022050621ff1fcbf";

pub(crate) fn hex(text: &str) -> Bytes {
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|b| u8::try_from(char::from(b).to_digit(16).unwrap()).unwrap())
        .collect();
    digits.chunks(2).map(|pair| (pair[0] << 4) | pair[1]).collect()
}

fn seeds() -> impl Strategy<Value = Vec<u8>> {
    let seeds = [
        AVC_720P,
        AVC_CROPPED,
        AVC_INTERLACED_422,
        HEVC_CROPPED,
        AV1_640,
        VP9_160,
        "664c614300000022120012000004d20004d20ac442f000",
        "0b77b50b1e40ebf8",
        "fffb9064",
        "4f70757348656164010238018 0bb",
        "121056e500",
        "2b92088880",
        "00",
    ];
    proptest::sample::select(seeds.map(|s| hex(s).to_vec()).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn no_parameter_set_makes_a_reader_panic(
        mut data in seeds(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..3_u8), 0..6),
    ) {
        for (at, byte, how) in edits {
            let at = at.index(data.len().max(1));
            match how {
                0 if at < data.len() => data[at] = byte,
                1 => data.truncate(at),
                _ => data.insert(at.min(data.len()), byte),
            }
        }
        let bytes = Bytes::from(data.clone());
        let _ = Track::h264(TrackId::VIDEO, bytes.clone());
        let _ = Track::h265(TrackId::VIDEO, bytes.clone());
        let _ = Track::aac(TrackId::AUDIO, bytes.clone());
        let _ = h264::Sps::parse(data.get(8..).unwrap_or(&[]));
        let _ = h265::sps_size(data.get(52..).unwrap_or(&data));
        let _ = aac::AudioSpecificConfig::parse(&data);
        let _ = (av1::config_video(&data), ac3::info(&data), mp3::parse(&data), flac::info(&data), opus::head_info(&data), vp9::key_frame_video(&data), flac::whole(bytes.clone()));
        for size in 1..=4 {
            prop_assert!(nal_units(&data, size).count() <= data.len().saturating_add(1));
        }
    }
}
