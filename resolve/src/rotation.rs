//! Keys that were replaced and are good for a while yet.
//!
//! What a key was is kept as a hash beside the configuration that pods start from: in the server's Secret in a cluster, in the state folder
//! elsewhere. So it outlives whoever makes the configuration, needs no note on the user's Secret, and holds also when
//! that is deleted and made anew.

use crate::config::seal;
use headgate_api as api;
use headgate_control::{KeyHash, PodConfig, PreviousKey};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};

/// Keys that one StreamKey had and that are still good.
const PREVIOUS_MAX: usize = 4;

/// Whether any of the keys stays good for a while after it was replaced.
pub fn overlaps<'a>(keys: impl IntoIterator<Item = &'a api::StreamKey>) -> bool {
    keys.into_iter().any(|key| key.spec.rotation_overlap_seconds > 0)
}

/// What is remembered of a key that may be replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownKey {
    /// Name of the StreamKey.
    pub name: String,
    /// The key.
    pub hash: KeyHash,
    /// Those before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub previous: Vec<PreviousKey>,
}

/// What must be remembered of a configuration's keys: of those that stay good for a while.
pub fn known_keys<'a>(config: &PodConfig, keys: impl IntoIterator<Item = &'a api::StreamKey>) -> Vec<KnownKey> {
    let overlapping: HashSet<&str> = keys
        .into_iter()
        .filter(|key| key.spec.rotation_overlap_seconds > 0)
        .filter_map(|key| key.metadata.name.as_deref())
        .collect();
    let known = config.keys.iter().filter(|key| overlapping.contains(key.name.as_str()));
    let known = known.map(|key| KnownKey {
        name: key.name.clone(),
        hash: key.hash.clone(),
        previous: key.previous.clone(),
    });
    known.collect()
}

/// Adds to `config` what the keys of `before` were, for as long as each StreamKey says from now on. Time is cut to seconds.
pub fn keep_previous<'a>(
    config: &mut PodConfig,
    before: &[KnownKey],
    keys: impl IntoIterator<Item = &'a api::StreamKey>,
    now: Timestamp,
) {
    let before: HashMap<&str, &KnownKey> = before.iter().map(|key| (key.name.as_str(), key)).collect();
    let overlaps: HashMap<&str, i32> = keys
        .into_iter()
        .filter_map(|key| Some((key.metadata.name.as_deref()?, key.spec.rotation_overlap_seconds)))
        .filter(|(_, overlap)| *overlap > 0)
        .collect();
    for key in &mut config.keys {
        let (Some(old), Some(overlap)) = (before.get(key.name.as_str()), overlaps.get(key.name.as_str())) else {
            continue;
        };
        let end = end(now, *overlap);
        let replaced = (old.hash != key.hash).then(|| PreviousKey {
            hash: old.hash.clone(),
            until: end,
        });
        let all = replaced.into_iter().chain(old.previous.iter().cloned());
        let good = all
            .filter(|p| p.hash != key.hash && p.until > now)
            .map(|p| PreviousKey {
                until: p.until.min(end),
                ..p
            });
        key.previous = good.take(PREVIOUS_MAX).collect();
    }
    seal(config);
}

/// Ends all overlaps.
pub fn forget_previous(config: &mut PodConfig) {
    config.keys.iter_mut().for_each(|key| key.previous.clear());
    seal(config);
}

fn end(now: Timestamp, overlap: i32) -> Timestamp {
    let end = now
        .saturating_add(SignedDuration::from_secs(overlap.into()))
        .unwrap_or(now);
    Timestamp::from_second(end.as_second()).unwrap_or(end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{KeySource, Secrets, Surroundings, pod_config};

    struct Holds(&'static str);
    impl Secrets for Holds {
        fn entry(&self, _: &str, _: &str) -> KeySource<'_> {
            KeySource::Found(self.0.as_bytes())
        }
    }

    fn key(overlap: i32) -> api::StreamKey {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: StreamKey, metadata: {{name: k}}, spec: {{serverRefs: [{{name: live}}], stream: {{app: live}}, secretRef: {{name: s}}, rotationOverlapSeconds: {overlap}}}}}"
        );
        serde_yaml::from_str(&yaml).unwrap()
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// The configuration with this text in the Secret, made at that time after `before`.
    fn made(text: &'static str, overlap: i32, before: &PodConfig, second: i64) -> PodConfig {
        let server = api::MediaServer::new("live", api::MediaServerSpec::default());
        let (was, key) = (key(60), key(overlap));
        let mut config = pod_config(&server, [&key], [], &Holds(text), Surroundings::default());
        keep_previous(&mut config, &known_keys(before, [&was]), [&key], at(second));
        config
    }

    fn first(text: &'static str) -> PodConfig {
        let server = api::MediaServer::new("live", api::MediaServerSpec::default());
        pod_config(&server, [&key(60)], [], &Holds(text), Surroundings::default())
    }

    /// Which texts are good beside the current one, and until when.
    fn previous(config: &PodConfig) -> Vec<(&'static str, i64)> {
        let texts = ["a", "b", "c", "d", "e", "f", "g"];
        let text = |p: &PreviousKey| {
            let is = |t: &&&'static str| crate::hash_key(&Holds(t), "", "").unwrap() == p.hash;
            texts.iter().find(is).copied().unwrap()
        };
        config.keys[0]
            .previous
            .iter()
            .map(|p| (text(p), p.until.as_second()))
            .collect()
    }

    #[test]
    fn an_old_key_is_good_from_the_change_for_as_long_as_the_stream_key_says_and_no_longer() {
        let one = first("a");
        let two = made("b", 60, &one, 1000);
        assert_eq!(previous(&two), [("a", 1060)]);
        let later = made("b", 60, &two, 1030);
        assert_eq!(
            (previous(&later), &later.revision),
            (vec![("a", 1060)], &two.revision),
            "nothing has changed"
        );
        assert_eq!(previous(&made("b", 60, &later, 1060)), []);
    }

    #[test]
    fn without_an_overlap_the_old_key_goes_at_once_and_a_shorter_one_ends_those_under_way() {
        let two = made("b", 60, &first("a"), 1000);
        assert_eq!(previous(&made("b", 0, &two, 1001)), []);
        assert_eq!(previous(&made("b", 10, &two, 1001)), [("a", 1011)]);
        assert_eq!(
            previous(&made("b", 3600, &two, 1001)),
            [("a", 1060)],
            "a longer one is for changes to come"
        );
    }

    #[test]
    fn several_changes_leave_the_last_few_and_a_key_that_comes_back_is_not_an_old_one() {
        let mut config = first("a");
        for (second, text) in [(1000, "b"), (1001, "c"), (1002, "d"), (1003, "e"), (1004, "f")] {
            config = made(text, 60, &config, second);
        }
        assert_eq!(previous(&config), [("e", 1064), ("d", 1063), ("c", 1062), ("b", 1061)]);
        let back = made("e", 60, &config, 1005);
        assert_eq!(previous(&back), [("f", 1065), ("d", 1063), ("c", 1062), ("b", 1061)]);
    }

    #[test]
    fn an_object_is_the_same_with_and_without_an_old_key() {
        let two = made("b", 60, &first("a"), 1000);
        let mut forgotten = two.clone();
        forget_previous(&mut forgotten);
        assert_ne!(two.revision, forgotten.revision);
        assert_eq!(crate::entry_digests(&two), crate::entry_digests(&forgotten));
    }
}
