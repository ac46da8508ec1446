use super::*;
use crate::media_server::fetch::Linked;
use crate::media_server::samples::{fetched, noon, pod, ready, server, view};
use crate::media_server::validate::validate;
use crate::names::label;
use crate::tls::{Authority, Material, Pair, Verdict};
use headgate_control::PodReport;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use serde_json::json;
use std::sync::Arc;

const FULL: &str = "{image: 'mine:2', listeners: [{name: rtmp, protocol: RTMP, port: 1936}], expose: {type: LoadBalancer, annotations: {a: b}}, \
     podTemplate: {metadata: {labels: {team: video, headgate.dev/server: other}, annotations: {x: y}}, spec: {nodeSelector: {disk: ssd}, \
     resources: {limits: {memory: 1Gi}}, tolerations: [{key: media, operator: Exists}]}}}";

fn work(fetched: crate::media_server::fetch::Fetched) -> Work {
    plan(validate(fetched)).work.unwrap()
}

#[test]
fn an_empty_spec_becomes_this_pod() {
    insta::assert_yaml_snapshot!(work(fetched("{}")).create);
}

#[test]
fn a_full_spec_becomes_this_pod() {
    insta::assert_yaml_snapshot!(work(fetched(FULL)).create);
}

#[test]
fn an_empty_spec_becomes_these_services() {
    let services: Vec<_> = work(fetched("{}")).services.into_iter().map(|(s, _)| s).collect();
    insta::assert_yaml_snapshot!(services);
}

#[test]
fn a_full_spec_becomes_this_client_service() {
    let services = work(fetched(FULL)).services;
    insta::assert_yaml_snapshot!(services[1].0);
}

#[test]
fn a_key_that_was_in_the_pods_secret_is_good_for_a_while_beside_the_new_one() {
    let key = |overlap: u32| -> headgate_api::StreamKey {
        serde_json::from_value(json!({
            "apiVersion": "headgate.dev/v1alpha1", "kind": "StreamKey", "metadata": { "name": "k", "namespace": "a" },
            "spec": { "serverRefs": [{ "name": "live" }], "stream": { "app": "live" }, "secretRef": { "name": "s" },
                "rotationOverlapSeconds": overlap },
        }))
        .unwrap()
    };
    let holding = |text: &str, overlap: u32| {
        let mut fetched = fetched("{}");
        fetched.keys = vec![Arc::new(key(overlap))];
        let secret: Secret = serde_json::from_value(
            json!({ "metadata": { "name": "s" }, "data": { "key": k8s_openapi::ByteString(text.into()) } }),
        )
        .unwrap();
        fetched.secrets = [Arc::new(secret)].into_iter().collect();
        fetched
    };
    let authority = Authority::issue("live", noon()).unwrap();
    let before = config_for(&holding("old", 60), vec![]);
    let json = serde_json::to_vec(&before).unwrap();
    let known = keys_file(&holding("old", 60), &before);
    let mut stored = pod_secret(&server("{}"), (&json, known), authority.pair(), authority.pair(), "");
    // As the cache keeps it.
    crate::cache::Slim::slim(&mut stored);
    let after = |overlap| {
        let mut fetched = holding("new", overlap);
        fetched.children.pod_secret = Some(Arc::new(stored.clone()));
        config_for(&fetched, vec![]).keys.remove(0)
    };
    assert_eq!(after(0).previous, []);
    let [previous] = &after(60).previous[..] else {
        panic!("one key was there before")
    };
    assert_eq!(previous.hash, before.keys[0].hash);
    assert_eq!(previous.until.as_second(), noon().as_second().saturating_add(60));
}

#[test]
fn the_secrets_carry_these_entries() {
    let (authority, server) = (Authority::issue("live", noon()).unwrap(), server("{}"));
    let certificate = authority.server("live.a.media.headgate", noon()).unwrap();
    let entries = |s: &Secret| s.data.clone().unwrap().into_keys().collect::<Vec<_>>();
    let seal = seal(None, None);
    let ca = authority_secret(&server, authority.pair(), &seal);
    let pod = pod_secret(&server, (b"{}", None), &certificate, authority.pair(), &seal);
    assert_eq!(entries(&ca), ["seal.key", "tls.crt", "tls.key"]);
    assert_eq!(
        entries(&pod),
        ["ca.crt", "config.json", "seal.key", "tls.crt", "tls.key"]
    );
    let key = pod.data.as_ref().unwrap()["tls.key"].clone();
    assert_ne!(ca.data.unwrap()["tls.key"], key, "the CA's key stays out of the pods");
    assert_eq!(
        (label(&pod, names::SECRET_LABEL), label(&pod, names::SERVER_LABEL)),
        (Some("pod"), Some("live"))
    );
}

