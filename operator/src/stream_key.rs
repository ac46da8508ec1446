//! StreamKey: the Secret that holds the key, and whether the key is in force.

mod plan;
mod report;

use crate::attachment::{Attachment, attachments};
use crate::context::{Context, now};
use crate::media_server::KeySecrets;
use crate::names::{MANAGED_BY, ObjectKey, SECRET_LABEL, SecretUse, owner};
use crate::runner::{Error, Kind, Next};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use headgate_api::StreamKey;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::jiff::Timestamp;
use plan::Todo;
use serde_json::json;
use std::sync::Arc;

/// Bytes of randomness in a key that we make.
const KEY_BYTES: usize = 32;

/// Reconciles StreamKeys.
pub struct Keys;

/// What a reconcile of one key looks at.
pub struct Fetched {
    key: Arc<StreamKey>,
    secret: Option<Arc<Secret>>,
    attachments: Vec<Attachment>,
    now: Timestamp,
}

/// With the verdict on the spec.
pub struct Valid {
    fetched: Fetched,
    is_valid: bool,
}

/// With what to do about the Secret.
pub struct Planned {
    fetched: Fetched,
    todo: Todo,
}

/// With the Secret as it is now, or why it could not be made.
pub struct Applied {
    fetched: Fetched,
    refused: Option<String>,
}

impl Kind for Keys {
    const NAME: &'static str = "StreamKey";
    const CONCURRENCY: usize = 8;
    type Fetched = Fetched;
    type Valid = Valid;
    type Planned = Planned;
    type Applied = Applied;

    async fn fetch(ctx: &Context, at: &ObjectKey) -> Result<Option<Fetched>, Error> {
        let Some(key) = ctx
            .caches
            .keys
            .get(at)
            .filter(|k| k.metadata.deletion_timestamp.is_none())
        else {
            return Ok(None);
        };
        let of = at.sibling(&key.spec.secret_ref.name);
        let secret = match ctx.caches.secrets.get(&of) {
            Some(known) => Some(known),
            None => ctx.cluster.get::<Secret>(&of).await?.map(Arc::new),
        };
        Ok(Some(Fetched {
            attachments: attachments(ctx, &at.namespace, &key.spec.server_refs),
            secret,
            key,
            now: now(),
        }))
    }

    fn validate(fetched: Fetched) -> Valid {
        let is_valid = headgate_resolve::validate_key(&fetched.key.spec).is_ok();
        Valid { fetched, is_valid }
    }

    fn plan(valid: Valid) -> Planned {
        let todo = plan::todo(valid.is_valid, valid.fetched.secret.as_deref());
        Planned {
            fetched: valid.fetched,
            todo,
        }
    }

    async fn apply(ctx: &Context, planned: Planned) -> Result<Applied, Error> {
        let mut fetched = planned.fetched;
        let at = ObjectKey::of(fetched.key.as_ref());
        let of = at.sibling(&fetched.key.spec.secret_ref.name);
        let was = if planned.todo == Todo::Make { "made" } else { "labelled" };
        let written = match planned.todo {
            Todo::Nothing => return Ok(Applied { fetched, refused: None }),
            Todo::Make => ctx.cluster.create::<Secret>(&random(&fetched.key)).await,
            Todo::Label(uid) => {
                let label: &'static str = SecretUse::StreamKey.into();
                let patch = json!({ "metadata": { "uid": uid, "labels": { SECRET_LABEL: label } } });
                ctx.cluster.patch::<Secret>(&of, patch).await
            }
        };
        match written {
            Ok(secret) => {
                tracing::info!(key = %at, secret = %of, was, "Secret of a key");
                fetched.secret = Some(Arc::new(secret));
                Ok(Applied { fetched, refused: None })
            }
            Err(error) if error.is_verdict() => Ok(Applied {
                fetched,
                refused: Some(error.to_string()),
            }),
            Err(error) => Err(error.into()),
        }
    }

    async fn report(ctx: &Context, applied: Applied) -> Result<Next, Error> {
        report::report(ctx, applied).await
    }
}

impl Fetched {
    fn secrets(&self) -> KeySecrets {
        self.secret.clone().into_iter().collect()
    }
}

/// A Secret with a new random key. Goes with the StreamKey that it was made for.
fn random(key: &StreamKey) -> Secret {
    let bytes: [u8; KEY_BYTES] = rand::random();
    let text = URL_SAFE_NO_PAD.encode(bytes);
    let of = &key.spec.secret_ref;
    let label: &'static str = SecretUse::StreamKey.into();
    let labels = [(SECRET_LABEL, label), MANAGED_BY].map(|(k, v)| (k.to_owned(), v.to_owned()));
    Secret {
        metadata: ObjectMeta {
            name: Some(of.name.clone()),
            namespace: key.metadata.namespace.clone(),
            labels: Some(labels.into()),
            owner_references: Some(vec![owner(key)]),
            ..ObjectMeta::default()
        },
        data: Some([(of.key.clone(), ByteString(text.into_bytes()))].into()),
        type_: Some("Opaque".into()),
        ..Secret::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_we_make_is_long_random_and_fits_into_a_url() {
        let yaml = "{apiVersion: headgate.dev/v1alpha1, kind: StreamKey, metadata: {name: alice, namespace: n, uid: u}, spec: {serverRefs: [{name: live}], stream: {app: live}, secretRef: {name: alice-key, key: k}}}";
        let key: StreamKey = serde_yaml::from_str(yaml).unwrap();
        let entry = |s: Secret| String::from_utf8(s.data.unwrap()["k"].0.clone()).unwrap();
        let (one, two) = (entry(random(&key)), entry(random(&key)));
        assert_ne!(one, two);
        assert_eq!(one.len(), 43);
        assert!(one.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_'));
        assert_eq!(random(&key).metadata.owner_references.unwrap()[0].uid, "u");
    }
}
