//! What a StreamKey or HookEndpoint should say of itself.

use crate::{KeyProblem, Secrets, config, credentials, hash_key, validate_hook, validate_key};
use headgate_api::condition::{ConditionType, Finding};
use headgate_api::{HookEndpoint, HookEndpointSpec, ObjectRef, StreamKey};
use headgate_control::{HookEvent, HookReport};
use std::collections::BTreeSet;

/// How far an object is in force in the pods of one server that it names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct InForce {
    /// Pods that take sessions.
    pub ready: usize,
    /// Those of them that run with the object as it is now.
    pub current: usize,
}

/// `Accepted` and `ResolvedRefs` of a key. `server_exists` is asked with the names of its servers.
pub fn key_findings(key: &StreamKey, server_exists: &dyn Fn(&str) -> bool, secrets: &dyn Secrets) -> Vec<Finding> {
    let spec = &key.spec;
    let accepted = accepted(
        validate_key(spec).map_err(|e| (e.reason(), e.to_string())),
        &spec.server_refs,
        server_exists,
    );
    let resolved = match hash_key(secrets, &spec.secret_ref.name, &spec.secret_ref.key) {
        Ok(_) => Finding::yes(ConditionType::ResolvedRefs, "Resolved", "the key is in its Secret"),
        Err(problem) => unresolved(&problem),
    };
    vec![accepted, resolved]
}

/// `Accepted` and `ResolvedRefs` of an endpoint.
pub fn hook_findings(hook: &HookEndpoint, server_exists: &dyn Fn(&str) -> bool, secrets: &dyn Secrets) -> Vec<Finding> {
    let spec = &hook.spec;
    let accepted = accepted(
        validate_hook(spec).map_err(|e| (e.reason(), e.to_string())),
        &spec.server_refs,
        server_exists,
    );
    let said = if spec.secrets().is_empty() {
        "it refers to no Secret"
    } else {
        "what it refers to is in its Secrets"
    };
    let resolved = match credentials(spec, secrets) {
        Ok(_) => Finding::yes(ConditionType::ResolvedRefs, "Resolved", said),
        Err(problem) => Finding::no(
            ConditionType::ResolvedRefs,
            problem.reason(),
            format!("{problem}; until then it is not called: failurePolicy decides, and notifications wait"),
        ),
    };
    vec![with_wish(with_silent(accepted, spec), hook), resolved]
}

/// Says that the wish for dead letters cannot be read; all else is as it would be.
fn with_wish(accepted: Finding, hook: &HookEndpoint) -> Finding {
    match config::replay(hook) {
        Some(Err(bad)) if accepted.status == Some(true) => Finding::yes(
            ConditionType::Accepted,
            "BadReplay",
            format!("{}; annotation {}: {bad}", accepted.message, config::REPLAY_ANNOTATION),
        ),
        _ => accepted,
    }
}

/// Names the events of which the back end will not hear: those that its dialect does not have, and those that nothing raises yet.
fn with_silent(accepted: Finding, spec: &HookEndpointSpec) -> Finding {
    let (dialect, events) = (config::dialect(spec.dialect), &spec.events);
    let named = if events.is_empty() {
        Vec::new()
    } else {
        config::events(spec)
    };
    let unknown: Vec<&HookEvent> = named.iter().filter(|event| !dialect.has(**event)).collect();
    let idle: Vec<&HookEvent> = named.iter().filter(|e| dialect.has(**e) && !e.has_source()).collect();
    if accepted.status != Some(true) || (unknown.is_empty() && idle.is_empty()) {
        return accepted;
    }
    let mut message = accepted.message;
    if !unknown.is_empty() {
        message = format!("{message}; {dialect} has no {}, which is never sent", list(&unknown));
    }
    if !idle.is_empty() {
        message = format!("{message}; nothing raises {} in this version yet", list(&idle));
    }
    Finding::yes(ConditionType::Accepted, "SomeEventsNeverFire", message)
}

fn list(events: &[&HookEvent]) -> String {
    let names: Vec<String> = events.iter().map(ToString::to_string).collect();
    names.join(", ")
}

/// `Programmed`: in force in every ready pod of every server. `earlier` are the findings above.
pub fn programmed(earlier: &[Finding], suspended: bool, servers: &[(String, InForce)]) -> Finding {
    let kind = ConditionType::Programmed;
    if let Some(bad) = earlier.iter().find(|f| f.status != Some(true)) {
        return Finding::no(kind, bad.reason, format!("not in force: {}", bad.message));
    }
    if let Some((server, _)) = servers.iter().find(|(_, s)| s.ready == 0) {
        return Finding::no(
            kind,
            "NoReadyPods",
            format!("MediaServer {server:?} has no ready pod: see its conditions"),
        );
    }
    if let Some((server, s)) = servers.iter().find(|(_, s)| s.current < s.ready) {
        let message = format!(
            "in force in {} of {} ready pods of MediaServer {server:?}",
            s.current, s.ready
        );
        return Finding::no(kind, "Pushing", message);
    }
    if suspended {
        return Finding::yes(kind, "Suspended", "switched off in every ready pod by `spec.suspend`");
    }
    Finding::yes(kind, "Programmed", "in force in every ready pod")
}

