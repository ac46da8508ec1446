use super::*;
use crate::media_server::plan::{Planned, plan};
use crate::media_server::samples::{fetched, pod, ready, server, view};
use crate::media_server::validate::validate;
use headgate_api::condition::is_true;
use k8s_openapi::api::core::v1::Service;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn report_of(ready: bool, listeners: &str) -> PodReport {
    let yaml = format!("{{instance: i, sequence: 1, revision: r1, ready: {ready}, listeners: {listeners}}}");
    serde_yaml::from_str(&yaml).unwrap()
}

fn applied(fetched: Fetched, refused: Vec<Refusal>) -> Applied {
    let Planned { mut valid, work } = plan(validate(fetched));
    let wanted = work.as_ref().map(|w| w.config.revision.clone()).unwrap_or_default();
    let views = valid.fetched.pods.iter_mut().filter_map(|l| l.view.as_mut());
    views.for_each(|v| v.revision.clone_from(&wanted));
    Applied { valid, work, refused }
}

fn with_pod(spec: &str, status: &Value, report: Option<PodReport>) -> Applied {
    let mut fetched = fetched(spec);
    let mut linked = pod(&server(spec), 0, status);
    linked.view = report.map(view);
    fetched.pods = vec![linked];
    applied(fetched, vec![])
}

fn shown(applied: &Applied, kind: ConditionType) -> (String, String, String) {
    let all = status(applied).conditions;
    let found = all.into_iter().find(|c| c.type_ == kind.to_string()).unwrap();
    (found.status, found.reason, found.message)
}

#[test]
fn a_server_that_serves_says_this() {
    insta::assert_yaml_snapshot!(status(&with_pod("{}", &ready(), Some(report_of(true, "[]")))));
}

#[test]
fn why_it_is_not_ready_is_said() {
    let waits = |reason: &str| {
        json!({ "phase": "Pending", "containerStatuses": [{ "name": "media", "ready": false, "restartCount": 0, "image": "i", "imageID": "",
            "state": { "waiting": { "reason": reason, "message": "back-off" } } }] })
    };
    let unscheduled = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False", "message": "0/2 nodes" }] });
    let cases = [
        (waits("ContainerCreating"), "Starting", "ContainerCreating"),
        (waits("ImagePullBackOff"), "PodsNotReady", "ImagePullBackOff back-off"),
        (unscheduled, "PodsNotReady", "0/2 nodes"),
        (json!({ "phase": "Running" }), "Starting", "starts"),
    ];
    for (pod, reason, part) in cases {
        let (status, said, message) = shown(&with_pod("{}", &pod, None), ConditionType::Ready);
        assert_eq!((status.as_str(), said.as_str()), ("False", reason));
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn what_the_user_must_act_on_comes_first() {
    let mut foreign = Service::default();
    foreign.metadata.name = Some("live".into());
    let mut taken = fetched("{}");
    taken.children.client = Some(Arc::new(foreign));
    let (status, reason, message) = shown(&applied(taken, vec![]), ConditionType::Ready);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "NameTaken"));
    assert!(message.contains("delete or rename it"), "{message}");

    let quota = Refusal {
        reason: "PodRefused",
        message: "exceeded quota".into(),
    };
    let (_, reason, _) = shown(&applied(fetched("{}"), vec![quota]), ConditionType::Ready);
    assert_eq!(reason, "PodRefused");

    let (_, reason, _) = shown(
        &applied(fetched("{listeners: [{name: a, protocol: RTMP, port: 80}]}"), vec![]),
        ConditionType::Ready,
    );
    assert_eq!(reason, "PortNotAllowed");
}

#[test]
fn a_listener_that_could_not_be_opened_degrades_the_server() {
    let listeners = "[{name: rtmp, port: 1935, problem: {reason: AddressInUse, message: port is taken}}]";
    let degraded = with_pod("{}", &ready(), Some(report_of(true, listeners)));
    let (status, reason, message) = shown(&degraded, ConditionType::Degraded);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "ListenerFailed"));
    assert!(message.contains("1935"));
}

#[test]
fn a_new_operator_does_not_take_back_what_was_said_before_it_has_heard_of_the_pods() {
    let mut before = with_pod("{}", &ready(), Some(report_of(true, "[]")));
    let mut old = status(&before);
    old.streams = 7;
    old.viewers = "40+".into();
    let server = Arc::make_mut(&mut before.valid.fetched.server);
    server.status = Some(old.clone());
    before.valid.fetched.pods[0].view = None;
    assert_eq!(status(&before), old);
}

