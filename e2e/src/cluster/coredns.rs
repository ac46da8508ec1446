//! CoreDNS on the host side. It answers from the API and knows no other name: nothing is asked outside of this machine.

use crate::cluster::Layout;
use crate::cluster::daemon::Daemon;
use crate::cluster::layout::HOST;

/// Its port at the host's address.
pub const PORT: u16 = 53;

/// The Service that pods ask, with the host's address behind it.
pub const OBJECTS: &str = "apiVersion: v1
kind: Service
metadata: {name: kube-dns, namespace: kube-system}
spec:
  clusterIP: 10.96.0.10
  ports:
    - {name: dns, port: 53, protocol: UDP}
    - {name: dns-tcp, port: 53, protocol: TCP}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata:
  name: kube-dns
  namespace: kube-system
  labels: {kubernetes.io/service-name: kube-dns}
addressType: IPv4
endpoints: [{addresses: [10.88.0.1]}]
ports:
  - {name: dns, port: 53, protocol: UDP}
  - {name: dns-tcp, port: 53, protocol: TCP}
";

/// The process.
pub fn daemon(layout: &Layout) -> Daemon {
    let args = vec!["-conf".into(), corefile(layout).0];
    Daemon {
        name: "coredns".into(),
        node: None,
        program: layout.tools.program("coredns"),
        args,
    }
}

/// Its configuration. Answers are not cached: a scenario asks for a Service right after it made it.
pub fn corefile(layout: &Layout) -> (String, String) {
    let kubeconfig = layout.kubeconfig("admin");
    let text = format!(
        "cluster.local in-addr.arpa {{
    bind {HOST}
    errors
    kubernetes cluster.local in-addr.arpa {{
        kubeconfig {kubeconfig} headgate
        pods insecure
        ttl 1
    }}
}}
. {{
    bind {HOST}
    errors
    template ANY ANY {{
        rcode NXDOMAIN
    }}
}}
"
    );
    (layout.at("Corefile"), text)
}
