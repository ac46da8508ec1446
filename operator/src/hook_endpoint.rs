//! HookEndpoint: the Secrets it refers to, whether it is in force, and how its back end does.

mod plan;
mod report;
mod told;

pub use told::Told;

use crate::attachment::{Attachment, attachments};
use crate::context::{Context, now};
use crate::media_server::KeySecrets;
use crate::names::{ObjectKey, SECRET_LABEL, SecretUse};
use crate::runner::{Error, Kind, Next};
use headgate_api::HookEndpoint;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::jiff::Timestamp;
use plan::{Todo, todo};
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;

/// How soon a Secret that is missing is looked for again: without our label no watch shows that it came.
const MISSING: Duration = Duration::from_secs(3);

/// Reconciles HookEndpoints. The servers take them into their configuration.
pub struct Hooks;

/// What a reconcile of one endpoint looks at.
pub struct Fetched {
    hook: Arc<HookEndpoint>,
    /// Those of the Secrets it names that are there.
    secrets: Vec<Arc<Secret>>,
    attachments: Vec<Attachment>,
    now: Timestamp,
}

/// With the Secrets to label, by their UIDs.
pub struct Planned {
    fetched: Fetched,
    labels: Vec<(String, String)>,
}

/// With the Secrets as they are now, or why one could not be labelled.
pub struct Applied {
    fetched: Fetched,
    refused: Option<String>,
}

impl Kind for Hooks {
    const NAME: &'static str = "HookEndpoint";
    const CONCURRENCY: usize = 4;
    type Fetched = Fetched;
    type Valid = Fetched;
    type Planned = Planned;
    type Applied = Applied;

    async fn fetch(ctx: &Context, at: &ObjectKey) -> Result<Option<Fetched>, Error> {
        let hook = ctx.caches.hooks.get(at);
        let Some(hook) = hook.filter(|h| h.metadata.deletion_timestamp.is_none()) else {
            return Ok(None);
        };
        let mut secrets = Vec::new();
        for name in hook.spec.secrets() {
            let of = at.sibling(name);
            secrets.extend(match ctx.caches.secrets.get(&of) {
                Some(known) => Some(known),
                None => ctx.cluster.get::<Secret>(&of).await?.map(Arc::new),
            });
        }
        Ok(Some(Fetched {
            attachments: attachments(ctx, &at.namespace, &hook.spec.server_refs),
            secrets,
            hook,
            now: now(),
        }))
    }

    fn validate(fetched: Fetched) -> Fetched {
        fetched
    }

    fn plan(valid: Fetched) -> Planned {
        let labels = valid.secrets.iter().filter_map(|secret| match todo(secret) {
            Todo::Label(uid) => Some((secret.metadata.name.clone()?, uid)),
            Todo::Nothing | Todo::Refuse => None,
        });
        Planned {
            labels: labels.collect(),
            fetched: valid,
        }
    }

    async fn apply(ctx: &Context, planned: Planned) -> Result<Applied, Error> {
        let mut fetched = planned.fetched;
        let at = ObjectKey::of(fetched.hook.as_ref());
        for (name, uid) in planned.labels {
            let of = at.sibling(&name);
            let label: &'static str = SecretUse::HookEndpoint.into();
            let patch = json!({ "metadata": { "uid": uid, "labels": { SECRET_LABEL: label } } });
            match ctx.cluster.patch::<Secret>(&of, patch).await {
                Ok(secret) => {
                    tracing::info!(hook = %at, secret = %of, "Secret of a hook labelled");
                    fetched.secrets.retain(|s| s.metadata.name.as_deref() != Some(&name));
                    fetched.secrets.push(Arc::new(secret));
                }
                Err(error) if error.is_verdict() => {
                    let refused = Some(error.to_string());
                    return Ok(Applied { fetched, refused });
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Applied { fetched, refused: None })
    }

    async fn report(ctx: &Context, applied: Applied) -> Result<Next, Error> {
        let missing = applied.fetched.secrets().1;
        let next = report::report(ctx, &applied).await?;
        Ok(next.or_sooner(missing.then_some(MISSING)))
    }
}

impl Fetched {
    /// The Secrets that may be used, and whether one that is named is not among them.
    fn secrets(&self) -> (KeySecrets, bool) {
        let usable = self.secrets.iter().filter(|s| todo(s) != Todo::Refuse);
        let usable: Vec<Arc<Secret>> = usable.cloned().collect();
        let missing = usable.len() < self.hook.spec.secrets().len();
        (usable.into_iter().collect(), missing)
    }
}
