//! [`Object`]: one manifest of a kind that we know, checked field by field as an API server would.

use headgate_api::{HookEndpoint, MediaServer, StreamKey};
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_yaml::{Mapping, Value};
use std::fmt;
use std::sync::Arc;
use strum::{Display, EnumString, IntoStaticStr};

/// A manifest that was accepted.
#[derive(Clone, Debug, PartialEq)]
pub enum Object {
    /// A server.
    Server(Arc<MediaServer>),
    /// A key.
    Key(Arc<StreamKey>),
    /// A back end.
    Hook(Arc<HookEndpoint>),
    /// Where keys are.
    Secret(Arc<Secret>),
}

/// The kinds that a folder may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Display, EnumString, IntoStaticStr)]
pub enum Kind {
    /// MediaServer.
    MediaServer,
    /// StreamKey.
    StreamKey,
    /// HookEndpoint.
    HookEndpoint,
    /// The core kind Secret.
    Secret,
}

/// What names an object in a folder. All files are one namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Id {
    /// Kind.
    pub kind: Kind,
    /// `metadata.name`.
    pub name: String,
}

/// Why a manifest was refused. Holds no value of a Secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadObject {
    /// Not a mapping with apiVersion, kind and metadata.name.
    #[error("is no manifest: {0}")]
    NoManifest(&'static str),
    /// A kind that a folder cannot hold.
    #[error(
        "kind {0:?} of apiVersion {1:?} is not known here: use MediaServer, StreamKey or HookEndpoint of headgate.dev/v1alpha1, or Secret of v1"
    )]
    UnknownKind(String, String),
    /// A field that no schema has.
    #[error("unknown field {0:?}: remove it or correct its name")]
    UnknownField(String),
    /// A value that does not fit.
    #[error("{path}: {message}")]
    BadValue {
        /// Where, as `spec.listeners[0].port`.
        path: String,
        /// What is wrong with it.
        message: String,
    },
}

impl BadObject {
    /// PascalCase, for the condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoManifest(_) => "NoManifest",
            Self::UnknownKind(..) => "UnknownKind",
            Self::UnknownField(_) => "UnknownField",
            Self::BadValue { .. } => "BadValue",
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.kind, self.name)
    }
}

impl Object {
    /// What names it.
    pub fn id(&self) -> Id {
        let (kind, metadata) = match self {
            Self::Server(o) => (Kind::MediaServer, &o.metadata),
            Self::Key(o) => (Kind::StreamKey, &o.metadata),
            Self::Hook(o) => (Kind::HookEndpoint, &o.metadata),
            Self::Secret(o) => (Kind::Secret, &o.metadata),
        };
        Id {
            kind,
            name: metadata.name.clone().unwrap_or_default(),
        }
    }
}

/// Reads one document. The id comes with a refusal when that much could be read.
pub fn read(document: &Value) -> Result<Object, (Option<Id>, BadObject)> {
    let map = document
        .as_mapping()
        .ok_or((None, BadObject::NoManifest("it is no mapping")))?;
    let kind = kind(map).map_err(|why| (None, why))?;
    let metadata: ObjectMeta = part(map, "metadata").map_err(|why| (None, why))?;
    let name = metadata.name.clone().filter(|n| is_name(n));
    let missing = BadObject::NoManifest("metadata.name must be lower-case letters, digits, '-' and '.'");
    let id = Id {
        kind,
        name: name.ok_or((None, missing))?,
    };
    build(map, kind, metadata).map_err(|why| (Some(id), why))
}

fn build(map: &Mapping, kind: Kind, metadata: ObjectMeta) -> Result<Object, BadObject> {
    if kind == Kind::Secret {
        let secret: Secret = whole(map).map_err(without_value)?;
        return Ok(Object::Secret(Arc::new(secret)));
    }
    known_keys(map)?;
    let name = metadata.name.clone().unwrap_or_default();
    Ok(match kind {
        Kind::MediaServer => Object::Server(Arc::new(MediaServer {
            metadata,
            ..MediaServer::new(&name, part(map, "spec")?)
        })),
        Kind::StreamKey => Object::Key(Arc::new(StreamKey {
            metadata,
            ..StreamKey::new(&name, part(map, "spec")?)
        })),
        _ => Object::Hook(Arc::new(HookEndpoint {
            metadata,
            ..HookEndpoint::new(&name, part(map, "spec")?)
        })),
    })
}

fn kind(map: &Mapping) -> Result<Kind, BadObject> {
    let text = |key| map.get(key).and_then(Value::as_str);
    let (Some(kind), Some(version)) = (text("kind"), text("apiVersion")) else {
        return Err(BadObject::NoManifest("it lacks kind or apiVersion"));
    };
    let unknown = || BadObject::UnknownKind(kind.into(), version.into());
    let known: Kind = kind.parse().map_err(|_| unknown())?;
    let expected = if known == Kind::Secret {
        "v1"
    } else {
        "headgate.dev/v1alpha1"
    };
    if version == expected { Ok(known) } else { Err(unknown()) }
}

/// `status` is there in what `kubectl get` gives and means nothing here.
fn known_keys(map: &Mapping) -> Result<(), BadObject> {
    let known = ["apiVersion", "kind", "metadata", "spec", "status"];
    let names = map.keys().map(|k| k.as_str().unwrap_or("?"));
    names
        .into_iter()
        .find(|k| !known.contains(k))
        .map_or(Ok(()), |k| Err(BadObject::UnknownField(k.into())))
}

fn part<T: DeserializeOwned>(map: &Mapping, key: &'static str) -> Result<T, BadObject> {
    let nothing = Value::Mapping(Mapping::new());
    let value = map.get(key).filter(|v| !v.is_null()).unwrap_or(&nothing);
    strict(value, key)
}

