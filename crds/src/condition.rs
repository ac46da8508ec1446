//! Condition types and the one way to set a condition.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use strum::{Display, IntoStaticStr};

/// Every condition type that our objects show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, IntoStaticStr)]
pub enum ConditionType {
    /// MediaServer: serves as its spec asks.
    Ready,
    /// MediaServer: something is wrong though it may serve.
    Degraded,
    /// MediaServer: pods are being created, replaced or removed.
    Progressing,
    /// MediaServer: pods are on their way out and have sessions left.
    Draining,
    /// The spec is valid and the servers it names are there.
    Accepted,
    /// The Secrets it names are there and hold what they should.
    ResolvedRefs,
    /// In force in every ready pod.
    Programmed,
    /// HookEndpoint: the back end gives valid answers.
    Reachable,
    /// HookEndpoint: notifications are delivered without a backlog.
    Delivering,
    /// HookEndpoint: it is asked. Shown while it is not, because it has not answered.
    CircuitClosed,
    /// HookEndpoint: sessions are let in without a valid answer. Shown while they are.
    FailOpenActive,
    /// Stream: media comes in.
    Live,
}

/// What a condition says, before it is merged with what the object says already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which condition.
    pub kind: ConditionType,
    /// `Some(true)` is `True`, `None` is `Unknown`.
    pub status: Option<bool>,
    /// PascalCase, the same word as in events and metrics.
    pub reason: &'static str,
    /// What is so, and what to do where something is wrong. Holds no secret.
    pub message: String,
}

impl Finding {
    /// It holds.
    pub fn yes(kind: ConditionType, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: Some(true),
            reason,
            message: message.into(),
        }
    }

    /// It does not hold.
    pub fn no(kind: ConditionType, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: Some(false),
            reason,
            message: message.into(),
        }
    }

    /// Not known yet.
    pub fn unknown(kind: ConditionType, reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            kind,
            status: None,
            reason,
            message: message.into(),
        }
    }

    fn status_word(&self) -> &'static str {
        match self.status {
            Some(true) => "True",
            Some(false) => "False",
            None => "Unknown",
        }
    }
}

/// The conditions an object should show: one a finding, in that order. `lastTransitionTime` stays unless the status word
/// changes, so that an unchanged finding is an unchanged status. `generation` is that of the spec, where the kind counts one.
pub fn merge(
    current: &[Condition],
    findings: &[Finding],
    generation: impl Into<Option<i64>>,
    now: Timestamp,
) -> Vec<Condition> {
    let generation = generation.into();
    let one = |f: &Finding| {
        let old = current
            .iter()
            .find(|c| c.type_ == f.kind.to_string() && c.status == f.status_word());
        Condition {
            type_: f.kind.to_string(),
            status: f.status_word().into(),
            reason: f.reason.into(),
            message: f.message.chars().take(1024).collect(),
            observed_generation: generation,
            last_transition_time: old.map_or(Time(now), |c| c.last_transition_time.clone()),
        }
    };
    findings.iter().map(one).collect()
}

/// Whether a condition stands at `True`.
pub fn is_true(conditions: &[Condition], kind: ConditionType) -> bool {
    conditions
        .iter()
        .any(|c| c.type_ == kind.to_string() && c.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_time_moves_only_when_the_status_word_does() {
        let first = merge(
            &[],
            &[Finding::no(ConditionType::Ready, "NoPods", "no pod is ready")],
            1,
            at(10),
        );
        let same = merge(
            &first,
            &[Finding::no(ConditionType::Ready, "Starting", "1 of 1")],
            2,
            at(20),
        );
        assert_eq!(same[0].last_transition_time, Time(at(10)));
        assert_eq!(
            (same[0].reason.as_str(), same[0].observed_generation),
            ("Starting", Some(2))
        );
        let flipped = merge(
            &same,
            &[Finding::yes(ConditionType::Ready, "Serving", "1 of 1")],
            2,
            at(30),
        );
        assert_eq!(flipped[0].last_transition_time, Time(at(30)));
        assert!(is_true(&flipped, ConditionType::Ready));
    }

    #[test]
    fn a_condition_nobody_finds_any_more_goes() {
        let first = merge(
            &[],
            &[Finding::unknown(ConditionType::Reachable, "NotAsked", "no call yet")],
            1,
            at(1),
        );
        assert!(merge(&first, &[], 1, at(2)).is_empty());
    }
}
