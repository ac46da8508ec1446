use super::*;
use crate::media_server::samples::{fetched, noon, pod, ready, server, view};
use crate::media_server::validate::validate;
use crate::tls::Authority;
use headgate_control::PodReport;
use k8s_openapi::api::core::v1::Secret;
use serde_json::json;

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
fn the_secrets_carry_these_entries() {
    let (authority, server) = (Authority::issue("live", noon()).unwrap(), server("{}"));
    let certificate = authority.server("live.a.media.headgate", noon()).unwrap();
    let entries = |s: &Secret| s.data.clone().unwrap().into_keys().collect::<Vec<_>>();
    let ca = authority_secret(&server, authority.pair());
    let pod = pod_secret(&server, b"{}", &certificate, authority.pair());
    assert_eq!(entries(&ca), ["tls.crt", "tls.key"]);
    assert_eq!(entries(&pod), ["ca.crt", "config.json", "tls.crt", "tls.key"]);
    let key = pod.data.as_ref().unwrap()["tls.key"].clone();
    assert_ne!(ca.data.unwrap()["tls.key"], key, "the CA's key stays out of the pods");
    assert_eq!(
        (label(&pod, names::SECRET_LABEL), label(&pod, names::SERVER_LABEL)),
        (Some("pod"), Some("live"))
    );
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
fn an_outdated_pod_waits_for_its_publisher() {
    let live = |streams: &str| {
        let mut fetched = fetched("{image: 'other:1'}");
        let mut old = pod(&server("{}"), 0, &ready());
        let report: PodReport = serde_yaml::from_str(&format!(
            "{{instance: i, sequence: 1, revision: r, ready: true, streams: {streams}}}"
        ))
        .unwrap();
        old.view = Some(view(report));
        fetched.pods = vec![old];
        work(fetched)
    };
    let stream = "[{vhost: v, app: a, stream: s, session: 00000000-0000-0000-0000-000000000001, protocol: RTMP, address: x, clientId: c, started: 2027-01-01T00:00:00Z, bitrateKilobits: 1}]";
    assert!(live(stream).delete.is_empty());
    let idle = live("[]");
    assert_eq!((idle.delete.len(), idle.create.len()), (1, 1));
}

#[test]
fn a_running_pod_that_nobody_has_heard_of_is_not_taken_for_idle() {
    let mut fetched = fetched("{image: 'other:1'}");
    fetched.pods = vec![pod(&server("{}"), 0, &ready())];
    assert!(work(fetched).delete.is_empty());
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