#[test]
fn a_ca_whose_secret_was_deleted_or_broken_stays_in_force_and_one_that_was_replaced_does_not() {
    let [ours, other] = [(); 2].map(|()| Authority::issue("live", noon()).unwrap());
    let name = "live.a.media.headgate";
    let leaf = ours.server(name, noon()).unwrap();
    let verdicts = |in_secret: Option<&str>, remembered: bool| {
        let mut fetched = fetched("{}");
        let server = fetched.server.clone();
        let seal = seal(None, None);
        let pair = match in_secret {
            Some("broken") => Some(Pair {
                certificate: "no".into(),
                ..ours.pair().clone()
            }),
            Some("other") => Some(other.pair().clone()),
            Some(_) => Some(ours.pair().clone()),
            None => None,
        };
        fetched.children.authority = pair.map(|pair| Arc::new(authority_secret(&server, &pair, &seal)));
        fetched.children.pod_secret = Some(Arc::new(pod_secret(
            &server,
            (b"{}".as_slice(), None),
            &leaf,
            ours.pair(),
            &seal,
        )));
        fetched.remembered = remembered.then(|| Material::from(ours.pair().clone()));
        let work = work(fetched);
        (work.authority, work.certificate)
    };
    let keep = (Verdict::Keep, Verdict::Keep);
    assert_eq!(verdicts(Some("ours"), false), keep);
    assert_eq!((verdicts(None, true), verdicts(Some("broken"), true)), (keep, keep));
    assert_eq!(verdicts(None, false).0, Verdict::Issue("Missing"));
    assert_eq!(
        verdicts(Some("other"), true),
        (Verdict::Keep, Verdict::Issue("OtherAuthority"))
    );
}

#[test]
fn the_seal_is_made_once_and_outlives_either_secret() {
    let (authority, server) = (Authority::issue("live", noon()).unwrap(), server("{}"));
    let first = seal(None, None);
    assert_eq!(first.len(), 64);
    assert_ne!(first, seal(None, None));
    let ca = authority_secret(&server, authority.pair(), &first);
    let pod = pod_secret(&server, (b"{}", None), authority.pair(), authority.pair(), &first);
    assert_eq!(seal(Some(&ca), None), first);
    assert_eq!(seal(None, Some(&pod)), first);
    let mut edited = ca.clone();
    edited
        .data
        .get_or_insert_default()
        .insert("seal.key".into(), k8s_openapi::ByteString(b"no".into()));
    assert_eq!(seal(Some(&edited), Some(&pod)), first);
}

#[test]
fn the_budget_selects_pods_with_publishers() {
    insta::assert_yaml_snapshot!(work(fetched("{}")).budget.unwrap().0);
}

#[test]
fn an_unchanged_child_is_not_written_again_and_an_edited_one_is() {
    let planned = stamped(service::client(&server("{}")));
    let mut live = planned.clone();
    live.metadata.uid = Some("x".into());
    live.spec.get_or_insert_default().cluster_ip = Some("10.1.2.3".into());
    assert!(!needs_write(Some(&live), &planned));
    assert!(needs_write(None, &planned));
    let less = stamped(service::client(&server("{expose: {annotations: {a: b}}}")));
    assert!(
        needs_write(Some(&less), &planned),
        "an annotation that is wanted no more"
    );
    live.spec.get_or_insert_default().ports.get_or_insert_default().clear();
    assert!(needs_write(Some(&live), &planned));
}

#[test]
fn neither_the_operators_default_image_nor_a_listener_restarts_a_pod() {
    let mut later = fetched("{listeners: [{name: rtmp, protocol: RTMP, port: 1936}]}");
    later.media_image = "headgate/media-pod:2".into();
    later.pods = vec![pod(&server("{}"), 0, &ready())];
    assert!(work(later).choice.is_settled());
}

#[test]
fn another_deadline_is_no_reason_for_another_pod_and_is_in_the_next_one() {
    let mut later = fetched("{drain: {deadlineSeconds: 7}}");
    later.pods = vec![pod(&server("{}"), 0, &ready())];
    let work = work(later);
    assert!(work.choice.is_settled());
    assert_eq!(work.config.drain.deadline_seconds, 7);
    let grace = |spec: &str| {
        let pod = self::work(fetched(spec)).create.remove(0);
        pod.spec.unwrap().termination_grace_period_seconds
    };
    assert_eq!(
        (grace("{}"), grace("{drain: {deadlineSeconds: 7}}")),
        (Some(660), Some(67))
    );
}

