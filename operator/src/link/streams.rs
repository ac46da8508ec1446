//! The streams of a pod's last report, by the names of their objects. Each is packed: as it was read it takes five times the room, and there are
//! thousands of which nobody asks anything.

use crate::cache::digest;
use headgate_control::StreamReport;
use headgate_resolve::stream_object_name;
use lz4_flex::block::{compress_prepend_size_with_dict, decompress_size_prepended_with_dict};
use std::collections::HashMap;

/// What all are compressed against: one that has a bit of everything.
const SAMPLE: &[u8] = br#"{"vhost":"__defaultVhost__","app":"live","stream":"","session":"0190a0b0-0000-7000-8000-000000000000","protocol":"RTMP","address":"10.0.0.1:50000","clientId":"","started":"2027-01-01T00:00:00.000000000Z","tracks":[{"codec":"H265","width":1920,"height":1080,"framesPerSecond":30,"sampleRate":null,"channels":null},{"codec":"H264","width":1280,"height":720,"framesPerSecond":25,"sampleRate":null,"channels":null},{"codec":"AAC","width":null,"height":null,"framesPerSecond":null,"sampleRate":48000,"channels":2}],"bitrateKilobits":2500,"viewers":{"HTTP-FLV":1,"HTTP-TS":1,"HLS":1,"RTMP":1},"sealed":"sha256:"#;

/// See the module.
#[derive(Debug, Default)]
pub struct Streams {
    packed: HashMap<Box<str>, Box<[u8]>>,
    viewers: u64,
}

impl Streams {
    /// Of a server's pod. Measures that only wave are as in `before`, and of what closes a session a digest is kept: it is long, and the ledger has it.
    pub fn of(server: &str, reports: Vec<StreamReport>, before: &Self) -> Self {
        let mut all = Self {
            packed: HashMap::with_capacity(reports.len()),
            viewers: 0,
        };
        for mut report in reports {
            let name = stream_object_name(server, &report.vhost, &report.app, &report.stream);
            if let Some(old) = before.get(&name).filter(|old| old.session == report.session) {
                steady(&mut report, &old);
            }
            if let Some(sealed) = &mut report.sealed {
                *sealed = digest(sealed);
            }
            let viewers = report.viewers.values().map(|v| u64::from(*v)).sum();
            all.viewers = all.viewers.saturating_add(viewers);
            match pack(&report) {
                Ok(packed) => {
                    all.packed.insert(name.into(), packed);
                }
                Err(error) => tracing::error!(stream = name, %error, "report of a stream not kept"),
            }
        }
        all
    }

    /// What is said of the stream with that object.
    pub fn get(&self, name: &str) -> Option<StreamReport> {
        let packed = self.packed.get(name)?;
        let json = decompress_size_prepended_with_dict(packed, SAMPLE).ok()?;
        let report = serde_json::from_slice(&json);
        report
            .inspect_err(|error| tracing::error!(stream = name, %error, "report of a stream not found again"))
            .ok()
    }

    /// The names of their objects.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.packed.keys().map(AsRef::as_ref)
    }

    /// Whether something else is said of one of them.
    pub fn differs(&self, other: &Self, name: &str) -> bool {
        self.packed.get(name) != other.packed.get(name)
    }

    /// How many they are.
    pub fn len(&self) -> usize {
        self.packed.len()
    }

    /// Viewers of all of them.
    pub fn viewers(&self) -> u64 {
        self.viewers
    }
}

fn pack(report: &StreamReport) -> Result<Box<[u8]>, serde_json::Error> {
    let json = serde_json::to_vec(report)?;
    Ok(compress_prepend_size_with_dict(&json, SAMPLE).into())
}

/// Measures that wave are taken as they were: nobody is to look at thousands of streams every few seconds because of them.
fn steady(report: &mut StreamReport, old: &StreamReport) {
    let measured = report.bitrate_kilobits;
    if (measured.div_ceil(2)..=measured.saturating_mul(2)).contains(&old.bitrate_kilobits) {
        report.bitrate_kilobits = old.bitrate_kilobits;
    }
    for (track, old) in report.tracks.iter_mut().zip(&old.tracks) {
        if let (Some(new), Some(old)) = (track.frames_per_second, old.frames_per_second)
            && new.abs_diff(old) <= 1
        {
            track.frames_per_second = Some(old);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(name: &str) -> StreamReport {
        let json = format!(
            r#"{{"vhost":"__defaultVhost__","app":"live","stream":"{name}","session":"01890a5d-ac96-774b-bcce-b302099a8057","protocol":"RTMP",
                "address":"198.51.100.7:50000","clientId":"3ul1iu70","started":"2027-02-03T04:05:06.789012345Z","bitrateKilobits":2345,
                "tracks":[{{"codec":"H264","width":1280,"height":720,"framesPerSecond":30}},{{"codec":"AAC","sampleRate":48000,"channels":2}}],
                "viewers":{{"RTMP":3,"HTTP-FLV":40}},"sealed":"abcd"}}"#
        );
        serde_json::from_str(&json).unwrap()
    }

    #[test]
    fn a_stream_comes_out_as_it_went_in_but_for_what_closes_it() {
        let streams = Streams::of("live", vec![report("alice"), report("bob")], &Streams::default());
        let wanted = StreamReport {
            sealed: Some(digest("abcd")),
            ..report("bob")
        };
        assert_eq!(streams.get("live-live-bob"), Some(wanted));
        assert_eq!((streams.len(), streams.viewers()), (2, 86));
        assert!(streams.get("live-live-carol").is_none());
        assert!(streams.packed.values().all(|p| p.len() < 240), "{:?}", streams.packed);
    }

    #[test]
    fn one_of_which_the_same_is_said_does_not_differ_and_one_that_came_or_went_does() {
        let of = |names: &[&str], before| Streams::of("live", names.iter().map(|n| report(n)).collect(), before);
        let none = Streams::default();
        let one = of(&["alice"], &none);
        let two = of(&["alice", "bob"], &one);
        assert!(!one.differs(&two, "live-live-alice"));
        assert!(one.differs(&two, "live-live-bob") && two.differs(&one, "live-live-bob"));
    }
}
