//! Runs scenarios one after the other, each in its namespace, and counts.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::LocalBoxFuture;

use crate::ensure;
use crate::error::{Error, Result};
use crate::harness::context::LABEL;
use crate::harness::{Cluster, Context, eventually, evidence};
use crate::ui::{say, seconds, step};

/// A scenario that takes longer has failed.
const LIMIT: Duration = Duration::from_mins(10);
/// How long namespaces may take to go once they are deleted.
const GONE_LIMIT: Duration = Duration::from_mins(1);

/// One scenario.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name, as its file is named.
    pub name: &'static str,
    /// What it proves, in a line.
    pub about: &'static str,
    /// Whether it needs the images of operator and media pod.
    pub needs_images: bool,
    /// The scenario itself. It runs on the main task.
    pub run: for<'a> fn(&'a Context) -> LocalBoxFuture<'a, Result<()>>,
}

/// Runs them all and returns how many failed. Prints a line each, and the count alone on the last line.
pub async fn run(cluster: &Cluster, scenarios: &[Scenario]) -> Result<usize> {
    cluster.clear().await?;
    let mut failed: usize = 0;
    for scenario in scenarios {
        failed = failed.saturating_add(usize::from(!one(cluster, scenario).await));
    }
    let gone = step("namespaces removed", namespaces_are_gone(cluster)).await;
    say(format_args!(
        "{} passed, {failed} failed",
        scenarios.len().saturating_sub(failed)
    ));
    gone.map(|()| failed)
}

async fn one(cluster: &Cluster, scenario: &Scenario) -> bool {
    say(format_args!("RUN  {}: {}", scenario.name, scenario.about));
    let begun = Instant::now();
    let outcome = in_namespace(cluster, scenario).await;
    let time = seconds(begun.elapsed());
    match &outcome {
        Ok(()) => say(format_args!("PASS {} {time}", scenario.name)),
        Err(cause) => say(format_args!("FAIL {} {time}: {cause}", scenario.name)),
    }
    outcome.is_ok()
}

async fn in_namespace(cluster: &Cluster, scenario: &Scenario) -> Result<()> {
    let context = Context::new(cluster, scenario.name).await?;
    let outcome = guarded(&context, scenario).await;
    if let Err(cause) = &outcome {
        let kept = evidence::keep(&context, scenario.name, &cause.to_string()).await;
        let kept = kept.map_or_else(
            |cause| format!("not kept: {cause}"),
            |at| format!("in {}", at.display()),
        );
        say(format_args!("     logs, events and objects are {kept}"));
        // What it broke and had no time to mend.
        cluster.heal().await?;
    }
    let cleaned = clean(&context).await;
    if outcome.is_err() || cleaned.is_err() {
        cluster.let_go().await?;
    }
    outcome.and(cleaned)
}

/// A scenario that panics or hangs has failed, and the others run all the same.
async fn guarded(context: &Context, scenario: &Scenario) -> Result<()> {
    let run = AssertUnwindSafe((scenario.run)(context)).catch_unwind();
    match tokio::time::timeout(LIMIT, run).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(_)) => Err(Error::new("it panicked; the message is above")),
        Err(_) => Err(Error::new(format!("it took longer than {}", seconds(LIMIT)))),
    }
}

/// The objects go before the operator, which may have finalizers to run. The namespaces go in their own time. One thing that fails does not
/// keep the others from being done.
pub(crate) async fn clean(context: &Context) -> Result<()> {
    let objects_gone = delete_objects(context).await;
    let uninstalled = context.helm.uninstall_all().await;
    let released = release_lease(context).await;
    let unregistered = context.cluster.unregister().await;
    let args = ["delete", "namespace", "-l", LABEL, "--wait=false"];
    let deleted = context.kubectl.run(&args).await.map(drop);
    objects_gone
        .and(uninstalled)
        .and(released)
        .and(unregistered)
        .and(deleted)
}

/// helm takes the operator's permissions before the operator, which then cannot release its Lease; the next scenario's operator
/// would wait until it runs out.
async fn release_lease(context: &Context) -> Result<()> {
    context
        .kubectl
        .delete("lease", "headgate-system", "headgate-operator")
        .await
}

async fn delete_objects(context: &Context) -> Result<()> {
    let kinds = context.cluster.kinds().await?;
    if kinds.is_empty() {
        return Ok(());
    }
    for namespace in context.cluster.namespaces().await? {
        let args = ["delete", &kinds, "--all", "-n", &namespace, "--timeout=50s"];
        context.kubectl.run(&args).await?;
    }
    Ok(())
}

/// A namespace that does not go holds an object whose finalizer nobody runs.
async fn namespaces_are_gone(cluster: &Cluster) -> Result<()> {
    let look = async || {
        let left = cluster
            .kubectl
            .run(&["get", "namespaces", "-l", LABEL, "-o", "name"])
            .await?;
        ensure!(left.is_empty(), "still there: {}", left.trim());
        Ok(())
    };
    eventually(GONE_LIMIT, "the scenarios' namespaces are gone", look).await
}