const STREAM: &str = "{vhost: v, app: a, stream: s, session: 00000000-0000-0000-0000-000000000001, protocol: RTMP, address: x, clientId: c, started: 2027-01-01T00:00:00Z, bitrateKilobits: 1}";

/// A pod that reports so, beside what every report has.
fn reporting(mut pod: Linked, more: &str) -> Linked {
    let report: PodReport = serde_yaml::from_str(&format!(
        "{{instance: i, sequence: 1, revision: r, ready: true, {more}}}"
    ))
    .unwrap();
    pod.view = Some(view(report));
    pod
}

fn live(ordinal: usize) -> Linked {
    reporting(pod(&server("{}"), ordinal, &ready()), &format!("streams: [{STREAM}]"))
}

fn idle(ordinal: usize) -> Linked {
    reporting(pod(&server("{}"), ordinal, &ready()), "streams: []")
}

fn noted(mut linked: Linked, deadline: &str) -> Linked {
    let pod = Arc::make_mut(&mut linked.pod);
    pod.annotations_mut()
        .insert(names::DRAIN_ANNOTATION.into(), deadline.into());
    linked
}

fn of(spec: &str, pods: Vec<Linked>) -> Work {
    let mut fetched = fetched(spec);
    fetched.pods = pods;
    work(fetched)
}

#[test]
fn a_live_pod_that_must_go_is_told_until_when_and_it_is_written_down_first() {
    let work = of("{replicas: 0}", vec![live(0)]);
    assert!(work.delete.is_empty());
    insta::assert_yaml_snapshot!(work.marks[0].patch);
    let deadline = "2027-01-01T12:10:00Z".parse().unwrap();
    assert_eq!(work.wishes["live-0"], Wish::Leave(deadline));
    assert_eq!(work.marks[0].begins.unwrap().1, deadline);
}

#[test]
fn a_drain_keeps_its_deadline_unless_a_shorter_one_is_wanted_now() {
    let until = |spec: &str| {
        let mut pod = noted(live(0), "2027-01-01T12:05:00Z");
        Arc::make_mut(&mut pod.pod)
            .labels_mut()
            .insert(names::LIVE_LABEL.into(), "true".into());
        let work = of(spec, vec![pod]);
        (work.wishes["live-0"], work.marks.len())
    };
    let at = |time: &str| Wish::Leave(time.parse().unwrap());
    assert_eq!(until("{replicas: 0}"), (at("2027-01-01T12:05:00Z"), 0));
    assert_eq!(
        until("{replicas: 0, drain: {deadlineSeconds: 86400}}"),
        (at("2027-01-01T12:05:00Z"), 0)
    );
    assert_eq!(
        until("{replicas: 0, drain: {deadlineSeconds: 60}}"),
        (at("2027-01-01T12:01:00Z"), 1)
    );
    assert_eq!(
        until("{replicas: 0, drain: {deadlineSeconds: 298}}").1,
        0,
        "clocks differ"
    );
}

#[test]
fn a_pod_past_its_deadline_goes_and_one_that_nobody_is_in_goes_before() {
    let graces = |pod: Linked| {
        of("{replicas: 0}", vec![pod])
            .delete
            .iter()
            .map(|r| r.grace)
            .collect::<Vec<_>>()
    };
    let (before, after) = ("2027-01-01T12:05:00Z", "2027-01-01T12:00:00Z");
    assert_eq!(graces(noted(live(0), before)), []);
    assert_eq!(graces(noted(live(0), after)), [Some(60)]);
    assert_eq!(graces(noted(idle(0), before)), [None]);
    let unheard = noted(pod(&server("{}"), 0, &ready()), before);
    assert_eq!(graces(unheard), [], "nobody hears of it and it runs");
    let watched = |quiet| {
        let report = "draining: {deadline: 2027-01-01T12:05:00Z, publishers: 0, viewers: 3}";
        let mut linked = noted(reporting(pod(&server("{}"), 0, &ready()), report), before);
        linked.quiet = Some(Duration::from_secs(quiet));
        linked
    };
    assert_eq!(graces(watched(9)), []);
    assert_eq!(graces(watched(10)), [None]);
}

