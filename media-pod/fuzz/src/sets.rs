//! Parameter sets.

use bytes::Bytes;
use headgate_codec::{Track, TrackId, aac, h264, h265, nal_units};

pub(crate) fn parameter_sets(data: &[u8]) {
    let bytes = Bytes::copy_from_slice(data);
    let _ = Track::h264(TrackId::VIDEO, bytes.clone());
    let _ = Track::h265(TrackId::VIDEO, bytes.clone());
    let _ = Track::aac(TrackId::AUDIO, bytes);
    let _ = h264::Sps::parse(data);
    let _ = h265::sps_size(data);
    let _ = aac::AudioSpecificConfig::parse(data);
    for size in 1..=4 {
        let units = nal_units(data, size).count();
        assert!(
            units <= data.len().saturating_add(1),
            "{units} units of {} bytes",
            data.len()
        );
    }
}
