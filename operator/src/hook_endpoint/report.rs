//! What an endpoint says of itself.

use super::told::said;
use super::{Applied, Fetched, Hooks};
use crate::attachment::{Attachment, is_passing, note_leaving};
use crate::context::Context;
use crate::events::transitions;
use crate::names::ObjectKey;
use crate::runner::{Error, Kind as _, Next};
use crate::status::{Written, write_if_changed};
use headgate_api::condition::{ConditionType, Finding, merge};
use headgate_api::{HookEndpoint, HookEndpointStatus};
use headgate_control::{HookFailure, HookReport};
use headgate_resolve::{Back, EntryKind, InForce, coarse, hook_findings, programmed, reachable, troubles};
use kube::ResourceExt;
use tokio::time::Instant;

const TOLD: &[(ConditionType, bool)] = &[
    (ConditionType::Accepted, true),
    (ConditionType::ResolvedRefs, true),
    (ConditionType::Reachable, true),
];

/// Tells of a new failure at once; writes the status, if it says something new.
pub async fn report(ctx: &Context, applied: &Applied) -> Result<Next, Error> {
    let fetched = &applied.fetched;
    let reports = reports(fetched);
    tell(ctx, fetched, &reports).await;
    let findings = findings(applied, &reports);
    let at = ObjectKey::of(fetched.hook.as_ref());
    // What a pod said of the endpoint as it was before says nothing of it as it is now.
    let behind = fetched.attachments.iter().any(Attachment::is_behind);
    let passing = behind || is_passing(&findings, &fetched.attachments);
    if let Some(wait) = ctx.holds.wait(Hooks::NAME, &at, passing, Instant::now()) {
        return Ok(Next::After(wait));
    }
    let new = status(fetched, &findings, &reports);
    let old = fetched.hook.status.as_ref();
    let written = write_if_changed::<HookEndpoint, _>(ctx, Hooks::NAME, fetched.hook.as_ref(), old, &new).await?;
    if matches!(written, Written::New(_)) {
        let before = old.map(|s| s.conditions.as_slice()).unwrap_or_default();
        let notes = transitions(before, &new.conditions, TOLD);
        ctx.events.publish(fetched.hook.as_ref(), &notes).await;
    }
    Ok(written.next(&ctx.caches.hooks))
}

async fn tell(ctx: &Context, fetched: &Fetched, reports: &[HookReport]) {
    let Some(failure) = last_failure(reports) else { return };
    let shown = fetched.hook.status.as_ref().and_then(|s| s.last_failure.as_ref());
    let uid = fetched.hook.uid().unwrap_or_default();
    if let Some(note) = ctx.told.news(&uid, failure, shown) {
        ctx.events.publish(fetched.hook.as_ref(), &[note]).await;
    }
}

fn reports(fetched: &Fetched) -> Vec<HookReport> {
    let name = fetched.hook.name_any();
    fetched.attachments.iter().flat_map(|a| a.hook_reports(&name)).collect()
}

fn last_failure(reports: &[HookReport]) -> Option<&HookFailure> {
    reports
        .iter()
        .filter_map(|r| r.last_failure.as_ref())
        .max_by_key(|f| f.time)
}

/// Accepted, ResolvedRefs, Programmed, Reachable, Delivering; CircuitClosed and FailOpenActive while there is something to say.
fn findings(applied: &Applied, reports: &[HookReport]) -> Vec<Finding> {
    let fetched = &applied.fetched;
    let exists = |name: &str| fetched.attachments.iter().any(|a| a.name == name && a.server.is_some());
    let secrets = fetched.secrets().0;
    let mut findings = hook_findings(&fetched.hook, &exists, &secrets);
    if let Some(message) = &applied.refused {
        findings.retain(|f| f.kind != ConditionType::ResolvedRefs);
        findings.push(Finding::no(
            ConditionType::ResolvedRefs,
            "SecretRefused",
            message.clone(),
        ));
    }
    note_leaving(&mut findings, &fetched.attachments);
    let name = fetched.hook.name_any();
    let in_force = |a: &Attachment| {
        let wanted = a.wanted_hook(&fetched.hook, &secrets);
        (a.name.clone(), a.in_force(EntryKind::Hook, &name, wanted.as_ref()))
    };
    let servers: Vec<(String, InForce)> = fetched.attachments.iter().map(in_force).collect();
    findings.push(programmed(&findings, fetched.hook.spec.suspend, &servers));
    let back = Back {
        reports: reports.to_vec(),
    };
    findings.extend(reachable(&back));
    findings.extend(troubles(&back));
    findings
}

fn status(fetched: &Fetched, findings: &[Finding], reports: &[HookReport]) -> HookEndpointStatus {
    let hook = &fetched.hook;
    let old = hook
        .status
        .as_ref()
        .map(|s| s.conditions.as_slice())
        .unwrap_or_default();
    let generation = hook.metadata.generation.unwrap_or(0);
    HookEndpointStatus {
        observed_generation: Some(generation),
        conditions: merge(old, findings, generation, fetched.now),
        pending: coarse(reports.iter().map(|r| u64::from(r.pending)).sum()),
        dead: coarse(reports.iter().fold(0, |sum, r| sum.saturating_add(r.dead))),
        dead_letters: coarse(reports.iter().map(|r| u64::from(r.letters)).sum()),
        oldest_pending_seconds: oldest(reports),
        last_failure: last_failure(reports).map(said),
    }
}

/// Of the pods the one that waits longest; nothing while none waits long.
fn oldest(reports: &[HookReport]) -> Option<i32> {
    let oldest = reports.iter().map(|r| r.oldest_pending_seconds).max();
    oldest.filter(|s| *s > 0).map(|s| i32::try_from(s).unwrap_or(i32::MAX))
}