fn whole<T: DeserializeOwned>(map: &Mapping) -> Result<T, BadObject> {
    strict(&Value::Mapping(map.clone()), "")
}

/// Deserializes and refuses what was left over, naming the first such field.
fn strict<T: DeserializeOwned>(value: &Value, prefix: &str) -> Result<T, BadObject> {
    let mut unknown = None;
    let mut note = |path: serde_ignored::Path<'_>| unknown = unknown.take().or(Some(path.to_string()));
    let mut track = serde_path_to_error::Track::new();
    let inner = serde_ignored::Deserializer::new(value, &mut note);
    let result = T::deserialize(serde_path_to_error::Deserializer::new(inner, &mut track));
    let path = |tail: String| join(prefix, &tail);
    match (result, unknown) {
        (Err(error), _) => Err(BadObject::BadValue {
            path: path(track.path().to_string()),
            message: error.to_string(),
        }),
        (Ok(_), Some(field)) => Err(BadObject::UnknownField(path(field.replace(".?", "")))),
        (Ok(value), None) => Ok(value),
    }
}

/// What is wrong with a Secret, without repeating what stands in it.
fn without_value(why: BadObject) -> BadObject {
    match why {
        BadObject::BadValue { path, .. } => BadObject::BadValue {
            path,
            message: "does not fit: `stringData` maps names to strings (put quotes around numbers), `data` to base64"
                .into(),
        },
        other => other,
    }
}

fn join(prefix: &str, tail: &str) -> String {
    let tail = if tail == "." { "" } else { tail };
    match (prefix, tail) {
        ("", _) => tail.into(),
        (_, "") => prefix.into(),
        _ => format!("{prefix}.{tail}"),
    }
}

fn is_name(name: &str) -> bool {
    let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.';
    let edge = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    name.len() <= 253 && name.starts_with(edge) && name.ends_with(edge) && name.chars().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(yaml: &str) -> Result<Id, (Option<Id>, String)> {
        let ours = format!("{{apiVersion: headgate.dev/v1alpha1, {yaml}}}");
        let document = serde_yaml::from_str(&ours).unwrap();
        read(&document)
            .map(|o| o.id())
            .map_err(|(id, why)| (id, format!("{}: {why}", why.reason())))
    }

    fn refusal(yaml: &str) -> String {
        reading(yaml).unwrap_err().1
    }

    #[test]
    fn an_empty_server_is_good_with_and_without_a_spec() {
        let id = Id {
            kind: Kind::MediaServer,
            name: "live".into(),
        };
        for rest in ["spec: {}", "spec: null", "status: {streams: 1}"] {
            assert_eq!(
                reading(&format!("kind: MediaServer, metadata: {{name: live}}, {rest}")),
                Ok(id.clone())
            );
        }
    }

    #[test]
    fn an_unknown_field_is_refused_with_its_path() {
        let spec = |s: &str| refusal(&format!("kind: MediaServer, metadata: {{name: live}}, spec: {s}"));
        let unknown = |path: &str| format!("UnknownField: unknown field \"{path}\": remove it or correct its name");
        assert_eq!(spec("{replicaz: 1}"), unknown("spec.replicaz"));
        assert_eq!(spec("{play: {gopcache: true}}"), unknown("spec.play.gopcache"));
        assert_eq!(
            spec("{listeners: [{name: a, protocol: RTMP, port: 1935, certificate: {}}]}"),
            unknown("spec.listeners.0.certificate")
        );
        assert_eq!(spec("{limits: {publishersPerPod: 1, x: 2}}"), unknown("spec.limits.x"));
        assert_eq!(
            refusal("kind: MediaServer, metadata: {name: live}, sepc: {}"),
            unknown("sepc")
        );
        assert_eq!(
            refusal("kind: MediaServer, metadata: {name: live, nmae: x}"),
            unknown("metadata.nmae")
        );
    }

    #[test]
    fn a_bad_value_is_refused_with_its_path() {
        let message = refusal(
            "kind: MediaServer, metadata: {name: live}, spec: {listeners: [{name: a, protocol: RTMPX, port: 1}]}",
        );
        assert!(
            message.starts_with("BadValue: spec.listeners[0].protocol: unknown variant"),
            "{message}"
        );
        let (id, message) = reading("kind: StreamKey, metadata: {name: k}, spec: {serverRefs: []}").unwrap_err();
        assert!(message.contains("missing field `stream`"), "{message}");
        assert_eq!(id.unwrap().to_string(), "StreamKey \"k\"");
    }

    #[test]
    fn what_is_wrong_with_a_secret_does_not_repeat_what_is_in_it() {
        for data in ["stringData: {key: 271828}", "data: {key: '!271828'}"] {
            let document = format!("{{apiVersion: v1, kind: Secret, metadata: {{name: s}}, {data}}}");
            let (_, why) = read(&serde_yaml::from_str(&document).unwrap()).unwrap_err();
            assert!(
                why.reason() == "BadValue" && !why.to_string().contains("271828"),
                "{why}"
            );
        }
    }

    #[test]
    fn what_is_no_manifest_of_ours_says_so() {
        assert!(refusal("kind: Recording, metadata: {name: x}").starts_with("UnknownKind: kind \"Recording\""));
        assert!(refusal("kind: Secret, metadata: {name: x}").starts_with("UnknownKind"));
        assert!(refusal("metadata: {name: x}").starts_with("NoManifest"));
        assert!(refusal("kind: MediaServer, metadata: {name: Bad_Name}").starts_with("NoManifest"));
    }
}
