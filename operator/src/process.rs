//! The process: watches that always run, reconcilers that run while it leads, and an orderly end.

use crate::cache::{self, Cache, Change, Kept, Scope};
use crate::cli::RunOptions;
use crate::cluster::{Cluster, Namespaced};
use crate::context::{Caches, Context, Queues};
use crate::events::Events;
use crate::hook_endpoint::Hooks;
use crate::lease::{Claim, Elector};
use crate::link::Links;
use crate::media_server::Servers;
use crate::metrics::Metrics;
use crate::names::{ObjectKey, SECRET_LABEL, SERVER_LABEL};
use crate::rbac::may;
use crate::routes::Routes;
use crate::stream::Streams;
use crate::stream_key::Keys;
use crate::{admin, namespace, node, runner, standby};
use headgate_api::{HookEndpoint, MediaServer, Stream, StreamKey};
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::Client;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const LEASE: &str = "headgate-operator";
/// Everything is looked at once in an hour, a part of it each minute: no event is trusted to come.
const SWEEP_PARTS: u64 = 60;
/// After this time nobody waits for pods that have not been heard of since this process leads.
const HEARD_WITHIN: Duration = Duration::from_secs(5);
const SWEEP_EVERY: Duration = Duration::from_mins(1);

/// Why the operator does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum ProcessError {
    /// No kubeconfig, no service account, or no TLS.
    #[error("no way to the API server: {0}")]
    Client(#[from] kube::Error),
    /// The port is taken.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, #[source] io::Error),
    /// Signals.
    #[error("cannot wait for signals: {0}")]
    Signals(#[source] io::Error),
    /// Two metrics of one name.
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// Runs until SIGTERM or SIGINT.
pub async fn run(options: RunOptions) -> Result<(), ProcessError> {
    let mut terminate = signal(SignalKind::terminate()).map_err(ProcessError::Signals)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(ProcessError::Signals)?;
    let listener = TcpListener::bind(options.metrics_address)
        .await
        .map_err(|e| ProcessError::Listen(options.metrics_address, e))?;
    let client = crate::client::connect().await?;
    let claim = if options.leader_elect {
        Claim::none()
    } else {
        Claim::always()
    };
    let (ctx, routes) = context(&options, &client, &claim)?;
    let stop = CancellationToken::new();
    let mut tasks = JoinSet::new();
    watches(&mut tasks, &client, &options.watch_namespace, &ctx, &routes, &stop);
    {
        let (ctx, stop) = (ctx.clone(), stop.clone());
        tasks.spawn(async move {
            if let Err(error) = admin::serve(listener, ctx, stop).await {
                tracing::error!(%error, "metrics port failed");
            }
        });
    }
    let lead = tokio::spawn(election(options, client, claim, ctx, routes, stop.clone()));
    tracing::info!(version = env!("CARGO_PKG_VERSION"), "started");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
    if let Err(error) = lead.await {
        tracing::error!(%error, "the leader's task ended abnormally");
    }
    tasks.shutdown().await;
    Ok(())
}

fn context(options: &RunOptions, client: &Client, claim: &Claim) -> Result<(Arc<Context>, Routes), ProcessError> {
    let metrics = Arc::new(Metrics::new()?);
    let (caches, queues) = (Caches::default(), Queues::default());
    let routes = Routes {
        caches: caches.clone(),
        queues: queues.clone(),
        open: Arc::default(),
    };
    let wake = {
        let routes = routes.clone();
        // Who does not lead hears ledgers, and reconciles nothing.
        Arc::new(move |server: &ObjectKey, changes| {
            if routes.is_open() {
                routes.report(server, changes);
            }
        })
    };
    let ctx = Context {
        cluster: Cluster::new(client.clone(), claim.clone(), metrics.clone()),
        caches,
        queues,
        links: Links::new(claim.clone(), metrics.clone(), wake),
        orphans: crate::orphans::Orphans::default(),
        clients: crate::tls::Clients::default(),
        events: Events::new(client.clone(), options.identity.clone(), claim.clone(), metrics.clone()),
        writes: crate::status::Writes::default(),
        turns: crate::status::Turns::default(),
        holds: crate::status::Holds::default(),
        twice: crate::stream::Twice::default(),
        flow: crate::stream::Flow::default(),
        told: crate::hook_endpoint::Told::default(),
        metrics,
        media_image: options.media_image.clone(),
        hook_networks: options.hook_networks(),
    };
    Ok((Arc::new(ctx), routes))
}

/// Starts one watch a kind.
fn watches(
    tasks: &mut JoinSet<()>,
    client: &Client,
    namespace: &str,
    ctx: &Arc<Context>,
    routes: &Routes,
    stop: &CancellationToken,
) {
    let start = Start {
        client,
        namespace,
        ctx,
        routes,
        turns: cache::ListTurns::default(),
        stop,
    };
    let caches = &ctx.caches;
    start.watch::<MediaServer>(tasks, &caches.servers, "", Routes::server);
    start.watch::<StreamKey>(tasks, &caches.keys, "", Routes::stream_key);
    start.watch::<HookEndpoint>(tasks, &caches.hooks, "", Routes::hook);
    start.watch::<Stream>(tasks, &caches.streams, "", Routes::stream);
    start.watch::<Pod>(tasks, &caches.pods, SERVER_LABEL, Routes::pod);
    start.watch::<Service>(tasks, &caches.services, SERVER_LABEL, Routes::service);
    start.watch::<Secret>(tasks, &caches.secrets, SECRET_LABEL, Routes::secret);
    start.watch::<PodDisruptionBudget>(tasks, &caches.budgets, SERVER_LABEL, Routes::budget);
    tasks.spawn(node::watch(client.clone(), ctx.clone(), routes.clone(), stop.clone()));
    tasks.spawn(namespace::watch(
        client.clone(),
        namespace.to_owned(),
        ctx.clone(),
        routes.clone(),
        stop.clone(),
    ));
}

struct Start<'a> {
    client: &'a Client,
    namespace: &'a str,
    ctx: &'a Arc<Context>,
    routes: &'a Routes,
    turns: cache::ListTurns,
    stop: &'a CancellationToken,
}

impl Start<'_> {
    fn watch<K: Namespaced + Kept + may::Watch>(
        &self,
        tasks: &mut JoinSet<()>,
        store: &Arc<Cache<K>>,
        labels: &'static str,
        route: fn(&Routes, &Change<K>),
    ) {
        let scope = Scope {
            namespace: self.namespace.to_owned(),
            labels,
            turns: self.turns.clone(),
        };
        let routes = self.routes.clone();
        let changed = move |change: &Change<K>| {
            if routes.is_open() {
                route(&routes, change);
            } else {
                routes.stand_by(change);
            }
        };
        tasks.spawn(cache::watch(
            self.client.clone(),
            scope,
            store.clone(),
            self.ctx.metrics.clone(),
            changed,
            self.stop.clone(),
        ));
    }
}

