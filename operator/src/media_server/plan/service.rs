//! The Services of a server: one for clients, one that gives each pod a name.

use crate::names;
use headgate_api::{MediaServer, ServiceType};
use headgate_control::{CONTROL_PORT, METRICS_PORT};
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

/// `<name>`: what clients use. Selects every pod of the server; Kubernetes sends only to those that are ready.
pub fn client(server: &MediaServer) -> Service {
    let name = server.name_any();
    let expose = &server.spec.expose;
    let mut metadata = names::child(server, name.clone());
    metadata.annotations = Some(expose.annotations.clone());
    let ports = server.spec.listeners.iter().map(|l| port(&l.name, l.port));
    let kind = match expose.r#type {
        ServiceType::ClusterIP => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    };
    Service {
        metadata,
        spec: Some(ServiceSpec {
            selector: Some(names::selector(&name)),
            ports: Some(ports.collect()),
            type_: Some(kind.into()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// `<name>-pods`: headless, also for pods that are not ready, so that whoever must reach one can.
pub fn headless(server: &MediaServer) -> Service {
    let name = server.name_any();
    let ports = [("metrics", METRICS_PORT), ("control", CONTROL_PORT)];
    Service {
        metadata: names::child(server, names::headless_service(&name)),
        spec: Some(ServiceSpec {
            cluster_ip: Some("None".into()),
            publish_not_ready_addresses: Some(true),
            selector: Some(names::selector(&name)),
            ports: Some(ports.map(|(name, number)| port(name, i32::from(number))).into()),
            type_: Some("ClusterIP".into()),
            ..ServiceSpec::default()
        }),
        status: None,
    }
}

/// By number, not by the name of the container's port: a listener that is added later has none there.
fn port(name: &str, number: i32) -> ServicePort {
    ServicePort {
        name: Some(name.into()),
        port: number,
        target_port: Some(IntOrString::Int(number)),
        protocol: Some("TCP".into()),
        ..ServicePort::default()
    }
}
