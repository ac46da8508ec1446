//! What the operator may do in a cluster: one table, from which come the compiler's leave to make a call and the rules of the
//! chart. A call that the table does not list does not compile; a grant that no code uses fails a test.

use headgate_api::{HookEndpoint, MediaServer, Stream, StreamKey};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use std::fmt::Write as _;

/// A way to call the API server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// List once, then follow.
    Watch,
    /// Read one by name.
    Get,
    /// List once.
    List,
    /// Make one.
    Create,
    /// Server-side apply; makes it when absent.
    Apply,
    /// Merge into one that is there.
    Patch,
    /// Replace one that is there.
    Update,
    /// Take one away.
    Delete,
    /// Server-side apply to the status subresource.
    ApplyStatus,
    /// Say how many replicas there are to be.
    Scale,
}

impl Call {
    fn verbs(self) -> &'static [&'static str] {
        match self {
            Self::Watch => &["list", "watch"],
            Self::Get => &["get"],
            Self::List => &["list"],
            Self::Create => &["create"],
            Self::Apply => &["create", "patch"],
            Self::Patch | Self::ApplyStatus | Self::Scale => &["patch"],
            Self::Update => &["update"],
            Self::Delete => &["delete"],
        }
    }
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
pub struct Grant {
    /// As the types are called here.
    pub kind: &'static str,
    /// API group; empty for the core.
    pub group: &'static str,
    /// Plural name.
    pub resource: &'static str,
    /// Where it is needed.
    pub place: Place,
    /// How it is called.
    pub call: Call,
    /// What for.
    pub why: &'static str,
}

/// The leave to call the API server about a kind in one way.
pub mod may {
    /// List and watch.
    pub trait Watch {}
    /// Read by name.
    pub trait Get {}
    /// List.
    pub trait List {}
    /// Make.
    pub trait Create {}
    /// Server-side apply.
    pub trait Apply {}
    /// Merge.
    pub trait Patch {}
    /// Replace.
    pub trait Update {}
    /// Take away.
    pub trait Delete {}
    /// Apply a status.
    pub trait ApplyStatus {}
    /// Scale.
    pub trait Scale {}
}