/// What the pods say of a back end, all together.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Back {
    /// One a pod.
    pub reports: Vec<HookReport>,
}

/// `Reachable` and `Delivering` of an endpoint, from what its pods report.
pub fn reachable(back: &Back) -> [Finding; 2] {
    let (reach, deliver) = (ConditionType::Reachable, ConditionType::Delivering);
    let failing = back
        .reports
        .iter()
        .find(|r| r.reachable == Some(false))
        .and_then(|r| r.last_failure.as_ref());
    let denied = back.reports.iter().find_map(|r| r.last_failure.as_ref());
    let called = back.reports.iter().any(|r| r.reachable.is_some());
    let answered = back.reports.iter().any(|r| r.answered);
    // A call failed, and only a probe has found the back end since: it takes connections, and may still not answer.
    let unanswered = |r: &&HookReport| r.reachable == Some(true) && !r.answered;
    let doubtful = back
        .reports
        .iter()
        .filter(unanswered)
        .find_map(|r| r.last_failure.as_ref());
    let first = match (failing, denied) {
        (Some(failure), _) => Finding::no(
            reach,
            known(&failure.reason),
            format!("{}: {}", failure.event, failure.message),
        ),
        (None, Some(failure)) if called && failure.reason == "HookDenied" => Finding::yes(
            reach,
            "HookDenied",
            format!(
                "it answers; the last refusal was {}: {}",
                failure.event, failure.message
            ),
        ),
        _ if let Some(failure) = doubtful => Finding::yes(
            reach,
            "Reachable",
            format!(
                "it takes connections; the last call failed with {}: {}: {}",
                known(&failure.reason),
                failure.event,
                failure.message
            ),
        ),
        _ if answered => Finding::yes(
            reach,
            "Answering",
            format!("it gives valid answers{}", idle_options(back)),
        ),
        _ if called => Finding::yes(reach, "Reachable", "it takes connections; no call has been made yet"),
        _ => Finding::unknown(reach, "NotCalledYet", "no pod has tried to connect to it yet"),
    };
    let pending: u64 = back.reports.iter().map(|r| u64::from(r.pending)).sum();
    let suspended = back.reports.iter().any(|r| r.suspended);
    let in_memory = back.reports.iter().any(|r| r.in_memory);
    let second = if suspended {
        Finding::no(
            deliver,
            "Gone",
            format!(
                "it answered 410: {} notifications wait until it is edited or answers again",
                crate::coarse(pending)
            ),
        )
    } else if in_memory {
        Finding::no(
            deliver,
            "OutboxNotWritten",
            "the disk of a pod does not take notifications: they are sent, and what waits is lost with its process",
        )
    } else if (failing.is_some() || doubtful.is_some()) && pending > 0 {
        Finding::no(
            deliver,
            "Retrying",
            format!("{} notifications wait and are tried again", crate::coarse(pending)),
        )
    } else {
        Finding::yes(deliver, "Delivering", "notifications go out as they come")
    };
    [first, second]
}

/// What is shown while it holds: `CircuitClosed`, when a pod does not ask; `FailOpenActive`, when one lets sessions in without an answer.
pub fn troubles(back: &Back) -> Vec<Finding> {
    let last = back.reports.iter().find(|r| r.circuit_open);
    let open = last.map(|report| {
        let why = report.last_failure.as_ref().map(|failure| {
            format!(
                "; the last call failed with {}: {}",
                known(&failure.reason),
                failure.message
            )
        });
        Finding::no(
            ConditionType::CircuitClosed,
            "CircuitOpen",
            format!(
                "it has not answered, and is asked once in 5 s until it does; meanwhile failurePolicy decides{}",
                why.unwrap_or_default()
            ),
        )
    });
    let passed = back.reports.iter().any(|r| r.fail_open).then(|| {
        Finding::yes(
            ConditionType::FailOpenActive,
            "LetInWithoutAnswer",
            "failurePolicy lets sessions in without a valid answer of it: see headgate_hook_fail_open_total",
        )
    });
    open.into_iter().chain(passed).collect()
}

/// Which of the options that it answers with do nothing.
fn idle_options(back: &Back) -> String {
    let options: BTreeSet<&str> = back
        .reports
        .iter()
        .flat_map(|r| r.idle_options.iter().map(String::as_str))
        .collect();
    if options.is_empty() {
        return String::new();
    }
    let names: Vec<&str> = options.into_iter().collect();
    format!(
        "; kept, and not in force in this version, are its options {}",
        names.join(", ")
    )
}