fn reporting(spec: &str, ordinal: usize, more: &str) -> Linked {
    let yaml = format!("{{instance: i, sequence: 1, revision: r1, ready: true, listeners: [], {more}}}");
    let mut linked = pod(&server(spec), ordinal, &ready());
    linked.view = Some(view(serde_yaml::from_str(&yaml).unwrap()));
    linked
}

fn draining(mut linked: Linked) -> Linked {
    let noted = Arc::make_mut(&mut linked.pod);
    let deadline = "2027-01-01T12:05:00Z".to_owned();
    noted
        .annotations_mut()
        .insert(crate::names::DRAIN_ANNOTATION.into(), deadline);
    linked
}

#[test]
fn who_drains_until_when_and_with_whom_is_said_without_a_clock() {
    let mut two = fetched("{replicas: 1}");
    let left = "draining: {deadline: 2027-01-01T12:05:00Z, publishers: 2, viewers: 140}";
    two.pods = vec![reporting("{}", 0, "streams: []"), draining(reporting("{}", 1, left))];
    let (said, later) = (two.pods.clone(), "2027-01-01T12:01:00Z".parse().unwrap());
    let first = status(&applied(two, vec![]));
    insta::assert_yaml_snapshot!(first);
    let mut again = fetched("{replicas: 1}");
    Arc::make_mut(&mut again.server).status = Some(first.clone());
    (again.pods, again.now) = (said, later);
    assert_eq!(status(&applied(again, vec![])), first);
}

#[test]
fn a_configuration_that_is_not_in_force_yet_is_said_to_go_in_place() {
    let mut behind = with_pod("{}", &ready(), Some(report_of(true, "[]")));
    assert!(progress::configuring(&behind).is_none());
    let view = behind.valid.fetched.pods[0].view.as_mut().unwrap();
    view.revision = "old".into();
    let (_, reason, message) = shown(&behind, ConditionType::Progressing);
    assert_eq!(reason, "Configuring");
    assert!(message.contains("in place: 0 of 1 have revision"), "{message}");
    let wanted = behind.work.as_ref().unwrap().config.revision.clone();
    behind.valid.fetched.pods[0].view.as_mut().unwrap().refused = Some(wanted);
    assert!(
        progress::configuring(&behind).is_none(),
        "it is said elsewhere that it was refused"
    );
}

#[test]
fn a_rollout_says_how_far_it_is() {
    let spec = "{replicas: 2, image: 'other:1'}";
    let mut rolling = fetched(spec);
    rolling.pods = vec![
        reporting("{}", 0, "streams: []"),
        reporting("{}", 1, "streams: []"),
        pod(&server(spec), 2, &json!({ "phase": "Pending" })),
    ];
    let (status, reason, message) = shown(&applied(rolling, vec![]), ConditionType::Progressing);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "RollingOut"));
    assert_eq!(message, "1 of 2 pods updated, 2 ready, 2 old left");
}

#[test]
fn a_rollout_that_does_not_go_on_says_why_and_that_the_old_pods_serve() {
    let spec = "{image: 'none:1'}";
    let waits = json!({ "phase": "Pending", "containerStatuses": [{ "name": "media", "ready": false, "restartCount": 0, "image": "i",
        "imageID": "", "state": { "waiting": { "reason": "ImagePullBackOff", "message": "no such image" } } }] });
    let mut stopped = fetched(spec);
    stopped.pods = vec![reporting("{}", 0, "streams: []"), pod(&server(spec), 1, &waits)];
    let stopped = applied(stopped, vec![]);
    assert!(stopped.work.as_ref().unwrap().delete.is_empty());
    for (kind, expected) in [(ConditionType::Progressing, "False"), (ConditionType::Degraded, "True")] {
        let (status, reason, message) = shown(&stopped, kind);
        assert_eq!((status.as_str(), reason.as_str()), (expected, "RolloutStopped"));
        assert!(
            message.contains("pod live-1 waits: ImagePullBackOff no such image"),
            "{message}"
        );
    }
    assert_eq!(shown(&stopped, ConditionType::Ready).0, "True");
}