macro_rules! table {
    ($(#[$doc:meta])* $name:ident: $($own:ident $kind:ident $group:literal $resource:literal { $($call:ident: $why:literal,)+ })+) => {
        $(#[$doc])*
        pub const $name: &[Grant] = &[$($(
            Grant { kind: stringify!($kind), group: $group, resource: $resource, place: table!(@$own), call: Call::$call, why: $why },
        )+)+];
    };
    (@own) => { Place::Own };
    (@watched) => { Place::Watched };
    (@cluster) => { Place::Cluster };
    (@leaving) => { Place::Leaving };
    (@leaving_own) => { Place::LeavingOwn };
}

macro_rules! grants {
    ($($own:ident $kind:ident $group:literal $resource:literal { $($call:ident: $why:literal,)+ })+) => {
        $($(impl may::$call for $kind {})+)+
        table! {
            /// Everything the operator may do.
            GRANTS: $($own $kind $group $resource { $($call: $why,)+ })+
        }
    };
}

grants! {
    watched MediaServer "headgate.dev" "mediaservers" {
        Watch: "what users want",
        Patch: "to put our finalizer on, so that pods can drain before it goes, and to take it off",
        ApplyStatus: "to say how far it is",
    }
    watched StreamKey "headgate.dev" "streamkeys" {
        Watch: "what users want",
        ApplyStatus: "to say whether it is in force",
    }
    watched HookEndpoint "headgate.dev" "hookendpoints" {
        Watch: "what users want",
        ApplyStatus: "to say whether it is in force and answers",
    }
    watched Stream "headgate.dev" "streams" {
        Watch: "to see those that were deleted, so as to cut their publishers",
        Get: "what closes the publisher's session, when its pod is lost",
        Create: "one for each live stream",
        Patch: "to show how the live stream is, and to take the finalizer off",
        Delete: "of streams that ended",
    }
    watched Pod "" "pods" {
        Watch: "the media pods, by label",
        Get: "to see whose a pod is whose name is taken",
        Create: "media pods",
        Patch: "to write down that one drains and until when, and to label those that have publishers",
        Delete: "media pods that failed, are outdated or too many, or were on a node that was given up",
    }
    watched PodDisruptionBudget "policy" "poddisruptionbudgets" {
        Watch: "those of the media pods, by label",
        Get: "to see whose one is whose name is taken",
        Apply: "one a server, that keeps pods with publishers from eviction",
    }
    watched Namespace "" "namespaces" {
        Get: "whether it is being deleted: then a server in it does not wait for its publishers",
    }
    watched Service "" "services" {
        Watch: "those of the media pods, by label",
        Get: "to see whose a Service is whose name is taken",
        Apply: "the headless and the client Service of a server",
    }
    watched Secret "" "secrets" {
        Watch: "those with our label: certificates, keys of StreamKeys, and what HookEndpoints and listeners refer to",
        Get: "the Secrets that a StreamKey, a HookEndpoint or a listener names, and to see whose one is whose name is taken",
        Create: "a random key where a StreamKey names a Secret that is absent",
        Apply: "the CA of a server, and what its pods mount",
        Patch: "to label the Secrets that a StreamKey, a HookEndpoint or a listener names, so that a change is seen at once",
    }
    watched Event "events.k8s.io" "events" {
        Create: "what happened to an object",
        Patch: "to count an Event that happens again",
    }
    cluster Node "" "nodes" {
        Watch: "to drain the media pods of a node that is cordoned before they are evicted, and to replace those of one that is out of reach",
        Get: "to be sure that one was given up, before its pods are",
    }
    cluster Namespace "" "namespaces" {
        Watch: "to see at once that one is being deleted: Kubernetes deletes the servers in it only when their pods are gone",
    }
    own Lease "coordination.k8s.io" "leases" {
        Get: "who leads",
        Create: "the first time",
        Update: "to lead, to go on leading, and to stop",
    }
}

table! {
    /// What `headgate-operator leave` may do, which runs for a moment before the operator is uninstalled.
    LEAVING:
    leaving MediaServer "headgate.dev" "mediaservers" {
        List: "to find those that carry our finalizer",
        Patch: "to take it off: nobody is left who would",
    }
    leaving Stream "headgate.dev" "streams" {
        List: "to find those that carry our finalizer",
        Patch: "to take it off: nobody is left who would",
    }
    leaving_own Deployment "apps" "deployments" {
        Scale: "to stop the operator, which would put the finalizers on again",
    }
    leaving_own Pod "" "pods" {
        List: "to see that it has stopped",
    }
}

impl may::List for MediaServer {}
impl may::List for Stream {}
impl may::List for Pod {}
impl may::Scale for Deployment {}

/// All grants of both programs.
fn all() -> impl Iterator<Item = &'static Grant> {
    GRANTS.iter().chain(LEAVING)
}

/// Where rules are needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Place {
    /// In each namespace that the operator minds: a ClusterRole, or a Role there.
    Watched,
    /// In the operator's own namespace.
    Own,
    /// In no namespace: a ClusterRole. The operator can do without.
    Cluster,
    /// In each namespace that the operator minded, before it is uninstalled.
    Leaving,
    /// In its own namespace, before it is uninstalled.
    LeavingOwn,
}

impl Place {
    /// All, with the names of their files.
    #[cfg(test)]
    const ALL: [(Self, &str); 5] = [
        (Self::Watched, "watched"),
        (Self::Own, "own"),
        (Self::Cluster, "cluster"),
        (Self::Leaving, "leaving"),
        (Self::LeavingOwn, "leaving-own"),
    ];
}