/// Leads while it may.
async fn election(
    options: RunOptions,
    client: Client,
    claim: Claim,
    ctx: Arc<Context>,
    routes: Routes,
    stop: CancellationToken,
) {
    if !options.leader_elect {
        return lead(ctx, routes, stop).await;
    }
    let (tell, mut leading) = watch::channel(false);
    let own = Cluster::new(client, Claim::always(), ctx.metrics.clone());
    let key = ObjectKey::new(options.namespace, LEASE);
    let mut elector = Elector::in_cluster(own, key, options.identity, claim);
    let over = CancellationToken::new();
    let acting = async {
        while is_leading(&mut leading, &ctx, &routes, &stop).await {
            let term = stop.child_token();
            let mut leader = pin!(lead(ctx.clone(), routes.clone(), term.clone()));
            tokio::select! {
                () = &mut leader => {}
                () = lost(&mut leading) => {
                    term.cancel();
                    leader.await;
                }
            }
        }
        over.cancel();
    };
    // The Lease is renewed until the last write is done, and given up then.
    tokio::join!(acting, elector.run(&tell, &over));
    elector.release().await;
}

/// Waits for the lead; `false` when the process stops before.
async fn is_leading(
    leading: &mut watch::Receiver<bool>,
    ctx: &Context,
    routes: &Routes,
    stop: &CancellationToken,
) -> bool {
    tokio::select! {
        got = stop.run_until_cancelled(leading.wait_for(|leads| *leads)) => got.is_some_and(|result| result.is_ok()),
        never = standby::run(ctx, routes) => match never {},
    }
}

async fn lost(leading: &mut watch::Receiver<bool>) {
    // An error means that the elector is gone, and the lead with it.
    let _ = leading.wait_for(|leads| !*leads).await;
}

/// Has everything looked at: what belongs to servers whose pods do not say anything after a while, then again and again.
async fn sweep(ctx: &Context, routes: &Routes) {
    sleep(HEARD_WITHIN).await;
    routes.rest(|server| ctx.is_heard(server));
    for part in (0..SWEEP_PARTS).cycle() {
        sleep(SWEEP_EVERY).await;
        routes.slice(part, SWEEP_PARTS);
    }
}

/// Reconciles until `term` ends.
async fn lead(ctx: Arc<Context>, routes: Routes, term: CancellationToken) {
    tracing::info!("leading");
    ctx.metrics.leader.set(1);
    while !ctx.caches.are_synced() && !term.is_cancelled() {
        sleep(Duration::from_millis(20)).await;
    }
    // Before all is looked at, so that what changes meanwhile is looked at again.
    routes.set_open(true);
    routes.servers();
    let queues = &ctx.queues;
    queues.ledgers.clear();
    tokio::join!(
        runner::run::<Servers>(ctx.clone(), queues.servers.clone(), term.clone()),
        runner::run::<Keys>(ctx.clone(), queues.keys.clone(), term.clone()),
        runner::run::<Hooks>(ctx.clone(), queues.hooks.clone(), term.clone()),
        runner::run::<Streams>(ctx.clone(), queues.streams.clone(), term.clone()),
        term.run_until_cancelled(sweep(&ctx, &routes)),
    );
    routes.set_open(false);
    ctx.links.clear();
    ctx.orphans.clear();
    ctx.metrics.leader.set(0);
    tracing::info!("not leading any more");
}
