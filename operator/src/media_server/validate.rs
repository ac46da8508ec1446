//! Whether the server can be built: its spec holds together, and nobody else holds the names it needs.

use super::fetch::Fetched;
use crate::names::{ObjectKey, is_owned_by};
use headgate_api::condition::{ConditionType, Finding};
use headgate_resolve::{Invalid, validate_server};
use kube::{Resource, ResourceExt};
use std::sync::Arc;

/// What was fetched, and what stands in its way.
pub struct Valid {
    /// As fetched.
    pub fetched: Fetched,
    /// The spec cannot be run; what runs stays as it is.
    pub invalid: Option<Invalid>,
    /// Names that others hold; these objects are left alone.
    pub taken: Vec<Taken>,
}

/// A name that another object holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its kind.
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// It belongs to another MediaServer, or to nobody we know.
    pub owner: Option<String>,
}

impl Valid {
    /// Whether a child may be written.
    pub fn may_write(&self, kind: &str, name: &str) -> bool {
        !self.taken.iter().any(|t| t.kind == kind && t.name == name)
    }
}

impl Taken {
    /// As the server's condition says it.
    pub fn finding(&self) -> Finding {
        let owner = self.owner.as_ref().map_or_else(
            || "was not made by Headgate".to_owned(),
            |owner| format!("belongs to {owner}"),
        );
        let message = format!(
            "{} {:?} {owner}: delete or rename it, or give this MediaServer another name",
            self.kind, self.name
        );
        Finding::no(ConditionType::Ready, "NameTaken", message)
    }
}

/// Looks at the spec and at the children.
pub fn validate(fetched: Fetched) -> Valid {
    let uid = fetched.server.metadata.uid.clone().unwrap_or_default();
    let children = &fetched.children;
    let taken = [
        taken(children.authority.as_ref(), "Secret", &uid),
        taken(children.pod_secret.as_ref(), "Secret", &uid),
        taken(children.headless.as_ref(), "Service", &uid),
        taken(children.client.as_ref(), "Service", &uid),
        taken(children.budget.as_ref(), "PodDisruptionBudget", &uid),
    ];
    Valid {
        invalid: validate_server(&fetched.server.spec).err(),
        taken: taken.into_iter().flatten().collect(),
        fetched,
    }
}

fn taken<K: Resource>(child: Option<&Arc<K>>, kind: &'static str, uid: &str) -> Option<Taken> {
    let child = child?;
    if is_owned_by(child.as_ref(), uid) {
        return None;
    }
    let owner = child.owner_references().iter().find(|o| o.controller == Some(true));
    Some(Taken {
        kind,
        name: ObjectKey::of(child.as_ref()).name,
        owner: owner.map(|o| format!("{} {:?}", o.kind, o.name)),
    })
}
