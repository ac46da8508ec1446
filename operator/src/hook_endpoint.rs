//! HookEndpoint: whether it is in force, and how its back end does.

mod report;
mod told;

pub use told::Told;

use crate::attachment::{Attachment, attachments};
use crate::context::{Context, now};
use crate::names::ObjectKey;
use crate::runner::{Error, Kind, Next};
use headgate_api::HookEndpoint;
use k8s_openapi::jiff::Timestamp;
use std::sync::Arc;

/// Reconciles HookEndpoints. They have no children, so nothing is planned or applied: the servers take them into their
/// configuration.
pub struct Hooks;

/// What a reconcile of one endpoint looks at.
pub struct Fetched {
    hook: Arc<HookEndpoint>,
    attachments: Vec<Attachment>,
    now: Timestamp,
}

/// Nothing was to be done.
pub struct Applied(Fetched);

impl Kind for Hooks {
    const NAME: &'static str = "HookEndpoint";
    const CONCURRENCY: usize = 4;
    type Fetched = Fetched;
    type Valid = Fetched;
    type Planned = Fetched;
    type Applied = Applied;

    async fn fetch(ctx: &Context, at: &ObjectKey) -> Result<Option<Fetched>, Error> {
        let hook = ctx.caches.hooks.get(at);
        let Some(hook) = hook.filter(|h| h.metadata.deletion_timestamp.is_none()) else {
            return Ok(None);
        };
        Ok(Some(Fetched {
            attachments: attachments(ctx, &at.namespace, &hook.spec.server_refs),
            hook,
            now: now(),
        }))
    }

    fn validate(fetched: Fetched) -> Fetched {
        fetched
    }

    fn plan(valid: Fetched) -> Fetched {
        valid
    }

    async fn apply(_: &Context, planned: Fetched) -> Result<Applied, Error> {
        Ok(Applied(planned))
    }

    async fn report(ctx: &Context, applied: Applied) -> Result<Next, Error> {
        report::report(ctx, &applied.0).await
    }
}
