//! Running from a folder of manifests: the same objects as in a cluster, read from files, reloaded when they change, and shown with
//! their status.
//!
//! A file that does not parse, and an object that is refused, take nothing out of force: what was good last stays, and `/resources` and
//! the log say what is wrong. Keys that no Secret holds are made under the state folder.

mod check;
mod folder;
mod look;
mod object;
mod rotation;
mod run;
mod secrets;
mod source;
mod status;

pub use check::check;
pub use folder::{Files, Folder, Refused};
pub use object::{Id, Kind, Object};
pub use run::{Runner, STATE_FOLDER, StandaloneError, StandaloneOptions, run};

use headgate_api::{HookEndpoint, MediaServer, StreamKey};
use headgate_control::PodConfig;
use headgate_resolve::{Surroundings, pod_config, validate_server};
use secrets::{MadeKeys, SecretBook};
use std::path::PathBuf;
use std::sync::Arc;

/// Why a folder gives no config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoServer {
    /// The folder cannot be read.
    #[error("cannot read {0:?}: {1}")]
    Unreadable(PathBuf, String),
    /// There is no server.
    #[error("there is no MediaServer: add one (`spec: {{}}` is a good one)")]
    None,
    /// None of that name.
    #[error("there is no MediaServer {0:?}: there are {1}")]
    NotThere(String, String),
    /// More than one, and no name given.
    #[error("there are {0} MediaServers ({1}): say which one with --server NAME")]
    Several(usize, String),
    /// Two of one name.
    #[error("{0}")]
    TwoOfOneName(String),
    /// It cannot run.
    #[error("MediaServer {0:?} cannot run: {2}")]
    Invalid(String, &'static str, String),
}

/// What a folder holds now.
#[derive(Clone)]
pub struct Loaded {
    /// All objects that are good, in the order of files.
    pub objects: Vec<Object>,
    /// All that was refused.
    pub refused: Vec<Refused>,
    /// The Secrets, and the keys that were made.
    secrets: SecretBook,
    /// The name and config of the server to run, or why there is none.
    pub chosen: Result<(String, PodConfig), NoServer>,
    /// Files with keys that were made just now, or why one could not be.
    pub made: Vec<Result<PathBuf, String>>,
}

impl NoServer {
    /// PascalCase, for the log and the condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(..) => "FolderUnreadable",
            Self::None => "NoServer",
            Self::NotThere(..) => "ServerNotFound",
            Self::Several(..) => "SeveralServers",
            Self::TwoOfOneName(_) => "TwoOfOneName",
            Self::Invalid(_, reason, _) => reason,
        }
    }
}

impl Loaded {
    /// Of no folder at all.
    fn nothing() -> Self {
        Self {
            objects: Vec::new(),
            refused: Vec::new(),
            secrets: SecretBook::default(),
            chosen: Err(NoServer::None),
            made: Vec::new(),
        }
    }

    /// What `folder` comes to for the server of that name, or for its only one. `made` is `None` where no key may be made (`check`).
    pub fn new(folder: &Folder, server: Option<&str>, made: Option<&MadeKeys>) -> Self {
        let objects: Vec<Object> = folder.objects().cloned().collect();
        let refused = folder.problems().to_vec();
        let mut secrets = SecretBook::new(&objects);
        let keys = keys(&objects).map(AsRef::as_ref);
        let made = made.map(|made| made.complete(keys, &mut secrets)).unwrap_or_default();
        let chosen = choose(&objects, &refused, server).and_then(|s| config(&s, &objects, &secrets));
        Self {
            objects,
            refused,
            secrets,
            chosen,
            made,
        }
    }
}

