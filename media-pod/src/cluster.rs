//! Running in a cluster: the config from a mounted Secret to start with, and from the operator from then on.

use crate::pod::Pod;
use crate::stop::Signals;
use crate::{admin, control};
use headgate_control::{CONFIG_FILE, PodConfig};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How a pod of a cluster is started.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterOptions {
    /// The mounted Secret: config.json, tls.crt, tls.key, ca.crt.
    #[arg(long, default_value = "/etc/headgate", value_name = "DIR")]
    pub config_dir: PathBuf,
    /// Where the pod keeps what must outlive its process.
    #[arg(long, default_value = "/var/lib/headgate", value_name = "DIR")]
    pub state: PathBuf,
    /// /healthz, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:9090", value_name = "ADDR")]
    pub metrics: SocketAddr,
    /// The control port, for the operator.
    #[arg(long, default_value = "0.0.0.0:9443", value_name = "ADDR")]
    pub control: SocketAddr,
    /// Name of this pod.
    #[arg(long, env = "POD_NAME", default_value = "")]
    pub pod_name: String,
    /// Its namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "")]
    pub pod_namespace: String,
}

/// Why a pod does not start.
#[derive(Debug, thiserror::Error)]
pub enum CannotStart {
    /// A port of its own is taken.
    #[error("cannot listen on {0}: {1}")]
    Port(SocketAddr, io::Error),
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] control::BadTls),
    /// Signals.
    #[error("cannot wait for signals: {0}")]
    Signals(io::Error),
    /// A defect of ours: two metrics of one name.
    #[error(transparent)]
    Metrics(#[from] prometheus::Error),
}

/// Runs until a signal says stop.
pub async fn run(options: ClusterOptions) -> Result<(), CannotStart> {
    let mut signals = Signals::new().map_err(CannotStart::Signals)?;
    let pod = Pod::new(false)?;
    pod.name(&options.pod_name);
    pod.watch();
    let tls = Arc::new(control::Tls::load(&options.config_dir)?);
    pod.peers().identify(&own_name(&options), control::identity(&tls));
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let metrics = listen(options.metrics).await?;
    let operator = listen(options.control).await?;
    tracing::info!(pod = %options.pod_name, namespace = %options.pod_namespace, metrics = %options.metrics, control = %options.control, "started");
    if let Err(error) = std::fs::create_dir_all(&options.state) {
        tracing::warn!(state = %options.state.display(), %error, "the state folder cannot be used");
    }
    start_config(&pod, &options.config_dir);
    tasks.spawn(admin::serve(metrics, Arc::clone(&pod), None, stop.clone()));
    let routes = control::router(Arc::clone(&pod));
    tasks.spawn(control::serve(operator, Arc::clone(&tls), routes, stop.clone()));
    tasks.spawn({
        let stop = stop.clone();
        async move { tls.watch(stop).await }
    });
    signals.next().await;
    tracing::info!("stopping");
    tokio::select! {
        () = pod.stop() => {}
        () = signals.next() => tracing::warn!("told twice to stop: ending at once"),
    }
    stop.cancel();
    Ok(())
}

/// A pod's host name is its name, too.
fn own_name(options: &ClusterOptions) -> String {
    let name = Some(options.pod_name.clone()).filter(|name| !name.is_empty());
    let host = || std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.unwrap_or_else(|| host().trim().to_owned())
}

/// A config that cannot be used leaves the pod unready, and the operator puts a better one.
fn start_config(pod: &Pod, folder: &Path) {
    let path = folder.join(CONFIG_FILE);
    let text = std::fs::read(&path).map_err(|e| e.to_string());
    let config = text.and_then(|text| {
        serde_json::from_slice::<PodConfig>(&text).map_err(|e| format!("line {} column {}", e.line(), e.column()))
    });
    let applied = config.and_then(|config| pod.apply(config).map_err(|e| e.to_string()));
    if let Err(error) = applied {
        tracing::error!(path = %path.display(), %error, "no config to start with; waiting for the operator");
    }
}

pub(crate) async fn listen(address: SocketAddr) -> Result<TcpListener, CannotStart> {
    TcpListener::bind(address)
        .await
        .map_err(|error| CannotStart::Port(address, error))
}
