//! Enhanced RTMP's capabilities: what a client announces with its `connect`, and what we answer (v2, "Enhancing NetConnection connect Command").

use crate::amf0::Value;
use headgate_flv::Form;

/// Bits of `capsEx`.
const RECONNECT: u8 = 1;
const MULTITRACK: u8 = 2;
const MOD_EX: u8 = 4;
const NANO_OFFSET: u8 = 8;
/// All of them.
const OURS: u8 = RECONNECT | MULTITRACK | MOD_EX | NANO_OFFSET;
/// Bits of a codec's entry in an info map.
const CAN_DECODE: u8 = 1;
const CAN_FORWARD: u8 = 4;
const VIDEO: [&str; 4] = ["avc1", "hvc1", "av01", "vp09"];
const AUDIO: [&str; 6] = ["mp4a", "Opus", "fLaC", "ac-3", "ec-3", ".mp3"];

/// What a peer announced. Nothing, for all who know no enhanced RTMP.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caps {
    /// It announced anything at all.
    pub is_enhanced: bool,
    /// It acts upon a request to reconnect.
    pub reconnect: bool,
    /// What it understands of the media that it is sent.
    pub form: Form,
}

impl Caps {
    /// From the object that holds them: a client's command object, or what a server answers.
    pub fn of(object: &Value) -> Self {
        let bits = object.get("capsEx").map(small);
        let (list, map) = (object.get("fourCcList"), object.get("videoFourCcInfoMap"));
        let multitrack = bits.is_some_and(|bits| bits & MULTITRACK != 0);
        Self {
            is_enhanced: bits.is_some()
                || list.is_some()
                || map.is_some()
                || object.get("audioFourCcInfoMap").is_some(),
            reconnect: bits.is_some_and(|bits| bits & RECONNECT != 0),
            form: Form {
                // Who knows several tracks knows FourCCs: there is no other way to write them.
                four_cc: multitrack || list.is_some_and(lists_hevc) || map.is_some_and(decodes_hevc),
                multitrack,
            },
        }
    }
}

/// A list of FourCCs has no more to it than their names; `*` is every one.
fn lists_hevc(list: &Value) -> bool {
    match list {
        Value::StrictArray(names) => names.iter().any(|name| matches!(name.as_str(), Some("hvc1" | "*"))),
        _ => false,
    }
}

fn decodes_hevc(map: &Value) -> bool {
    let takes = CAN_DECODE | CAN_FORWARD;
    ["hvc1", "*"]
        .iter()
        .any(|name| map.get(name).is_some_and(|bits| small(bits) & takes != 0))
}

/// What we say of ourselves: both what a client sends and what a server answers.
pub(crate) fn announcement() -> [(&'static str, Value); 4] {
    let names = VIDEO.iter().chain(&AUDIO).map(|name| Value::from(*name));
    let map = |names: &[&'static str]| {
        let entry = |name: &&'static str| (*name, Value::from(f64::from(CAN_FORWARD)));
        Value::object(names.iter().map(entry))
    };
    [
        ("fourCcList", Value::StrictArray(names.collect())),
        ("videoFourCcInfoMap", map(&VIDEO)),
        ("audioFourCcInfoMap", map(&AUDIO)),
        ("capsEx", f64::from(OURS).into()),
    ]
}

/// A number from 0 to 255; what is none, or too large, says nothing.
fn small(value: &Value) -> u8 {
    let number = value.as_number().unwrap_or(0.0);
    if !(0.0..256.0).contains(&number) {
        return 0;
    }
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the range was looked at"
    )]
    {
        number as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(pairs: Vec<(&str, Value)>) -> (bool, bool, bool, bool) {
        let caps = Caps::of(&Value::object(pairs));
        (
            caps.is_enhanced,
            caps.reconnect,
            caps.form.four_cc,
            caps.form.multitrack,
        )
    }

    #[test]
    fn a_client_is_taken_at_its_word() {
        let list = |names: &[&str]| Value::StrictArray(names.iter().map(|n| Value::from(*n)).collect());
        let map = |name, bits: f64| Value::object([(name, bits.into())]);
        assert_eq!(caps(vec![("app", "live".into())]), (false, false, false, false));
        assert_eq!(caps(vec![("fourCcList", list(&["av01"]))]), (true, false, false, false));
        assert_eq!(
            caps(vec![("fourCcList", list(&["av01", "hvc1"]))]),
            (true, false, true, false)
        );
        assert_eq!(caps(vec![("fourCcList", list(&["*"]))]), (true, false, true, false));
        assert_eq!(
            caps(vec![("videoFourCcInfoMap", map("hvc1", 1.0))]),
            (true, false, true, false)
        );
        let encodes = ("videoFourCcInfoMap", map("*", 2.0));
        assert_eq!(caps(vec![encodes]), (true, false, false, false), "it only sends them");
        assert_eq!(caps(vec![("capsEx", 1.0.into())]), (true, true, false, false));
        assert_eq!(caps(vec![("capsEx", 3.0.into())]), (true, true, true, true));
        for odd in [-1.0, 1e300, f64::NAN] {
            assert_eq!(caps(vec![("capsEx", odd.into())]), (true, false, false, false));
        }
        assert_eq!(caps(vec![("fourCcList", "hvc1".into())]), (true, false, false, false));
    }

    #[test]
    fn we_would_take_ourselves_for_what_we_are() {
        assert_eq!(caps(announcement().to_vec()), (true, true, true, true));
    }
}