fn choose(objects: &[Object], refused: &[Refused], name: Option<&str>) -> Result<Arc<MediaServer>, NoServer> {
    let all: Vec<&Arc<MediaServer>> = servers(objects).collect();
    let names = all.iter().filter_map(|s| s.metadata.name.as_deref());
    let list = names.map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ");
    let wanted: Vec<_> = all
        .iter()
        .filter(|s| name.is_none_or(|n| s.metadata.name.as_deref() == Some(n)))
        .collect();
    let server = match (wanted.as_slice(), name) {
        ([one], _) => one,
        ([], None) => return Err(NoServer::None),
        ([], Some(name)) if all.is_empty() => return Err(NoServer::NotThere(name.into(), "none".into())),
        ([], Some(name)) => return Err(NoServer::NotThere(name.into(), list)),
        (many, _) => return Err(NoServer::Several(many.len(), list)),
    };
    twin(refused, server).map_or(Ok(Arc::clone(server)), |message| Err(NoServer::TwoOfOneName(message)))
}

fn twin(refused: &[Refused], server: &MediaServer) -> Option<String> {
    let id = Id {
        kind: Kind::MediaServer,
        name: server.metadata.name.clone()?,
    };
    let found = refused
        .iter()
        .find(|r| r.reason == folder::TWO_OF_ONE_NAME && r.id.as_ref() == Some(&id))?;
    Some(format!("{:?}: {}", found.file, found.message))
}

fn config(server: &MediaServer, objects: &[Object], secrets: &SecretBook) -> Result<(String, PodConfig), NoServer> {
    let name = server.metadata.name.clone().unwrap_or_default();
    validate_server(&server.spec).map_err(|why| NoServer::Invalid(name.clone(), why.reason(), why.to_string()))?;
    let config = pod_config(
        server,
        keys(objects).map(AsRef::as_ref),
        hooks(objects).map(AsRef::as_ref),
        secrets,
        Surroundings::default(),
    );
    Ok((name, config))
}

fn servers(objects: &[Object]) -> impl Iterator<Item = &Arc<MediaServer>> {
    objects.iter().filter_map(|o| {
        if let Object::Server(server) = o {
            Some(server)
        } else {
            None
        }
    })
}

fn keys(objects: &[Object]) -> impl Iterator<Item = &Arc<StreamKey>> {
    objects
        .iter()
        .filter_map(|o| if let Object::Key(key) = o { Some(key) } else { None })
}

fn hooks(objects: &[Object]) -> impl Iterator<Item = &Arc<HookEndpoint>> {
    objects
        .iter()
        .filter_map(|o| if let Object::Hook(hook) = o { Some(hook) } else { None })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn loaded(manifests: &[&str], server: Option<&str>) -> Result<String, &'static str> {
        let mut folder = Folder::default();
        let files = manifests
            .iter()
            .enumerate()
            .map(|(i, m)| (format!("{i}.yaml"), Ok((*m).to_owned())));
        folder.update(&files.collect());
        Loaded::new(&folder, server, None)
            .chosen
            .map(|(name, _)| name)
            .map_err(|why| why.reason())
    }

    const A: &str = "{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {name: a}, spec: {}}";
    const B: &str = "{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {name: b}, spec: {}}";
    const CLASH: &str = "{apiVersion: headgate.dev/v1alpha1, kind: MediaServer, metadata: {name: a}, spec: {listeners: [{name: x, protocol: RTMP, port: 1935}, {name: y, protocol: HTTP, port: 1935}]}}";

    #[test]
    fn the_only_server_or_the_one_that_is_named_runs() {
        assert_eq!(loaded(&[A], None), Ok("a".into()));
        assert_eq!(loaded(&[A, B], Some("b")), Ok("b".into()));
        assert_eq!(loaded(&[A, B], None), Err("SeveralServers"));
        assert_eq!(loaded(&[A, B], Some("c")), Err("ServerNotFound"));
        assert_eq!(loaded(&[], None), Err("NoServer"));
    }

    #[test]
    fn two_servers_of_one_name_and_a_port_clash_do_not_run() {
        assert_eq!(loaded(&[A, A], None), Err("TwoOfOneName"));
        assert_eq!(loaded(&[A, B, B], Some("a")), Ok("a".into()));
        assert_eq!(loaded(&[CLASH], None), Err("PortClash"));
    }
}
