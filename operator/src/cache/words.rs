//! By what else than its name an object is found, so that nobody looks through all of a namespace.

use crate::names::{SERVER_LABEL, label};
use crate::node::node_of;
use headgate_api::{HookEndpoint, MediaServer, ObjectRef, Stream, StreamKey};
use k8s_openapi::api::core::v1::{Namespace, Node, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;

/// What an object has to do with another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word(Box<str>);

impl Word {
    /// It names the server, or belongs to it.
    pub fn server(name: &str) -> Self {
        Self(format!("server/{name}").into())
    }

    /// It names the Secret.
    pub fn secret(name: &str) -> Self {
        Self(format!("secret/{name}").into())
    }

    /// It runs on the node.
    pub fn node(name: &str) -> Self {
        Self(format!("node/{name}").into())
    }

    /// An object with this UID owns it.
    pub fn owner(uid: &str) -> Self {
        Self(format!("owner/{uid}").into())
    }
}

/// A kind that is found by words.
pub trait Worded {
    /// The object's words, in order, each once.
    fn words(&self) -> Vec<Word>;
}

impl Worded for MediaServer {
    fn words(&self) -> Vec<Word> {
        Vec::new()
    }
}

impl Worded for StreamKey {
    fn words(&self) -> Vec<Word> {
        let secret = Word::secret(&self.spec.secret_ref.name);
        sorted(servers(&self.spec.server_refs).chain([secret]))
    }
}

impl Worded for HookEndpoint {
    fn words(&self) -> Vec<Word> {
        sorted(servers(&self.spec.server_refs))
    }
}

impl Worded for Stream {
    fn words(&self) -> Vec<Word> {
        vec![Word::server(&self.spec.server_ref.name)]
    }
}

impl Worded for Pod {
    fn words(&self) -> Vec<Word> {
        let node = node_of(self).map(|name| Word::node(name));
        sorted(of_server(self).into_iter().chain(node))
    }
}

impl Worded for PodDisruptionBudget {
    fn words(&self) -> Vec<Word> {
        of_server(self)
    }
}

impl Worded for Node {
    fn words(&self) -> Vec<Word> {
        Vec::new()
    }
}

impl Worded for Namespace {
    fn words(&self) -> Vec<Word> {
        Vec::new()
    }
}

impl Worded for Service {
    fn words(&self) -> Vec<Word> {
        of_server(self)
    }
}

impl Worded for Secret {
    fn words(&self) -> Vec<Word> {
        Vec::new()
    }
}

fn servers(refs: &[ObjectRef]) -> impl Iterator<Item = Word> {
    refs.iter().map(|r| Word::server(&r.name))
}

/// By its label and by its owners: a server that was made anew has the name and another UID.
fn of_server(object: &impl Resource) -> Vec<Word> {
    let owners = object.meta().owner_references.iter().flatten();
    let owners = owners.map(|o| Word::owner(&o.uid));
    sorted(label(object, SERVER_LABEL).map(Word::server).into_iter().chain(owners))
}

fn sorted(words: impl Iterator<Item = Word>) -> Vec<Word> {
    let mut words: Vec<Word> = words.collect();
    words.sort();
    words.dedup();
    words
}