#[test]
fn what_begins_and_what_is_cut_is_told_once() {
    let told = |spec: &str, pods: Vec<Linked>| {
        let mut fetched = fetched(spec);
        fetched.pods = pods;
        let notes = events::notes(&applied(fetched, vec![]));
        notes
            .into_iter()
            .map(|n| (n.reason, n.warning, n.message))
            .collect::<Vec<_>>()
    };
    let live = "streams: [{vhost: v, app: a, stream: s, session: 00000000-0000-0000-0000-000000000001, protocol: RTMP, address: x, clientId: c, started: 2027-01-01T00:00:00Z, bitrateKilobits: 1}]";
    let begins = told("{replicas: 0}", vec![reporting("{}", 0, live)]);
    assert_eq!(
        (begins.len(), begins[0].0.as_str(), begins[0].1),
        (1, "DrainStarted", false)
    );
    assert!(begins[0].2.contains("until 2027-01-01T12:10:00Z"), "{}", begins[0].2);
    assert!(told("{replicas: 0}", vec![draining(reporting("{}", 0, live))]).is_empty());
    let mut over = draining(reporting("{}", 0, live));
    let noted = Arc::make_mut(&mut over.pod);
    noted
        .annotations_mut()
        .insert(crate::names::DRAIN_ANNOTATION.into(), "2027-01-01T11:00:00Z".into());
    let over = told("{replicas: 0}", vec![over]);
    assert_eq!(
        (over.len(), over[0].0.as_str(), over[0].1),
        (1, "DrainDeadlineOver", true)
    );
    assert!(told("{replicas: 0}", vec![reporting("{}", 0, "streams: []")]).is_empty());
}

#[test]
fn a_server_that_is_deleted_says_so() {
    let mut deleted = fetched("{}");
    deleted.farewell = Some(crate::media_server::fetch::Farewell::Drain);
    assert_eq!(shown(&applied(deleted, vec![]), ConditionType::Ready).1, "Deleting");
}

#[test]
fn a_stopped_server_is_as_its_spec_asks() {
    let stopped = applied(fetched("{replicas: 0}"), vec![]);
    assert_eq!(shown(&stopped, ConditionType::Ready).1, "Stopped");
    assert!(is_true(&status(&stopped).conditions, ConditionType::Ready));
}

#[test]
fn streams_that_flap_and_sessions_that_are_too_many_degrade_the_server() {
    let mut flapping = with_pod("{}", &ready(), Some(report_of(true, "[]")));
    flapping.valid.fetched.slowed = Some(Duration::from_secs(1));
    assert_eq!(shown(&flapping, ConditionType::Degraded).1, "TooManyStreams");
    flapping.valid.fetched.survey.left_out = Some(("live-0".into(), 1234));
    let (_, reason, message) = shown(&flapping, ConditionType::Degraded);
    assert_eq!(reason, "TooManySessions");
    assert!(message.contains("live-0 has 1000+ open sessions"));
}

#[test]
fn a_pod_that_is_not_understood_degrades_its_server() {
    let mut lying = with_pod("{}", &ready(), Some(report_of(true, "[]")));
    let view = lying.valid.fetched.pods[0].view.as_mut().unwrap();
    view.lost(headgate_control::Problem {
        reason: "PodNotUnderstood".into(),
        message: "10.0.0.9:9443 sends a line longer than 8388608 bytes".into(),
    });
    let (status, reason, _) = shown(&lying, ConditionType::Degraded);
    assert_eq!((status.as_str(), reason.as_str()), ("True", "PodNotUnderstood"));
}

#[test]
fn a_listener_without_its_certificate_is_said_and_the_server_serves_on() {
    let spec = "{listeners: [{name: rtmp, protocol: RTMP, port: 1935}, {name: rtmps, protocol: RTMPS, port: 1936, tls: {secretName: cert}}]}";
    let applied = with_pod(spec, &ready(), None);
    let (status, reason, message) = shown(&applied, ConditionType::ResolvedRefs);
    assert_eq!((status.as_str(), reason.as_str()), ("False", "SecretNotFound"));
    assert!(
        message.starts_with("listener \"rtmps\": Secret \"cert\" does not exist"),
        "{message}"
    );
    assert_eq!(shown(&applied, ConditionType::Ready).0, "True");
    assert!(look_again(&applied).is_some_and(|wait| wait <= MISSING));
    assert!(
        super::status(&with_pod("{}", &ready(), None))
            .conditions
            .iter()
            .all(|c| c.type_ != "ResolvedRefs")
    );
}
