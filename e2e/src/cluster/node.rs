//! A node: containerd, kubelet and kube-proxy in the node's network namespace, with all they keep in the node's own directory.

use crate::cluster::daemon::Daemon;
use crate::cluster::layout::{BUSYBOX_IMAGE, DNS_SERVICE, POD_CIDR};
use crate::cluster::{Layout, Node};

/// The node's container runtime socket.
pub fn socket(layout: &Layout, node: Node) -> String {
    layout.of(node, "containerd.sock")
}

/// The container runtime's process.
pub fn containerd(layout: &Layout, node: Node) -> Daemon {
    let args = vec!["--config".into(), layout.of(node, "containerd.toml")];
    process(node, "containerd", "containerd".into(), args)
}

/// The kubelet's process.
pub fn kubelet(layout: &Layout, node: Node) -> Daemon {
    let args = vec![
        format!("--config={}", layout.of(node, "kubelet.yaml")),
        format!("--kubeconfig={}", layout.kubeconfig(&node.name())),
        format!("--hostname-override={}", node.name()),
        format!("--node-ip={}", node.address()),
        format!("--root-dir={}", layout.of(node, "kubelet")),
        format!("--cert-dir={}", layout.of(node, "kubelet-certs")),
    ];
    process(node, "kubelet", layout.tools.program("kubelet"), args)
}

/// The process that makes Services work.
pub fn kube_proxy(layout: &Layout, node: Node) -> Daemon {
    let args = vec![format!("--config={}", layout.of(node, "kube-proxy.yaml"))];
    process(node, "kube-proxy", layout.tools.program("kube-proxy"), args)
}

fn process(node: Node, what: &str, program: std::path::PathBuf, args: Vec<String>) -> Daemon {
    Daemon {
        name: format!("{}-{what}", node.name()),
        node: Some(node),
        program,
        args,
    }
}

/// The node's configuration files.
pub fn files(layout: &Layout, node: Node) -> Vec<(String, String)> {
    vec![
        (layout.of(node, "containerd.toml"), containerd_config(layout, node)),
        (layout.of(node, "cni/10-headgate.conflist"), cni_config(layout, node)),
        (layout.of(node, "kubelet.yaml"), kubelet_config(layout, node)),
        (layout.of(node, "kube-proxy.yaml"), proxy_config(layout, node)),
        (layout.of(node, "resolv.conf"), format!("nameserver {DNS_SERVICE}\n")),
    ]
}

/// `restrict_oom_score_adj`: a root without CAP_SYS_RESOURCE can start no sandbox otherwise.
fn containerd_config(layout: &Layout, node: Node) -> String {
    let (root, state, runc) = (
        layout.of(node, "containerd"),
        layout.of(node, "run"),
        layout.of(node, "run/runc"),
    );
    let (socket, cni) = (socket(layout, node), layout.of(node, "cni"));
    format!(
        r#"version = 2
root = "{root}"
state = "{state}"
oom_score = 0
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{root}/opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{BUSYBOX_IMAGE}"
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{cni}"
  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      Root = "{runc}"
"#
    )
}

/// No masquerading: nothing leaves the machine, and a pod's peer sees the pod's own address.
fn cni_config(layout: &Layout, node: Node) -> String {
    let (name, leases, cidr) = (node.name(), layout.of(node, "cni-leases"), node.pod_cidr());
    format!(
        r#"{{
  "cniVersion": "0.4.0",
  "name": "{name}",
  "plugins": [
    {{"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "hairpinMode": true,
     "ipam": {{"type": "host-local", "dataDir": "{leases}", "ranges": [[{{"subnet": "{cidr}"}}]], "routes": [{{"dst": "0.0.0.0/0"}}]}}}},
    {{"type": "portmap", "capabilities": {{"portMappings": true}}}}
  ]
}}
"#
    )
}

fn kubelet_config(layout: &Layout, node: Node) -> String {
    let (name, address, socket, ca) = (node.name(), node.address(), socket(layout, node), layout.pki("ca.pem"));
    let of = |path: &str| layout.of(node, path);
    let (resolv, pod_logs, plugins) = (of("resolv.conf"), of("pod-logs"), of("volume-plugins"));
    format!(
        "apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {address}
authentication:
  anonymous: {{enabled: false}}
  webhook: {{enabled: true}}
  x509: {{clientCAFile: '{ca}'}}
authorization: {{mode: Webhook}}
cgroupDriver: cgroupfs
cgroupRoot: /{name}
clusterDNS: [{DNS_SERVICE}]
clusterDomain: cluster.local
containerRuntimeEndpoint: 'unix://{socket}'
resolvConf: '{resolv}'
podLogsDir: '{pod_logs}'
volumePluginDir: '{plugins}'
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
serializeImagePulls: false
imageGCHighThresholdPercent: 100
evictionHard: {{memory.available: 64Mi, nodefs.available: '1%', nodefs.inodesFree: '1%', imagefs.available: '1%'}}
registerNode: true
shutdownGracePeriod: 0s
configMapAndSecretChangeDetectionStrategy: Watch
"
    )
}

/// The conntrack settings are read-only in a network namespace and are left alone.
fn proxy_config(layout: &Layout, node: Node) -> String {
    let (name, kubeconfig) = (node.name(), layout.kubeconfig("kube-proxy"));
    format!(
        "apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
hostnameOverride: {name}
clusterCIDR: {POD_CIDR}
clientConnection: {{kubeconfig: '{kubeconfig}'}}
oomScoreAdj: 0
nftables: {{minSyncPeriod: 0s}}
conntrack: {{maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s, udpTimeout: 0s, udpStreamTimeout: 0s}}
"
    )
}
