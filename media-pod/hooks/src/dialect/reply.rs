//! What an answer asks for beside its yes or no, in one form for every dialect.

use headgate_hub::{Protocol, Stamps, Treatment};
use serde_json::{Map, Value};
use std::time::Duration;

use crate::event::transport::{self, Schema};

/// What an answer asks for; nothing of it is there unless the answer says so.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reply {
    /// How a stream is to be treated.
    pub options: PublishOptions,
    /// Close the stream that nobody plays, or send the player away that waits for one.
    pub close: bool,
    /// How long the decision may be kept, a no too; zero is not at all.
    pub ttl: Option<Duration>,
    /// The same, said by a header that whatever stands in front of the back end may have set.
    pub max_age: Option<Duration>,
    /// Below which path it holds.
    pub path: Option<String>,
    /// RTSP: where the player must name itself; empty means nowhere.
    pub realm: Option<String>,
    /// RTSP: what it must know.
    pub password: Option<Password>,
    /// Where the stream is to be pushed on to; `None` when the answer does not say.
    pub forward: Option<Vec<String>>,
}

/// What an RTSP player must know.
#[derive(Clone, PartialEq, Eq)]
pub struct Password {
    /// The password, or the hash over user, realm and password.
    pub text: String,
    /// It is the hash.
    pub is_hash: bool,
}

/// Without the password.
impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Password")
            .field("is_hash", &self.is_hash)
            .finish_non_exhaustive()
    }
}

macro_rules! options {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $read:ident;)*) => {
        /// How a stream is to be treated: what ZLMediaKit's `on_publish` may answer, under its names.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct PublishOptions {
            $($(#[$doc])* pub $name: Option<$type>,)*
        }

        impl PublishOptions {
            /// The names of all options.
            pub const NAMES: &'static [&'static str] = &[$(stringify!($name)),*];

            /// Those of an answer. What cannot be read is as if it were not there, as in ZLMediaKit.
            pub fn read(answer: &Map<String, Value>) -> Self {
                Self { $($name: answer.get(stringify!($name)).and_then($read),)* }
            }

            /// Takes over what `later` says.
            pub fn overlay(&mut self, later: Self) {
                $(if later.$name.is_some() { self.$name = later.$name; })*
            }

            /// The names of those that were given.
            pub fn given(&self) -> Vec<&'static str> {
                let mut names = Vec::new();
                $(if self.$name.is_some() { names.push(stringify!($name)); })*
                names
            }
        }
    };
}

options! {
    /// 0: the source's time stamps; 1: the server's clock; 2: the source's, smoothed.
    modify_stamp: i64 = integer;
    /// Keep sound.
    enable_audio: bool = flag;
    /// Add silence where there is no sound.
    add_mute_audio: bool = flag;
    /// Close the stream when nobody plays it.
    auto_close: bool = flag;
    /// How long a publisher that lost its connection may take to come back, in milliseconds.
    continue_push_ms: u32 = unsigned;
    /// Smooth the output by this much, in milliseconds.
    paced_sender_ms: u32 = unsigned;
    /// Offer HLS of MPEG-TS.
    enable_hls: bool = flag;
    /// Offer HLS of fragmented MP4.
    enable_hls_fmp4: bool = flag;
    /// Record as MP4.
    enable_mp4: bool = flag;
    /// Offer RTSP.
    enable_rtsp: bool = flag;
    /// Offer RTMP and FLV.
    enable_rtmp: bool = flag;
    /// Offer MPEG-TS.
    enable_ts: bool = flag;
    /// Offer fragmented MP4.
    enable_fmp4: bool = flag;
    /// Make HLS only while somebody plays it.
    hls_demand: bool = flag;
    /// Make RTSP only while somebody plays it.
    rtsp_demand: bool = flag;
    /// Make RTMP only while somebody plays it.
    rtmp_demand: bool = flag;
    /// Make MPEG-TS only while somebody plays it.
    ts_demand: bool = flag;
    /// Make fragmented MP4 only while somebody plays it.
    fmp4_demand: bool = flag;
    /// Begin a new MP4 file after so many seconds.
    mp4_max_second: u32 = unsigned;
    /// An MP4 recording counts as a player.
    mp4_as_player: bool = flag;
    /// Where MP4 files go.
    mp4_save_path: String = text;
    /// Where segments go.
    hls_save_path: String = text;
    /// The name under which the stream is played.
    stream_replace: String = text;
    /// Tracks that are kept.
    max_track: u32 = unsigned;
}