#[test]
fn what_is_written_down_and_no_time_is_taken_off() {
    let work = of("{}", vec![noted(idle(0), "soon")]);
    assert_eq!(
        work.marks[0].patch["metadata"]["annotations"],
        json!({ "headgate.dev/drain-deadline": null })
    );
    assert_eq!(work.wishes["live-0"], Wish::Serve);
}

#[test]
fn a_pod_on_its_way_out_by_another_hand_is_not_told_anything() {
    let mut pod = live(0);
    Arc::make_mut(&mut pod.pod).metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(noon()));
    let work = of("{}", vec![pod]);
    assert_eq!((work.wishes["live-0"], work.marks.len()), (Wish::AsItIs, 0));
    assert_eq!(work.create.len(), 1);
}

#[test]
fn a_pod_carries_a_label_just_while_it_has_publishers() {
    let label = |mut linked: Linked, labelled: bool| {
        if labelled {
            Arc::make_mut(&mut linked.pod)
                .labels_mut()
                .insert(names::LIVE_LABEL.into(), "true".into());
        }
        let work = of("{}", vec![linked]);
        work.marks
            .first()
            .map(|m| m.patch["metadata"]["labels"][names::LIVE_LABEL].clone())
    };
    assert_eq!(label(live(0), false), Some(json!("true")));
    assert_eq!(label(live(0), true), None);
    assert_eq!(label(idle(0), true), Some(json!(null)));
    assert_eq!(label(idle(0), false), None);
    assert_eq!(label(pod(&server("{}"), 0, &ready()), true), None, "nobody can tell");
}

#[test]
fn a_rollout_makes_a_new_pod_first() {
    let image = "{image: 'other:1'}";
    let work = of(image, vec![idle(0)]);
    assert_eq!((work.delete.len(), work.marks.len(), work.create.len()), (0, 0, 1));
    assert_eq!(work.create[0].name_any(), "live-1");
}

#[test]
fn a_running_pod_that_nobody_has_heard_of_is_not_taken_for_idle() {
    let unheard = |status: &serde_json::Value| {
        let mut linked = pod(&server("{}"), 0, status);
        let mut view = crate::link::View::default();
        view.lost(headgate_control::Problem {
            reason: "PodUnreachable".into(),
            message: "m".into(),
        });
        linked.view = Some(view);
        of("{replicas: 0}", vec![linked])
    };
    let asked = of("{replicas: 0}", vec![pod(&server("{}"), 0, &ready())]);
    assert_eq!(
        (asked.delete.len(), asked.marks.len()),
        (0, 0),
        "its word is on the way"
    );
    let was_ready = unheard(&ready());
    assert_eq!((was_ready.delete.len(), was_ready.marks.len()), (0, 1));
    let mut new = ready();
    new["startTime"] = json!("2027-01-01T11:00:00Z");
    new["conditions"] = json!([{ "type": "Ready", "status": "False", "reason": "ContainersNotReady", "lastTransitionTime": "2027-01-01T11:00:01Z" }]);
    assert_eq!(unheard(&new).delete.len(), 1, "it has never been ready");
    new["conditions"][0]["lastTransitionTime"] = json!("2027-01-01T11:30:00Z");
    assert_eq!(unheard(&new).delete.len(), 0, "it was");
}

fn on(mut linked: Linked, cordoned: bool, silent: bool, given_up: bool) -> Linked {
    linked.node = crate::node::Standing {
        known: true,
        cordoned,
        silent,
        others_since: silent.then_some(Timestamp::UNIX_EPOCH),
        given_up,
    };
    linked
}

#[test]
fn a_pod_on_a_silent_node_is_replaced_after_half_a_minute_and_left_alone() {
    let since = |time: &str| {
        let mut status = ready();
        status["conditions"] = json!([{ "type": "Ready", "status": "False", "lastTransitionTime": time }]);
        let silent = on(pod(&server("{}"), 0, &status), false, true, false);
        let work = of("{}", vec![silent]);
        assert!(work.delete.is_empty() && work.marks.is_empty());
        (work.create.len(), work.next)
    };
    assert_eq!(since("2027-01-01T11:59:40Z"), (0, Some(Duration::from_secs(10))));
    assert_eq!(since("2027-01-01T11:59:30Z"), (1, None));
}