/// The rules of a Role, as YAML.
pub fn yaml(place: Place) -> String {
    let (what, word) = match place {
        Place::Watched => ("in the namespaces that it minds", "watched"),
        Place::Own => ("in its own namespace", "own"),
        Place::Cluster => (
            "outside of namespaces. Without this it goes on, knows nothing of nodes, and sees late that a namespace is being deleted",
            "cluster",
        ),
        Place::Leaving => ("for its objects, before it is uninstalled", "leaving"),
        Place::LeavingOwn => ("in its own namespace, before it is uninstalled", "leaving-own"),
    };
    let mut text =
        format!("# What the operator may do {what}.\n# Generated by `headgate-operator rbac {word}`; do not edit.\n");
    let mut targets: Vec<(&str, String)> = Vec::new();
    for grant in all().filter(|g| g.place == place) {
        let target = target(grant);
        if !targets.contains(&target) {
            targets.push(target);
        }
    }
    for target in &targets {
        rule(&mut text, place, target);
    }
    text
}

fn target(grant: &Grant) -> (&'static str, String) {
    let subresource = match grant.call {
        Call::ApplyStatus => "/status",
        Call::Scale => "/scale",
        _ => "",
    };
    (grant.group, format!("{}{subresource}", grant.resource))
}

fn rule(text: &mut String, place: Place, wanted: &(&str, String)) {
    let mut verbs: Vec<&str> = Vec::new();
    let mut whys = String::new();
    for grant in all().filter(|g| g.place == place && target(g) == *wanted) {
        let added = grant.call.verbs();
        let _ = writeln!(whys, "  # {}: {}: {}.", grant.kind, added.join(", "), grant.why);
        let new: Vec<&str> = added.iter().copied().filter(|v| !verbs.contains(v)).collect();
        verbs.extend(new);
    }
    let _ = writeln!(
        text,
        "- apiGroups: [\"{}\"]\n  resources: [{}]\n{whys}  verbs: [{}]",
        wanted.0,
        wanted.1,
        verbs.join(", ")
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// Every source file of the operator but this one, tests cut off.
    fn sources(folder: &Path) -> String {
        let mut all = String::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                all.push_str(&sources(&path));
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("rbac.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                all.push_str(text.split("#[cfg(test)]").next().unwrap_or_default());
            }
        }
        all
    }

    fn how_it_is_written(grant: &Grant) -> String {
        let method = match grant.call {
            Call::Watch => "watch",
            Call::Get => "get",
            Call::List => "list",
            Call::Scale => "stop",
            Call::Create => "create",
            Call::Apply => "apply",
            Call::Patch => "patch",
            Call::Update => "update",
            Call::Delete => "delete",
            Call::ApplyStatus => return format!("write_if_changed::<{}, _>", grant.kind),
        };
        format!("{method}::<{}>", grant.kind)
    }

    #[test]
    fn every_grant_is_used() {
        let code = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
        for grant in all() {
            assert!(
                code.contains(&how_it_is_written(grant)),
                "no code says {}",
                how_it_is_written(grant)
            );
        }
    }

    #[test]
    fn the_committed_rules_are_the_generated_ones() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        for (place, name) in Place::ALL {
            let committed = std::fs::read_to_string(root.join(format!("rbac/{name}.yaml"))).unwrap();
            let how = format!("run: headgate-operator rbac {name} > operator/rbac/{name}.yaml");
            assert_eq!(committed, yaml(place), "{how}");
            let parsed: serde_yaml::Value = serde_yaml::from_str(&committed).unwrap();
            assert!(parsed.is_sequence());
        }
    }

    #[test]
    fn the_chart_grants_just_these_rules() {
        let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../charts/headgate/files/rbac");
        for (place, name) in Place::ALL {
            if let Ok(granted) = std::fs::read_to_string(chart.join(format!("{name}.yaml"))) {
                assert_eq!(granted, yaml(place), "copy operator/rbac/{name}.yaml into the chart");
            }
        }
    }

    #[test]
    fn nothing_is_granted_by_wildcard() {
        assert!(Place::ALL.iter().all(|(place, _)| !yaml(*place).contains('*')));
    }
}
