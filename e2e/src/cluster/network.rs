//! The network: a bridge on the host, a network namespace a node, and routes to every node's pods.
//!
//! The host's own rules stay as they are. Pods keep their own source addresses everywhere, since nothing leaves the machine.

use std::path::{Path, PathBuf};

use crate::cluster::layout::{BRIDGE, HOST, SERVICE_CIDR};
use crate::cluster::{NODES, Node};
use crate::command::Cmd;
use crate::error::Result;

/// The directory of the cluster that is on this machine, if one is: the bridge bears it as its alias. Names and addresses
/// are the machine's, so that clusters of two caches cannot stand side by side.
pub fn owner() -> Option<PathBuf> {
    let alias = std::fs::read_to_string(format!("/sys/class/net/{BRIDGE}/ifalias")).ok()?;
    Some(PathBuf::from(alias.trim_end())).filter(|root| root.is_dir())
}

/// Makes the bridge, the nodes' namespaces and the routes.
pub async fn create(root: &Path) -> Result<()> {
    for node in NODES {
        Cmd::new("ip").args(["netns", "add", &node.name()]).run().await?;
    }
    batch(&["-batch", "-"], &host_side(root)).await?;
    for node in NODES {
        batch(&["-n", &node.name(), "-batch", "-"], &node_side(node)).await?;
        let enter = format!("--net={}", node.namespace().display());
        Cmd::new("nsenter")
            .args([enter.as_str(), "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward"])
            .run()
            .await?;
    }
    batch(&["-batch", "-"], &host_routes()).await
}

async fn batch(args: &[&str], lines: &[String]) -> Result<()> {
    Cmd::new("ip")
        .args(args)
        .input(lines.join("\n") + "\n")
        .run()
        .await
        .map(drop)
}

fn host_side(root: &Path) -> Vec<String> {
    let mut lines = vec![
        format!("link add {BRIDGE} type bridge"),
        format!("address add {HOST}/24 dev {BRIDGE}"),
        format!("link set {BRIDGE} alias {}", root.display()),
        format!("link set {BRIDGE} up"),
    ];
    for node in NODES {
        let (cable, name) = (node.cable(), node.name());
        lines.push(format!("link add {cable} type veth peer name eth0 netns {name}"));
        lines.push(format!("link set {cable} master {BRIDGE} up"));
    }
    lines
}

fn node_side(node: Node) -> Vec<String> {
    let mut lines = vec![
        "link set lo up".to_owned(),
        format!("address add {}/24 dev eth0", node.address()),
        "link set eth0 up".to_owned(),
        format!("route add default via {HOST}"),
    ];
    let others = NODES.iter().filter(|other| **other != node);
    lines.extend(others.map(|other| format!("route add {} via {}", other.pod_cidr(), other.address())));
    lines
}

fn host_routes() -> Vec<String> {
    let pods = NODES
        .iter()
        .map(|node| format!("route add {} via {}", node.pod_cidr(), node.address()));
    let services = NODES
        .first()
        .map(|node| format!("route add {SERVICE_CIDR} via {}", node.address()));
    pods.chain(services).collect()
}

/// Takes the network away: with their namespace a node's links go, with the bridge its routes.
pub async fn remove() {
    for node in NODES {
        let _ = Cmd::new("ip").args(["link", "delete", &node.cable()]).output().await;
        let _ = Cmd::new("ip").args(["netns", "delete", &node.name()]).output().await;
    }
    let _ = Cmd::new("ip").args(["link", "delete", BRIDGE]).output().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_knows_the_way_to_the_pods_of_the_others() {
        assert!(node_side(NODES[0]).contains(&"route add 10.244.2.0/24 via 10.88.0.12".to_owned()));
        assert!(node_side(NODES[1]).contains(&"route add 10.244.1.0/24 via 10.88.0.11".to_owned()));
    }
}
