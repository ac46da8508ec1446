//! Stream keys as hashes, and the globs that say which streams one is about.

use ipnet::IpNet;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Which streams a key or an endpoint is about. Globs with `*` and `?`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamPattern {
    /// Glob over the virtual host.
    pub vhost: String,
    /// Glob over the app.
    pub app: String,
    /// Glob over the stream name, without any key.
    pub stream: String,
}

/// What a key allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// To send a stream in.
    Publish,
    /// To take a stream out.
    Play,
}

/// Where in the URL a key may stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Placement {
    /// The value of the query parameter.
    Query,
    /// The stream name is the key, or ends with it.
    StreamName,
}

/// One stream key, as its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StreamKey {
    /// Name of the StreamKey object.
    pub name: String,
    /// What it opens.
    pub pattern: StreamPattern,
    /// What it allows there.
    pub permissions: Vec<Permission>,
    /// The hash of the key.
    pub hash: KeyHash,
    /// Keys that stood there before and are good for a while yet.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<PreviousKey>,
    /// Where it may stand.
    pub placements: Vec<Placement>,
    /// Name of the query parameter, for [`Placement::Query`].
    pub query_parameter: String,
    /// Not good before.
    pub not_before: Option<Timestamp>,
    /// Not good from then on.
    pub not_after: Option<Timestamp>,
    /// Addresses it may be used from; empty is any.
    #[serde(default)]
    pub allowed_cidrs: Vec<IpNet>,
    /// Publishers at one time with this key in this pod.
    pub max_publishers: Option<u32>,
    /// Switched off: refused with a reason of its own.
    #[serde(default)]
    pub suspended: bool,
}

/// SHA-256 of a key in hex, with the key's length in bytes so that a suffix of a name can be checked with one hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyHash {
    /// 64 lower-case hex digits.
    pub sha256: String,
    /// Length of the key in bytes.
    pub length: u32,
}

/// A key that was replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviousKey {
    /// The hash of the key.
    pub hash: KeyHash,
    /// Not good from then on.
    pub until: Timestamp,
}

/// Whether `text` matches `glob`: `*` is any run of characters, `?` is one. Linear in the product of both lengths, no recursion.
pub fn glob_matches(glob: &str, text: &str) -> bool {
    let (glob, text): (Vec<char>, Vec<char>) = (glob.chars().collect(), text.chars().collect());
    let (mut g, mut t) = (0_usize, 0_usize);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match glob.get(g) {
            Some('*') => {
                star = Some((g, t));
                g = g.saturating_add(1);
            }
            Some(c) if *c == '?' || text.get(t) == Some(c) => {
                g = g.saturating_add(1);
                t = t.saturating_add(1);
            }
            _ => match star {
                Some((at, from)) => {
                    let next = from.saturating_add(1);
                    star = Some((at, next));
                    g = at.saturating_add(1);
                    t = next;
                }
                None => return false,
            },
        }
    }
    glob.iter().skip(g).all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_as_a_shell_user_expects() {
        let cases = [
            ("*", "", true),
            ("*", "anything", true),
            ("room-*", "room-1", true),
            ("room-*", "rooms", false),
            ("room-?", "room-1", true),
            ("room-?", "room-12", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b", false),
            ("*-hd", "cam-hd-hd", true),
            ("", "", true),
            ("", "x", false),
            ("é*", "était", true),
        ];
        for (glob, text, expected) in cases {
            assert_eq!(glob_matches(glob, text), expected, "{glob:?} against {text:?}");
        }
    }
}