fn accepted(
    valid: Result<(), (&'static str, String)>,
    servers: &[ObjectRef],
    exists: &dyn Fn(&str) -> bool,
) -> Finding {
    let kind = ConditionType::Accepted;
    if let Err((reason, message)) = valid {
        return Finding::no(kind, reason, message);
    }
    match servers.iter().find(|s| !exists(&s.name)) {
        Some(missing) => Finding::no(
            kind,
            "ServerNotFound",
            format!(
                "MediaServer {:?} does not exist in this namespace: create it, or correct serverRefs",
                missing.name
            ),
        ),
        None => Finding::yes(kind, "Accepted", "the spec is valid and its servers exist"),
    }
}

fn unresolved(problem: &KeyProblem) -> Finding {
    Finding::no(ConditionType::ResolvedRefs, problem.reason(), problem.to_string())
}

/// A pod's word may only be one of ours, so that reasons stay a bounded set.
fn known(reason: &str) -> &'static str {
    let all = [
        "HookTimeout",
        "HookUnreachable",
        "HookBadStatus",
        "HookBadAnswer",
        "HookDenied",
        "HookCircuitOpen",
    ];
    all.into_iter().find(|r| *r == reason).unwrap_or("HookFailed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_control::HookFailure;

    fn report(reachable: Option<bool>, failure: Option<&str>, pending: u32) -> HookReport {
        let last_failure = failure.map(|reason| HookFailure {
            event: "on_publish".into(),
            reason: reason.into(),
            message: "status 500".into(),
            time: jiff::Timestamp::UNIX_EPOCH,
        });
        HookReport {
            name: "b".into(),
            reachable,
            answered: false,
            last_failure,
            pending,
            ..HookReport::default()
        }
    }

    fn answered(failure: Option<&str>) -> HookReport {
        HookReport {
            answered: true,
            ..report(Some(true), failure, 0)
        }
    }

    #[test]
    fn a_back_end_is_what_its_pods_say_it_is() {
        let (yes, no) = (Some(true), Some(false));
        let cases = [
            (vec![], None, "NotCalledYet"),
            (vec![report(None, None, 0)], None, "NotCalledYet"),
            (vec![report(yes, None, 0)], yes, "Reachable"),
            (vec![answered(None)], yes, "Answering"),
            (vec![report(yes, None, 0), answered(None)], yes, "Answering"),
            (vec![answered(Some("HookDenied"))], yes, "HookDenied"),
            (vec![report(yes, Some("HookTimeout"), 0)], yes, "Reachable"),
            (
                vec![answered(None), report(yes, Some("HookUnreachable"), 0)],
                yes,
                "Reachable",
            ),
            (vec![report(no, Some("HookUnreachable"), 0)], no, "HookUnreachable"),
            (vec![report(no, Some("HookBadStatus"), 0)], no, "HookBadStatus"),
            (
                vec![answered(None), report(no, Some("SomethingElse"), 0)],
                no,
                "HookFailed",
            ),
        ];
        for (reports, status, reason) in cases {
            let [reach, _] = reachable(&Back {
                reports: reports.clone(),
            });
            assert_eq!((reach.status, reach.reason), (status, reason), "{reports:?}");
        }
    }

    #[test]
    fn a_back_end_that_took_a_connection_after_a_failed_call_is_said_to_have_failed() {
        let reports = vec![report(Some(true), Some("HookTimeout"), 0)];
        let [reach, _] = reachable(&Back { reports });
        let said = "it takes connections; the last call failed with HookTimeout: on_publish: status 500";
        assert_eq!(reach.message, said);
    }

    #[test]
    fn an_open_circuit_and_an_open_door_are_shown_while_they_are() {
        let closed = troubles(&Back {
            reports: vec![answered(None)],
        });
        assert_eq!(closed, []);
        let reports = vec![HookReport {
            circuit_open: true,
            fail_open: true,
            ..report(Some(false), Some("HookTimeout"), 0)
        }];
        let shown = troubles(&Back { reports });
        let words: Vec<_> = shown.iter().map(|f| (f.kind, f.status, f.reason)).collect();
        assert_eq!(
            words,
            [
                (ConditionType::CircuitClosed, Some(false), "CircuitOpen"),
                (ConditionType::FailOpenActive, Some(true), "LetInWithoutAnswer"),
            ]
        );
        assert!(shown[0].message.ends_with("failed with HookTimeout: status 500"));
    }

    #[test]
    fn options_that_do_nothing_are_named() {
        let with = |options: &[&str]| HookReport {
            idle_options: options.iter().map(ToString::to_string).collect(),
            ..answered(None)
        };
        let reports = vec![with(&["enable_hls"]), with(&[]), with(&["enable_hls", "enable_mp4"])];
        let [reach, _] = reachable(&Back { reports });
        let said =
            "it gives valid answers; kept, and not in force in this version, are its options enable_hls, enable_mp4";
        assert_eq!((reach.reason, reach.message.as_str()), ("Answering", said));
    }

    #[test]
    fn a_backlog_at_a_failing_back_end_is_not_delivering() {
        let of = |reports| {
            let [_, deliver] = reachable(&Back { reports });
            (deliver.status, deliver.reason)
        };
        let retrying = (Some(false), "Retrying");
        assert_eq!(of(vec![report(Some(false), Some("HookTimeout"), 12)]), retrying);
        assert_eq!(of(vec![report(Some(true), Some("HookTimeout"), 12)]), retrying);
        let delivering = (Some(true), "Delivering");
        assert_eq!(of(vec![report(Some(true), None, 12)]), delivering);
        assert_eq!(of(vec![answered(Some("HookDenied"))]), delivering);
    }

    fn accepted_of(rest: &str) -> Finding {
        let yaml = format!(
            "{{apiVersion: headgate.dev/v1alpha1, kind: HookEndpoint, metadata: {{name: b}}, spec: {{serverRefs: [{{name: live}}], urls: ['http://b/x'], {rest}}}}}"
        );
        let hook: HookEndpoint = serde_yaml::from_str(&yaml).unwrap();
        hook_findings(&hook, &|_| true, &NoSecrets).remove(0)
    }

    struct NoSecrets;
    impl Secrets for NoSecrets {
        fn entry(&self, _: &str, _: &str) -> crate::KeySource<'_> {
            crate::KeySource::NoSecret
        }
    }

    #[test]
    fn an_endpoint_says_which_secret_it_misses_and_what_comes_of_it() {
        let yaml = "{apiVersion: headgate.dev/v1alpha1, kind: HookEndpoint, metadata: {name: b}, spec: {serverRefs: [{name: live}], urls: ['http://b/x'], dialect: SRS, signing: {secretRef: {name: s}}}}";
        let hook: HookEndpoint = serde_yaml::from_str(yaml).unwrap();
        let resolved = hook_findings(&hook, &|_| true, &NoSecrets).remove(1);
        assert_eq!((resolved.status, resolved.reason), (Some(false), "SecretNotFound"));
        assert!(
            resolved.message.contains("failurePolicy decides"),
            "{}",
            resolved.message
        );
    }

    #[test]
    fn a_back_end_that_said_it_is_gone_and_a_disk_that_is_full_are_not_delivering() {
        let reason = |report: HookReport| {
            let [_, deliver] = reachable(&Back { reports: vec![report] });
            (deliver.status, deliver.reason)
        };
        let gone = HookReport {
            suspended: true,
            ..answered(None)
        };
        assert_eq!(reason(gone), (Some(false), "Gone"));
        let full = HookReport {
            in_memory: true,
            ..answered(None)
        };
        assert_eq!(reason(full), (Some(false), "OutboxNotWritten"));
    }

    #[test]
    fn an_endpoint_says_which_of_its_events_it_will_never_get() {
        let fine = "the spec is valid and its servers exist";
        let full = accepted_of(
            "dialect: ZLMediaKit, events: [Publish, Play, StreamChanged, FlowReport, StreamNoneReader, StreamNotFound]",
        );
        assert_eq!((full.reason, full.message.as_str()), ("Accepted", fine));
        assert_eq!(accepted_of("dialect: Oryx").reason, "Accepted");
        let some = accepted_of("dialect: SRS, events: [Publish, Dvr, FlowReport, StreamChanged]");
        assert_eq!((some.status, some.reason), (Some(true), "SomeEventsNeverFire"));
        let said = format!(
            "{fine}; SRS has no FlowReport, StreamChanged, which is never sent; nothing raises Dvr in this version yet"
        );
        assert_eq!(some.message, said);
    }

    #[test]
    fn programmed_waits_for_the_last_ready_pod() {
        let fine = [Finding::yes(ConditionType::Accepted, "Accepted", "")];
        let on = |ready, current| programmed(&fine, false, &[("live".into(), InForce { ready, current })]);
        assert_eq!((on(0, 0).status, on(0, 0).reason), (Some(false), "NoReadyPods"));
        assert_eq!((on(2, 1).status, on(2, 1).reason), (Some(false), "Pushing"));
        assert_eq!((on(2, 2).status, on(2, 2).reason), (Some(true), "Programmed"));
        let bad = [Finding::no(ConditionType::Accepted, "BadGlob", "m")];
        assert_eq!(programmed(&bad, false, &[]).reason, "BadGlob");
    }
}
