//! kube-controller-manager and kube-scheduler. Both end at once when the API server is not ready yet.

use crate::cluster::Layout;
use crate::cluster::daemon::Daemon;
use crate::cluster::layout::{HOST, POD_CIDR, SERVICE_CIDR};

/// The controller manager's port.
pub const MANAGER_PORT: u16 = 10257;
/// The scheduler's port.
pub const SCHEDULER_PORT: u16 = 10259;

/// The controller manager's process.
pub fn manager(layout: &Layout) -> Daemon {
    let mut args = common(layout, "controller-manager", MANAGER_PORT);
    args.extend([
        format!("--cluster-cidr={POD_CIDR}"),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        "--use-service-account-credentials=true".into(),
        // A scenario waits for it: half of the default, and still five times a kubelet's report.
        "--node-monitor-grace-period=20s".into(),
        // As well: a third of it.
        "--horizontal-pod-autoscaler-sync-period=5s".into(),
        format!(
            "--service-account-private-key-file={}",
            layout.pki("service-accounts.key")
        ),
        format!("--flex-volume-plugin-dir={}", layout.at("volume-plugins")),
        format!("--root-ca-file={}", layout.pki("ca.pem")),
        format!("--cluster-signing-cert-file={}", layout.pki("ca.pem")),
        format!("--cluster-signing-key-file={}", layout.pki("ca.key")),
    ]);
    process(layout, "kube-controller-manager", args)
}

/// The scheduler's process.
pub fn scheduler(layout: &Layout) -> Daemon {
    process(layout, "kube-scheduler", common(layout, "scheduler", SCHEDULER_PORT))
}

fn common(layout: &Layout, client: &str, port: u16) -> Vec<String> {
    let kubeconfig = layout.kubeconfig(client);
    vec![
        format!("--kubeconfig={kubeconfig}"),
        format!("--authentication-kubeconfig={kubeconfig}"),
        format!("--authorization-kubeconfig={kubeconfig}"),
        format!("--bind-address={HOST}"),
        format!("--secure-port={port}"),
        format!("--cert-dir={}", layout.at(&format!("{client}-certs"))),
        "--leader-elect=false".into(),
    ]
}

fn process(layout: &Layout, name: &str, args: Vec<String>) -> Daemon {
    Daemon {
        name: name.into(),
        node: None,
        program: layout.tools.program(name),
        args,
    }
}
