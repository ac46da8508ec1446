//! Names, addresses and places of the cluster: the one page that every component is written against.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::cluster::daemon::Daemon;
use crate::cluster::{apiserver, certs, controllers, coredns, etcd, node};
use crate::error::Result;
use crate::tools::go::Tools;
use crate::tools::paths::{Paths, write};

/// The bridge between the nodes and the host.
pub const BRIDGE: &str = "hgbr0";
/// The host's address on the bridge: the control plane, cluster DNS, and what a test listens on for pods.
pub const HOST: &str = "10.88.0.1";
/// The API server's port on [`HOST`].
pub const API_PORT: u16 = 6443;
/// All pods.
pub const POD_CIDR: &str = "10.244.0.0/16";
/// All Services.
pub const SERVICE_CIDR: &str = "10.96.0.0/16";
/// The `kubernetes` Service.
pub const API_SERVICE: &str = "10.96.0.1";
/// The cluster DNS Service.
pub const DNS_SERVICE: &str = "10.96.0.10";
/// The image of every pod's sandbox, and of the scenarios' small helper pods.
pub const BUSYBOX_IMAGE: &str = "docker.io/headgate/busybox:1";

/// A node, by its number from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node(u8);

/// The nodes.
pub const NODES: [Node; 2] = [Node(1), Node(2)];

impl Node {
    /// Its name in Kubernetes, of its network namespace and of its cgroups.
    pub fn name(self) -> String {
        format!("hg-node-{}", self.0)
    }

    /// Its address on the bridge.
    pub fn address(self) -> String {
        format!("10.88.0.{}", u16::from(self.0).saturating_add(10))
    }

    /// The addresses of its pods.
    pub fn pod_cidr(self) -> String {
        format!("10.244.{}.0/24", self.0)
    }

    /// The host's end of its cable.
    pub fn cable(self) -> String {
        format!("hgveth{}", self.0)
    }

    /// The file by which its network namespace is entered.
    pub fn namespace(self) -> PathBuf {
        Path::new("/run/netns").join(self.name())
    }
}

/// Where a control plane listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seat {
    /// The address of all its servers.
    pub host: String,
    /// The API server's port.
    pub api_port: u16,
    /// etcd's port.
    pub etcd_port: u16,
}

impl Default for Seat {
    fn default() -> Self {
        Self {
            host: HOST.into(),
            api_port: API_PORT,
            etcd_port: etcd::PORT,
        }
    }
}

/// Where everything of the cluster lies.
#[derive(Debug, Clone)]
pub struct Layout {
    /// The directory that holds all of the cluster's state.
    pub root: PathBuf,
    /// The built programs.
    pub tools: Tools,
    /// Where its control plane listens.
    pub seat: Seat,
}

impl Layout {
    /// The layout below the cache.
    pub fn new(paths: &Paths, tools: Tools) -> Self {
        Self {
            root: paths.cluster(),
            tools,
            seat: Seat::default(),
        }
    }

    /// A path below the state directory, as an argument.
    pub fn at(&self, path: &str) -> String {
        self.root.join(path).to_string_lossy().into_owned()
    }

    /// A file of the cluster's certificate authority.
    pub fn pki(&self, file: &str) -> String {
        self.at(&format!("pki/{file}"))
    }

    /// The kubeconfig of a client: `admin` or a component.
    pub fn kubeconfig(&self, client: &str) -> String {
        self.at(&format!("kubeconfig/{client}.yaml"))
    }

    /// A path of a node's own.
    pub fn of(&self, node: Node, path: &str) -> String {
        self.at(&format!("{}/{path}", node.name()))
    }

    /// The file that says what runs here; written last, so that its absence means half a cluster.
    pub fn fingerprint_file(&self) -> PathBuf {
        self.root.join("fingerprint")
    }

    /// Every process, in the order in which they start.
    pub fn daemons(&self) -> Vec<Daemon> {
        let mut daemons = vec![etcd::daemon(self), apiserver::daemon(self)];
        daemons.extend([
            controllers::manager(self),
            controllers::scheduler(self),
            coredns::daemon(self),
        ]);
        for node in NODES {
            daemons.extend([
                node::containerd(self, node),
                node::kubelet(self, node),
                node::kube_proxy(self, node),
            ]);
        }
        daemons
    }

    /// Every configuration file: its path and its content. Certificates and keys are made apart.
    pub fn files(&self) -> Vec<(String, String)> {
        let mut files = vec![apiserver::audit_policy(self), coredns::corefile(self)];
        files.extend(certs::clients().iter().map(|client| client.kubeconfig(self)));
        files.extend(NODES.iter().flat_map(|node| node::files(self, *node)));
        files
    }

    /// Writes the configuration files.
    pub fn write_files(&self) -> Result<()> {
        self.files()
            .iter()
            .try_for_each(|(path, content)| write(Path::new(path), content))
    }

    /// What identifies a cluster: the same programs with the same arguments and files.
    pub fn fingerprint(&self) -> String {
        let mut hash = Sha256::new();
        for daemon in self.daemons() {
            hash.update(format!("{daemon:?}\n"));
        }
        for (path, content) in self.files() {
            hash.update(format!("{path}\n{content}\n"));
        }
        hash.update(coredns::OBJECTS);
        hex::encode(hash.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout(cache: &str) -> Layout {
        let paths = Paths {
            cache: PathBuf::from(cache),
        };
        Layout::new(&paths, Tools::locate(&paths).unwrap())
    }

    #[test]
    fn the_fingerprint_depends_on_what_runs_and_on_nothing_else() {
        assert_eq!(layout("/a").fingerprint(), layout("/a").fingerprint());
        assert_ne!(layout("/a").fingerprint(), layout("/b").fingerprint());
    }

    #[test]
    fn every_process_can_be_told_by_its_arguments() {
        let layout = layout("/somewhere");
        for daemon in layout.daemons() {
            let named = daemon.args.iter().any(|arg| arg.contains("/somewhere/cluster/"));
            assert!(named, "{} could not be told from another process", daemon.name);
        }
    }

    #[test]
    fn names_of_processes_are_unique() {
        let mut names: Vec<_> = layout("/a").daemons().into_iter().map(|daemon| daemon.name).collect();
        let all = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