#[test]
fn no_pod_is_replaced_while_no_node_answers_nor_before_all_have_had_time_to() {
    let mut status = ready();
    status["conditions"] =
        json!([{ "type": "Ready", "status": "False", "lastTransitionTime": "2027-01-01T11:00:00Z" }]);
    let seen = |others_since: Option<&str>| {
        let mut silent = on(pod(&server("{}"), 0, &status), false, true, false);
        silent.node.others_since = others_since.map(|time| time.parse().unwrap());
        let work = of("{}", vec![silent]);
        (work.create.len(), work.next)
    };
    assert_eq!(seen(None), (0, Some(Duration::from_secs(30))), "looked at again");
    assert_eq!(seen(Some("2027-01-01T11:59:45Z")), (0, Some(Duration::from_secs(105))));
    assert_eq!(seen(Some("2027-01-01T11:58:00Z")), (1, None));
}

#[test]
fn a_pod_that_runs_and_does_not_get_ready_is_looked_at_again_after_a_minute() {
    let mut status = ready();
    status["conditions"] = json!([{ "type": "Ready", "status": "False", "reason": "ContainersNotReady" }]);
    status["containerStatuses"][0]["state"] = json!({ "running": { "startedAt": "2027-01-01T11:59:20Z" } });
    let work = of("{}", vec![pod(&server("{}"), 0, &status)]);
    assert_eq!(work.next, Some(Duration::from_secs(20)));
}

#[test]
fn a_pod_on_a_node_that_was_given_up_goes_at_once() {
    let mut gone = on(live(0), false, true, true);
    Arc::make_mut(&mut gone.pod).metadata.deletion_timestamp =
        Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(noon()));
    let work = of("{}", vec![gone]);
    assert_eq!((work.delete[0].grace, work.delete[0].publishers), (Some(0), 1));
    assert_eq!(work.create.len(), 1);
}

#[test]
fn a_pod_on_a_cordoned_node_waits_for_another_one() {
    let work = of("{}", vec![on(live(0), true, false, false)]);
    assert_eq!((work.create.len(), work.wishes["live-0"]), (1, Wish::Serve));
    let work = of("{}", vec![on(live(0), true, false, false), idle(1)]);
    assert!(matches!(work.wishes["live-0"], Wish::Leave(_)));
}

#[test]
fn pods_know_each_other_while_they_have_an_address() {
    let at = |ordinal, ip: &str, phase: &str| {
        let mut status = ready();
        status["podIP"] = json!(ip);
        status["phase"] = json!(phase);
        pod(&server("{replicas: 2}"), ordinal, &status)
    };
    let peers = |pods: Vec<Linked>| -> Vec<String> {
        let config = of("{replicas: 2}", pods).config;
        config
            .peers
            .iter()
            .map(|p| format!("{} {}", p.name, p.address))
            .collect()
    };
    let both = ["live-0 10.0.0.1:9443", "live-1 [fd00::1]:9443"];
    assert_eq!(
        peers(vec![at(1, "fd00::1", "Running"), at(0, "10.0.0.1", "Running")]),
        both
    );
    assert!(peers(vec![at(0, "10.0.0.1", "Running"), at(1, "10.0.0.2", "Failed")]).is_empty());
    let mut unready = at(1, "fd00::1", "Running");
    Arc::make_mut(&mut unready.pod)
        .status
        .get_or_insert_default()
        .conditions = None;
    assert_eq!(
        peers(vec![
            at(0, "10.0.0.1", "Running"),
            noted(unready, "2027-01-01T12:05:00Z")
        ]),
        both
    );
}

fn leaving(spec: &str, farewell: Farewell, pods: Vec<Linked>, since: &str) -> Work {
    let mut fetched = fetched(spec);
    let server = Arc::make_mut(&mut fetched.server);
    server.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
        since.parse().unwrap(),
    ));
    server.metadata.finalizers = Some(vec![DRAIN_FINALIZER.into()]);
    (fetched.pods, fetched.farewell) = (pods, Some(farewell));
    work(fetched)
}

#[test]
fn a_server_that_is_deleted_drains_first_and_makes_nothing_any_more() {
    let work = leaving("{}", Farewell::Drain, vec![live(0), idle(1)], "2027-01-01T12:00:00Z");
    assert_eq!(work.finalizer, Finalizer::Leave);
    assert!(work.services.is_empty() && work.budget.is_none() && work.create.is_empty());
    assert!(matches!(work.wishes["live-0"], Wish::Leave(_)));
    assert_eq!((work.delete.len(), work.delete[0].pod.name_any()), (1, "live-1".into()));
    assert_eq!(
        leaving("{}", Farewell::Drain, vec![], "2027-01-01T12:00:00Z").finalizer,
        Finalizer::Remove
    );
}

