//! One runner for every kind: `fetch → validate → plan → apply → report`.
//!
//! `validate` and `plan` hold the decisions: no client, no clock. `report` takes only what `apply` gave back, so a status cannot
//! speak of what was not done. No object is reconciled twice at a time.

use crate::cluster::ClusterError;
use crate::context::Context;
use crate::link::LinkError;
use crate::names::ObjectKey;
use crate::queue::{Outcome, Queue};
use crate::tls::TlsError;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

const RECONCILE_TIMEOUT: Duration = Duration::from_mins(1);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What the operator does about one kind of object.
pub trait Kind: 'static {
    /// Label of metrics and logs.
    const NAME: &'static str;
    /// Reconciles at one time, and with them the share of the API server: what is urgent has more.
    const CONCURRENCY: usize;
    /// The object, and whatever its reconcile must know.
    type Fetched: Send;
    /// The same, with a verdict on it.
    type Valid: Send;
    /// What to do.
    type Planned: Send;
    /// What was done. Only `apply` makes one.
    type Applied: Send;

    /// Reads, mostly from caches. `None` when there is nothing to do.
    fn fetch(ctx: &Context, key: &ObjectKey) -> impl Future<Output = Result<Option<Self::Fetched>, Error>> + Send;
    /// Whether it can be done.
    fn validate(fetched: Self::Fetched) -> Self::Valid;
    /// What is to be done.
    fn plan(valid: Self::Valid) -> Self::Planned;
    /// Does it.
    fn apply(ctx: &Context, planned: Self::Planned) -> impl Future<Output = Result<Self::Applied, Error>> + Send;
    /// Says so.
    fn report(ctx: &Context, applied: Self::Applied) -> impl Future<Output = Result<Next, Error>> + Send;
}

/// When to look again if nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// With the sweep that looks at everything once an hour.
    Resync,
    /// After this time.
    After(Duration),
}

impl Next {
    /// The earlier of two.
    #[must_use]
    pub fn or_sooner(self, time: Option<Duration>) -> Self {
        match (self, time) {
            (Self::After(a), Some(b)) => Self::After(a.min(b)),
            (Self::Resync, Some(b)) => Self::After(b),
            (next, None) => next,
        }
    }

    fn outcome(self) -> Outcome {
        match self {
            Self::Resync => Outcome::Forget,
            Self::After(time) => Outcome::Again(time),
        }
    }
}

/// Why a reconcile failed; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A call to the API server.
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    /// A call to a pod.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// What is to be written cannot be written down.
    #[error("not serializable: {0}")]
    Json(#[from] serde_json::Error),
    /// The operator was upgraded without its CustomResourceDefinitions.
    #[error(
        "the API server keeps no status of a {0}: its CustomResourceDefinition is older than this operator; apply the ones that came with it"
    )]
    OldDefinition(&'static str),
    /// A bug, caught.
    #[error("the reconcile ended abnormally: {0}")]
    Panicked(String),
    /// A call that never ended.
    #[error("the reconcile took longer than {RECONCILE_TIMEOUT:?}")]
    TimedOut,
}

impl Error {
    /// PascalCase, bounded.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Cluster(e) => e.reason(),
            Self::Link(e) => e.reason(),
            Self::Tls(e) => e.reason(),
            Self::Json(_) => "NotSerializable",
            Self::OldDefinition(_) => "OldDefinition",
            Self::Panicked(_) => "Panicked",
            Self::TimedOut => "TimedOut",
        }
    }
}

/// Reconciles what the queue gives until `stop`, then waits for what is under way.
pub async fn run<K: Kind>(ctx: Arc<Context>, queue: Arc<Queue>, stop: CancellationToken) {
    let mut running = Running {
        tasks: JoinSet::new(),
        keys: HashMap::new(),
    };
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = running.tasks.join_next_with_id() => running.settle::<K>(&ctx, &queue, ended),
            key = queue.next(), if running.tasks.len() < K::CONCURRENCY => running.start::<K>(&ctx, key),
        }
    }
    let drained = timeout(STOP_TIMEOUT, async {
        while let Some(ended) = running.tasks.join_next_with_id().await {
            running.settle::<K>(&ctx, &queue, ended);
        }
    });
    if drained.await.is_err() {
        tracing::warn!(kind = K::NAME, "reconciles cut off at the end");
    }
    for key in running.keys.into_values() {
        queue.done(key, Outcome::Forget);
    }
}

struct Running {
    tasks: JoinSet<Result<Outcome, Error>>,
    keys: HashMap<Id, ObjectKey>,
}

impl Running {
    fn start<K: Kind>(&mut self, ctx: &Arc<Context>, key: ObjectKey) {
        let (ctx, of) = (ctx.clone(), key.clone());
        let task = self.tasks.spawn(async move {
            let _timer = ctx
                .metrics
                .reconcile_seconds
                .with_label_values(&[K::NAME])
                .start_timer();
            timeout(RECONCILE_TIMEOUT, reconcile::<K>(&ctx, &of))
                .await
                .unwrap_or(Err(Error::TimedOut))
        });
        self.keys.insert(task.id(), key);
    }

    fn settle<K: Kind>(
        &mut self,
        ctx: &Context,
        queue: &Queue,
        ended: Result<(Id, Result<Outcome, Error>), JoinError>,
    ) {
        let (id, result) = match ended {
            Ok(ended) => ended,
            Err(error) => (error.id(), Err(Error::Panicked(error.to_string()))),
        };
        let Some(key) = self.keys.remove(&id) else { return };
        queue.done(key.clone(), outcome::<K>(ctx, &key, result));
    }
}

fn outcome<K: Kind>(ctx: &Context, key: &ObjectKey, result: Result<Outcome, Error>) -> Outcome {
    let word = if result.is_ok() { "ok" } else { "error" };
    ctx.metrics.reconciles.with_label_values(&[K::NAME, word]).inc();
    result.unwrap_or_else(|error| {
        let reason = error.reason();
        ctx.metrics.reconcile_errors.with_label_values(&[K::NAME, reason]).inc();
        tracing::warn!(kind = K::NAME, object = %key, reason, %error, "reconcile failed; trying again");
        Outcome::Failed
    })
}

async fn reconcile<K: Kind>(ctx: &Context, key: &ObjectKey) -> Result<Outcome, Error> {
    let Some(fetched) = K::fetch(ctx, key).await? else {
        return Ok(Outcome::Forget);
    };
    let planned = K::plan(K::validate(fetched));
    let applied = K::apply(ctx, planned).await?;
    let next = K::report(ctx, applied).await?;
    Ok(next.outcome())
}
