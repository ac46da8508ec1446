//! What a key says of itself.

use super::{Applied, Fetched, Keys};
use crate::attachment::{is_passing, note_leaving};
use crate::context::Context;
use crate::events::transitions;
use crate::names::ObjectKey;
use crate::runner::{Error, Kind as _, Next};
use crate::status::{Written, write_if_changed};
use headgate_api::condition::{ConditionType, Finding, merge};
use headgate_api::{StreamKey, StreamKeyStatus};
use headgate_resolve::{EntryKind, InForce, key_findings, key_urls, programmed};
use kube::ResourceExt;
use tokio::time::Instant;

const TOLD: &[(ConditionType, bool)] = &[(ConditionType::Accepted, true), (ConditionType::ResolvedRefs, true)];
const URLS_MAX: usize = 64;

/// Writes the status, if it says something new.
pub async fn report(ctx: &Context, applied: Applied) -> Result<Next, Error> {
    let (fetched, refused) = (&applied.fetched, applied.refused);
    let findings = findings(fetched, refused);
    let at = ObjectKey::of(fetched.key.as_ref());
    let passing = is_passing(&findings, &fetched.attachments);
    if let Some(wait) = ctx.holds.wait(Keys::NAME, &at, passing, Instant::now()) {
        return Ok(Next::After(wait));
    }
    let new = status(fetched, &findings);
    let old = fetched.key.status.as_ref();
    let written = write_if_changed::<StreamKey, _>(ctx, Keys::NAME, fetched.key.as_ref(), old, &new).await?;
    if matches!(written, Written::New(_)) {
        let before = old.map(|s| s.conditions.as_slice()).unwrap_or_default();
        let notes = transitions(before, &new.conditions, TOLD);
        ctx.events.publish(fetched.key.as_ref(), &notes).await;
    }
    Ok(written.next(&ctx.caches.keys))
}

/// Accepted, ResolvedRefs, Programmed.
fn findings(fetched: &Fetched, refused: Option<String>) -> Vec<Finding> {
    let exists = |name: &str| fetched.attachments.iter().any(|a| a.name == name && a.server.is_some());
    let secrets = fetched.secrets();
    let mut findings = key_findings(&fetched.key, &exists, &secrets);
    if let Some(message) = refused {
        findings.retain(|f| f.kind != ConditionType::ResolvedRefs);
        findings.push(Finding::no(ConditionType::ResolvedRefs, "SecretRefused", message));
    }
    note_leaving(&mut findings, &fetched.attachments);
    let name = fetched.key.name_any();
    let servers: Vec<(String, InForce)> = fetched
        .attachments
        .iter()
        .map(|a| {
            let wanted = a.wanted_key(&fetched.key, &secrets);
            (a.name.clone(), a.in_force(EntryKind::Key, &name, wanted.as_ref()))
        })
        .collect();
    let last = programmed(&findings, fetched.key.spec.suspend, &servers);
    findings.push(last);
    findings
}

fn status(fetched: &Fetched, findings: &[Finding]) -> StreamKeyStatus {
    let key = &fetched.key;
    let old = key.status.as_ref().map(|s| s.conditions.as_slice()).unwrap_or_default();
    let generation = key.metadata.generation.unwrap_or(0);
    let servers = fetched
        .attachments
        .iter()
        .filter_map(|a| Some((a.server.as_ref()?, &a.host)));
    let (publish, play): (Vec<_>, Vec<_>) = servers
        .map(|(s, host)| key_urls(&key.spec, &s.spec.listeners, host))
        .unzip();
    let users = fetched.attachments.iter().map(|a| a.publishers(&key.name_any()));
    StreamKeyStatus {
        observed_generation: Some(generation),
        conditions: merge(old, findings, generation, fetched.now),
        publish_urls: publish.into_iter().flatten().take(URLS_MAX).collect(),
        play_urls: play.into_iter().flatten().take(URLS_MAX).collect(),
        publishers: i32::try_from(users.fold(0, u32::saturating_add)).unwrap_or(i32::MAX),
    }
}