#[test]
fn a_server_that_is_deleted_does_not_wait_for_ever() {
    let ending = |since| {
        let mut pod = live(0);
        Arc::make_mut(&mut pod.pod).metadata.deletion_timestamp =
            Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(noon()));
        let work = leaving("{}", Farewell::Drain, vec![pod], since);
        (work.finalizer, work.next)
    };
    assert_eq!(
        ending("2027-01-01T11:49:10Z"),
        (Finalizer::Leave, Some(Duration::from_secs(11)))
    );
    assert_eq!(ending("2027-01-01T11:48:59Z").0, Finalizer::Remove);
}

#[test]
fn a_server_that_waits_for_nobody_lets_its_pods_say_goodbye_and_no_longer() {
    let forced = |pods| leaving("{}", Farewell::AtOnce, pods, "2027-01-01T12:00:00Z");
    let work = forced(vec![live(0)]);
    assert_eq!((work.finalizer, work.delete[0].grace), (Finalizer::Leave, Some(6)));
    assert_eq!(work.wishes["live-0"], Wish::Leave(jiff::Timestamp::UNIX_EPOCH));
    assert!(work.marks.is_empty() && work.next <= Some(Duration::from_secs(6)));
    let ending = |until: &str, grace| {
        let mut pod = live(0);
        let meta = &mut Arc::make_mut(&mut pod.pod).metadata;
        meta.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(
            until.parse().unwrap(),
        ));
        meta.deletion_grace_period_seconds = Some(grace);
        let work = forced(vec![pod]);
        (work.finalizer, work.delete.len(), work.next)
    };
    // By somebody else, with all its time; by us; and one whose kubelet does not take it away.
    assert_eq!(ending("2027-01-01T12:10:00Z", 660).1, 1);
    let (held, again, next) = ending("2027-01-01T12:00:01Z", 6);
    assert_eq!((held, again, next), (Finalizer::Leave, 0, Some(Duration::from_secs(5))));
    assert_eq!(ending("2027-01-01T11:59:55Z", 6).0, Finalizer::Remove);
    assert_eq!(forced(vec![]).finalizer, Finalizer::Remove);
    let lost = on(live(0), false, true, true);
    assert_eq!(forced(vec![lost]).finalizer, Finalizer::Remove);
}

#[test]
fn a_server_whose_namespace_goes_is_let_go_before_its_pods_are_gone_and_makes_none() {
    let goes = |pods, held: bool| {
        let mut fetched = fetched("{}");
        Arc::make_mut(&mut fetched.server).metadata.finalizers = held.then(|| vec![DRAIN_FINALIZER.into()]);
        (fetched.pods, fetched.farewell) = (pods, Some(Farewell::WithNamespace));
        let work = work(fetched);
        assert!(work.create.is_empty() && work.services.is_empty());
        (
            work.finalizer,
            work.delete.first().and_then(|d| d.grace),
            work.next.is_some(),
        )
    };
    assert_eq!(goes(vec![], true), (Finalizer::Remove, None, false));
    assert_eq!(goes(vec![live(0)], true), (Finalizer::Remove, Some(6), true));
    assert_eq!(goes(vec![live(0)], false), (Finalizer::Leave, Some(6), true));
}

#[test]
fn a_pod_that_failed_is_replaced() {
    let mut failed = fetched("{}");
    failed.pods = vec![pod(&server("{}"), 0, &json!({ "phase": "Failed" }))];
    let work = work(failed);
    assert_eq!((work.delete.len(), work.create.len()), (1, 1));
    assert_eq!(work.create[0].name_any(), "live-1");
}

#[test]
fn an_invalid_spec_and_a_foreign_secret_stop_everything_and_a_foreign_service_only_itself() {
    let port = "{listeners: [{name: a, protocol: RTMP, port: 1935}, {name: b, protocol: HTTP, port: 1935}]}";
    assert!(plan(validate(fetched(port))).work.is_none());

    let mut foreign = Secret::default();
    foreign.metadata.name = Some("live-ca".into());
    let mut secret = fetched("{}");
    secret.children.authority = Some(Arc::new(foreign));
    assert!(plan(validate(secret)).work.is_none());

    let mut foreign = Service::default();
    foreign.metadata.name = Some("live".into());
    let mut service = fetched("{}");
    service.children.client = Some(Arc::new(foreign));
    let work = work(service);
    let names: Vec<String> = work.services.iter().map(|(s, _)| s.name_any()).collect();
    assert_eq!((names, work.create.len()), (vec!["live-pods".to_owned()], 1));
}