/// Those that do something in this version, whatever they say. Every output is made while somebody plays it, which is all that `…_demand` can ask for.
const IN_FORCE: &[&str] = &[
    "modify_stamp",
    "enable_audio",
    "auto_close",
    "continue_push_ms",
    "enable_hls",
    "enable_rtmp",
    "enable_ts",
    "enable_fmp4",
    "hls_demand",
    "rtmp_demand",
    "ts_demand",
    "fmp4_demand",
    "max_track",
    "stream_replace",
];

impl PublishOptions {
    /// The names of those that were given and ask for what this version does not do. Who switches off what is not there has what it wants.
    pub fn idle(&self) -> Vec<&'static str> {
        let off = |flag: Option<bool>| flag == Some(false);
        let granted = |name: &str| match name {
            "add_mute_audio" => off(self.add_mute_audio),
            "enable_mp4" => off(self.enable_mp4),
            "enable_rtsp" => off(self.enable_rtsp),
            "enable_hls_fmp4" => !off(self.enable_hls_fmp4) || off(self.enable_hls),
            "mp4_as_player" => off(self.mp4_as_player),
            "paced_sender_ms" => self.paced_sender_ms == Some(0),
            name => IN_FORCE.contains(&name),
        };
        let mut names = self.given();
        names.retain(|name| !granted(name));
        names
    }

    /// The name that the stream has instead of the one that its publisher asked for.
    pub(crate) fn played_as(&self) -> Option<&str> {
        self.stream_replace.as_deref().filter(|name| !name.is_empty())
    }

    /// The schemas by which the stream is not to be had.
    pub(crate) fn without(&self) -> Vec<Schema> {
        let hls = self.enable_hls == Some(false) && self.enable_hls_fmp4 != Some(true);
        let table = [
            (self.enable_rtmp == Some(false), Schema::Rtmp),
            (self.enable_ts == Some(false), Schema::Ts),
            (self.enable_fmp4 == Some(false), Schema::Fmp4),
            (hls, Schema::Hls),
        ];
        let switched_off = table.into_iter().filter(|(off, _)| *off);
        switched_off.map(|(_, schema)| schema).collect()
    }

    /// What the media path is to do.
    pub(crate) fn treatment(&self) -> Treatment {
        let without = self.without();
        let is_off = |protocol: &Protocol| without.contains(&transport::of(*protocol).0);
        Treatment {
            silent: self.enable_audio == Some(false),
            tracks_max: self.max_track.map(|max| usize::try_from(max).unwrap_or(usize::MAX)),
            stamps: match self.modify_stamp {
                Some(1) => Stamps::Arrival,
                Some(2) => Stamps::Even,
                _ => Stamps::AsSent,
            },
            not_over: Protocol::ALL.into_iter().filter(is_off).collect(),
            played_as: self.played_as().map(Into::into),
            linger: self.continue_push_ms.map(|millis| Duration::from_millis(millis.into())),
        }
    }
}

/// `true`, `"true"`, 1, `"1"` and their opposites.
pub(super) fn flag(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => number.as_f64().map(|number| number != 0.0),
        Value::String(text) => match text.to_ascii_lowercase().as_str() {
            "true" => Some(true),
            "false" => Some(false),
            text => text.parse::<i64>().ok().map(|number| number != 0),
        },
        _ => None,
    }
}

fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Bool(flag) => Some(i64::from(*flag)),
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.parse().ok(),
        _ => None,
    }
}

