//! etcd: one member, without fsync, since its data is thrown away with the cluster.

use crate::cluster::Layout;
use crate::cluster::daemon::Daemon;

/// The port that it serves its clients on.
pub const PORT: u16 = 2379;

/// The process.
pub fn daemon(layout: &Layout) -> Daemon {
    let (client, peer) = (url(layout), "http://127.0.0.1:0");
    let args = vec![
        format!("--data-dir={}", layout.at("etcd")),
        "--unsafe-no-fsync".into(),
        "--log-level=warn".into(),
        format!("--listen-client-urls={client}"),
        format!("--advertise-client-urls={client}"),
        format!("--listen-peer-urls={peer}"),
        format!("--initial-advertise-peer-urls={peer}"),
        format!("--initial-cluster=default={peer}"),
        format!("--cert-file={}", layout.pki("server.pem")),
        format!("--key-file={}", layout.pki("server.key")),
        format!("--trusted-ca-file={}", layout.pki("ca.pem")),
        "--client-cert-auth".into(),
    ];
    Daemon {
        name: "etcd".into(),
        node: None,
        program: layout.tools.program("etcd"),
        args,
    }
}

/// Its address for the API server.
pub fn url(layout: &Layout) -> String {
    format!("https://{}:{}", layout.seat.host, layout.seat.etcd_port)
}
