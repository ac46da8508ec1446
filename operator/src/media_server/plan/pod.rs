//! The media pod. Restricted pod security, no API token, a state folder that lives as long as the pod. It needs no `preStop`: a
//! pod that is told to end drains by itself, within the grace that it was made with.

use super::hash;
use crate::names::{self, REVISION_LABEL};
use headgate_api::MediaServer;
use headgate_control::{CONTROL_PORT, METRICS_PORT, STATE_DIR};
use k8s_openapi::api::core::v1::{
    Capabilities, Container, ContainerPort, EmptyDirVolumeSource, EnvVar, EnvVarSource, HTTPGetAction,
    ObjectFieldSelector, Pod, PodSecurityContext, PodSpec, Probe, SeccompProfile, SecretVolumeSource, SecurityContext,
    TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

const CONFIG_DIR: &str = "/etc/headgate";
const USER: i64 = 65532;
/// What a pod has after its last publisher was cut: to say goodbye, and to hand over what is not delivered.
const GRACE_SECONDS: i64 = 60;
/// Of the outbox and the ledger, which have bounds of their own far below. A pod that exceeds it is evicted.
const STATE_MAX: &str = "1Gi";

/// Hash of what the user says about the pods. Nothing of the operator's own is in it: an upgrade of the operator restarts no pod.
pub fn revision(server: &MediaServer) -> String {
    hash(&(&server.spec.pod_template, &server.spec.image))
}

/// A pod of the server.
pub fn pod(server: &MediaServer, name: String, media_image: &str) -> Pod {
    let template = &server.spec.pod_template;
    let mut metadata = names::child(server, name.clone());
    let mut labels = template.metadata.labels.clone();
    labels.extend(names::labels(&server.name_any()));
    labels.extend(names::selector(&server.name_any()));
    labels.insert(REVISION_LABEL.into(), revision(server));
    metadata.labels = Some(labels);
    metadata.annotations = Some(template.metadata.annotations.clone()).filter(|a| !a.is_empty());
    Pod {
        metadata,
        spec: Some(PodSpec {
            hostname: Some(name),
            ..spec(server, media_image)
        }),
        status: None,
    }
}

fn spec(server: &MediaServer, media_image: &str) -> PodSpec {
    let template = &server.spec.pod_template.spec;
    let name = server.name_any();
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        containers: vec![container(server, media_image)],
        node_selector: Some(template.node_selector.clone()).filter(|n| !n.is_empty()),
        security_context: Some(PodSecurityContext {
            fs_group: Some(USER),
            run_as_group: Some(USER),
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        subdomain: Some(names::headless_service(&name)),
        termination_grace_period_seconds: Some(
            i64::from(server.spec.drain.deadline_seconds).saturating_add(GRACE_SECONDS),
        ),
        topology_spread_constraints: Some(vec![spread(&name)]),
        tolerations: Some(template.tolerations.clone()).filter(|t| !t.is_empty()),
        volumes: Some(volumes(&name)),
        ..PodSpec::default()
    }
}

/// Over nodes, as far as they have room, so that a lost one takes few pods with it.
fn spread(server: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: "kubernetes.io/hostname".into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(names::selector(server)),
            match_expressions: None,
        }),
        ..TopologySpreadConstraint::default()
    }
}

fn container(server: &MediaServer, media_image: &str) -> Container {
    let image = server.spec.image.as_deref().unwrap_or(media_image);
    let args = ["run", "--config-dir", CONFIG_DIR, "--state", STATE_DIR];
    Container {
        name: "media".into(),
        image: Some(image.into()),
        args: Some(args.map(str::to_owned).into()),
        env: Some(vec![
            field("POD_NAME", "metadata.name"),
            field("POD_NAMESPACE", "metadata.namespace"),
            field("POD_IP", "status.podIP"),
        ]),
        liveness_probe: Some(probe("/healthz", 10, 3)),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        ports: Some(ports(server)),
        resources: server.spec.pod_template.spec.resources.clone(),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: None,
            }),
            read_only_root_filesystem: Some(true),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(vec![
            mount("config", CONFIG_DIR, true),
            mount("state", STATE_DIR, false),
        ]),
        ..Container::default()
    }
}

/// For who reads the pod; sockets are opened by the configuration, so a change of listeners needs no new pod.
fn ports(server: &MediaServer) -> Vec<ContainerPort> {
    let own = [("metrics", METRICS_PORT), ("control", CONTROL_PORT)];
    let own = own.map(|(name, port)| (name.to_owned(), i32::from(port)));
    let listeners = server.spec.listeners.iter().map(|l| (l.name.clone(), l.port));
    let listeners = listeners.filter(|(name, _)| own.iter().all(|(o, _)| o != name));
    let ports = listeners
        .chain(own.clone())
        .map(|(name, container_port)| ContainerPort {
            name: Some(name),
            container_port,
            protocol: Some("TCP".into()),
            ..ContainerPort::default()
        });
    ports.collect()
}

fn volumes(server: &str) -> Vec<Volume> {
    vec![
        Volume {
            name: "config".into(),
            secret: Some(SecretVolumeSource {
                secret_name: Some(names::pod_secret(server)),
                default_mode: Some(0o440),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "state".into(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity(STATE_MAX.into())),
                medium: None,
            }),
            ..Volume::default()
        },
    ]
}

fn mount(name: &str, path: &str, read_only: bool) -> VolumeMount {
    VolumeMount {
        name: name.into(),
        mount_path: path.into(),
        read_only: Some(read_only),
        ..VolumeMount::default()
    }
}

fn field(name: &str, path: &str) -> EnvVar {
    EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                field_path: path.into(),
                api_version: None,
            }),
            ..EnvVarSource::default()
        }),
        value: None,
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("metrics".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        failure_threshold: Some(failures),
        timeout_seconds: Some(2),
        ..Probe::default()
    }
}
