//! By what else than its name an object is found, so that nobody looks through all of a namespace.

use crate::media_server::pod_state;
use crate::names::{SERVER_LABEL, label};
use crate::node::node_of;
use headgate_api::{HookEndpoint, MediaServer, ObjectRef, Stream, StreamKey};
use k8s_openapi::api::core::v1::{Node, Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Resource;
use sha2::{Digest as _, Sha256};

/// What an object has to do with another: a digest, since there are several to each object, and no two words have the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Word([u8; 16]);

impl Word {
    /// It names the server, or belongs to it.
    pub fn server(name: &str) -> Self {
        Self::of("server", name)
    }

    /// It names the Secret.
    pub fn secret(name: &str) -> Self {
        Self::of("secret", name)
    }

    /// It runs on the node.
    pub fn node(name: &str) -> Self {
        Self::of("node", name)
    }

    /// An object with this UID owns it.
    pub fn owner(uid: &str) -> Self {
        Self::of("owner", uid)
    }

    /// It stands so.
    pub fn state(name: &str) -> Self {
        Self::of("state", name)
    }

    fn of(relation: &str, name: &str) -> Self {
        let digest = Sha256::new()
            .chain_update(relation)
            .chain_update("/")
            .chain_update(name);
        let mut word = [0; 16];
        word.iter_mut().zip(digest.finalize()).for_each(|(to, from)| *to = from);
        Self(word)
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
        let state = Word::state(pod_state(self));
        sorted(of_server(self).into_iter().chain(node).chain([state]))
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
