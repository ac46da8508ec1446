//! MediaServer: certificates, Services, pods, and the configuration in force in them.

mod apply;
mod choose;
mod fetch;
mod plan;
mod report;
#[cfg(test)]
mod samples;
mod trouble;
mod validate;

pub use fetch::{KeySecrets, tidy_clients};
pub use plan::address;

use crate::context::Context;
use crate::names::{DRAIN_ANNOTATION, ObjectKey, annotation};
use crate::runner::{Error, Kind, Next};
use headgate_api::{ListenerAddress, MediaServer, ServiceType};
use k8s_openapi::api::core::v1::{Pod, Service};

/// Reconciles MediaServers.
pub struct Servers;

impl Kind for Servers {
    const NAME: &'static str = "MediaServer";
    const CONCURRENCY: usize = 16;
    type Fetched = fetch::Fetched;
    type Valid = validate::Valid;
    type Planned = plan::Planned;
    type Applied = apply::Applied;

    async fn fetch(ctx: &Context, key: &ObjectKey) -> Result<Option<Self::Fetched>, Error> {
        fetch::fetch(ctx, key).await
    }

    fn validate(fetched: Self::Fetched) -> Self::Valid {
        validate::validate(fetched)
    }

    fn plan(valid: Self::Valid) -> Self::Planned {
        plan::plan(valid)
    }

    async fn apply(ctx: &Context, planned: Self::Planned) -> Result<Self::Applied, Error> {
        apply::apply(ctx, planned).await
    }

    async fn report(ctx: &Context, applied: Self::Applied) -> Result<Next, Error> {
        report::report(ctx, applied).await
    }
}

/// Takes sessions, as the kubelet sees it, and is not on its way out.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_deref());
    let ready = |c: &k8s_openapi::api::core::v1::PodCondition| c.type_ == "Ready" && c.status == "True";
    !is_leaving(pod) && conditions.unwrap_or_default().iter().any(ready)
}

/// On its way out.
pub fn is_leaving(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some() || annotation(pod, DRAIN_ANNOTATION).is_some()
}

/// What a pod can be, for the count of pods.
pub const POD_STATES: [&str; 4] = ["Ready", "NotReady", "Draining", "Deleting"];

/// Which of them it is.
pub fn pod_state(pod: &Pod) -> &'static str {
    let [ready, not_ready, draining, deleting] = POD_STATES;
    match (pod.metadata.deletion_timestamp.is_some(), is_leaving(pod)) {
        (true, _) => deleting,
        (false, true) => draining,
        _ if is_ready(pod) => ready,
        _ => not_ready,
    }
}

/// The host that clients use.
pub fn host(server: &MediaServer, service: Option<&Service>) -> String {
    let key = ObjectKey::of(server);
    let balancer = service
        .and_then(|s| s.status.as_ref()?.load_balancer.as_ref()?.ingress.as_ref()?.first())
        .filter(|_| server.spec.expose.r#type == ServiceType::LoadBalancer)
        .and_then(|i| i.hostname.clone().or_else(|| i.ip.clone()));
    balancer.map_or_else(
        || format!("{}.{}.svc", key.name, key.namespace),
        |host| if host.contains(':') { format!("[{host}]") } else { host },
    )
}

/// Where clients reach each listener.
pub fn addresses(server: &MediaServer, service: Option<&Service>) -> Vec<ListenerAddress> {
    headgate_resolve::addresses(&server.spec.listeners, &host(server, service))
}
