//! kube-apiserver. It keeps an audit log of what service accounts do, so that a scenario can compare verbs used with
//! verbs granted, and count writes.

use crate::cluster::daemon::Daemon;
use crate::cluster::layout::SERVICE_CIDR;
use crate::cluster::{Layout, etcd};

/// The process.
pub fn daemon(layout: &Layout) -> Daemon {
    with_etcd(layout, &etcd::url(layout))
}

/// The process, when it finds etcd at this address.
pub fn with_etcd(layout: &Layout, etcd: &str) -> Daemon {
    let pki = |flag: &str, file: &str| format!("--{flag}={}", layout.pki(file));
    let (host, port) = (&layout.seat.host, layout.seat.api_port);
    let args = vec![
        format!("--advertise-address={host}"),
        format!("--bind-address={host}"),
        format!("--secure-port={port}"),
        format!("--etcd-servers={etcd}"),
        pki("etcd-cafile", "ca.pem"),
        pki("etcd-certfile", "server.pem"),
        pki("etcd-keyfile", "server.key"),
        pki("client-ca-file", "ca.pem"),
        pki("tls-cert-file", "server.pem"),
        pki("tls-private-key-file", "server.key"),
        pki("kubelet-client-certificate", "admin.pem"),
        pki("kubelet-client-key", "admin.key"),
        "--kubelet-preferred-address-types=InternalIP".into(),
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local".into(),
        pki("service-account-key-file", "service-accounts.pub"),
        pki("service-account-signing-key-file", "service-accounts.key"),
        format!("--service-cluster-ip-range={SERVICE_CIDR}"),
        "--authorization-mode=Node,RBAC".into(),
        "--enable-admission-plugins=NodeRestriction".into(),
        "--allow-privileged=true".into(),
        format!("--audit-policy-file={}", audit_policy(layout).0),
        format!("--audit-log-path={}", layout.at("logs/audit.log")),
        "--audit-log-maxsize=200".into(),
    ];
    Daemon {
        name: "kube-apiserver".into(),
        node: None,
        program: layout.tools.program("kube-apiserver"),
        args,
    }
}

/// What is written to `logs/audit.log`: every request of a service account outside of kube-system, without bodies.
pub fn audit_policy(layout: &Layout) -> (String, String) {
    let text = "apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
  - {level: None, userGroups: ['system:serviceaccounts:kube-system']}
  - {level: Metadata, userGroups: ['system:serviceaccounts']}
  - {level: None}
";
    (layout.at("audit-policy.yaml"), text.into())
}