fn unsigned(value: &Value) -> Option<u32> {
    integer(value).and_then(|number| u32::try_from(number).ok())
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(answer: Value) -> PublishOptions {
        let Value::Object(answer) = answer else {
            unreachable!("an object")
        };
        PublishOptions::read(&answer)
    }

    #[test]
    fn all_twenty_four_options_are_kept_and_named() {
        assert_eq!(PublishOptions::NAMES.len(), 24);
        let all: Map<String, Value> = PublishOptions::NAMES
            .iter()
            .map(|name| ((*name).to_owned(), json!("1")))
            .collect();
        assert_eq!(PublishOptions::read(&all).given(), PublishOptions::NAMES);
    }

    #[test]
    fn what_a_later_endpoint_says_stands_over_what_an_earlier_one_said() {
        let mut options = read(json!({"auto_close": true, "enable_hls": true}));
        options.overlay(read(json!({"enable_hls": false, "enable_mp4": true})));
        assert_eq!(
            options,
            read(json!({"auto_close": 1, "enable_hls": 0, "enable_mp4": 1}))
        );
        assert_eq!(options.idle(), ["enable_mp4"]);
    }

    #[test]
    fn what_cannot_be_done_is_named_and_what_is_switched_off_is_no_loss() {
        let wvp = json!({
            "code": 0, "enable_audio": true, "enable_mp4": false, "enable_rtsp": false, "enable_hls": true, "add_mute_audio": false,
            "mp4_as_player": false, "rtmp_demand": false, "hls_demand": true, "modify_stamp": 2, "stream_replace": "", "paced_sender_ms": 0,
        });
        assert_eq!(read(wvp).idle(), <[&str; 0]>::default());
        let all = json!({
            "add_mute_audio": 1, "enable_mp4": 1, "enable_rtsp": 1, "mp4_as_player": 1, "paced_sender_ms": 200, "stream_replace": "x",
            "rtsp_demand": 0, "mp4_max_second": 60, "mp4_save_path": "/a", "hls_save_path": "/b", "enable_hls_fmp4": 0,
        });
        assert_eq!(read(all).idle().len(), 10);
    }

    #[test]
    fn what_can_be_done_is_said_to_the_media_path() {
        let options = read(json!({
            "enable_audio": 0, "max_track": 2, "modify_stamp": 1, "continue_push_ms": 5000, "enable_rtmp": 0, "enable_hls": false,
        }));
        let treatment = options.treatment();
        assert!(treatment.silent);
        assert_eq!((treatment.tracks_max, treatment.stamps), (Some(2), Stamps::Arrival));
        assert_eq!(treatment.linger, Some(Duration::from_secs(5)));
        let offered = |protocol| treatment.offers(protocol);
        assert!(
            !offered(Protocol::Rtmp)
                && !offered(Protocol::HttpFlv)
                && !offered(Protocol::WsFlv)
                && !offered(Protocol::Hls)
        );
        assert!(offered(Protocol::HttpTs) && offered(Protocol::WsFmp4));
        assert_eq!(options.without(), [Schema::Rtmp, Schema::Hls]);
        assert_eq!(PublishOptions::default().treatment(), Treatment::default());
    }

    #[test]
    fn a_value_may_be_written_in_each_way_that_zlmediakit_reads() {
        let options = read(json!({
            "code": 0, "msg": "success", "enable_hls": true, "enable_mp4": "0", "enable_rtsp": 1, "auto_close": "true",
            "modify_stamp": false, "continue_push_ms": "10000", "mp4_max_second": 3600, "stream_replace": "room-1",
            "enable_ts": null, "enable_fmp4": {"x": 1}, "max_track": -1, "something_new": 5,
        }));
        let expected = PublishOptions {
            enable_hls: Some(true),
            enable_mp4: Some(false),
            enable_rtsp: Some(true),
            auto_close: Some(true),
            modify_stamp: Some(0),
            continue_push_ms: Some(10_000),
            mp4_max_second: Some(3600),
            stream_replace: Some("room-1".into()),
            ..PublishOptions::default()
        };
        assert_eq!(options, expected);
    }
}
