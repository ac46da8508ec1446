//! Running in a cluster: the config from a mounted Secret to start with, and from the operator from then on.

use crate::drain::MARGIN;
use crate::pod::{Pod, Setup};
use crate::stop::Signals;
use crate::{admin, control, state};
use headgate_control::{CONFIG_FILE, PodConfig, SEAL_FILE, STATE_DIR};
use headgate_hooks::{Place, SealKey, Storage};
use headgate_http::HlsKey;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// For the operator to hear what the last lines of the ledger and the report say.
const LAST_WORDS: Duration = Duration::from_millis(300);

/// How a pod of a cluster is started.
#[derive(Clone, Debug, clap::Args)]
pub struct ClusterOptions {
    /// The mounted Secret: config.json, tls.crt, tls.key, ca.crt.
    #[arg(long, default_value = "/etc/headgate", value_name = "DIR")]
    pub config_dir: PathBuf,
    /// Where the pod keeps what must outlive its process.
    #[arg(long, env = "HEADGATE_STATE", default_value = STATE_DIR, value_name = "DIR")]
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
    /// Its own addresses, which no hook may go to.
    #[arg(long, env = "POD_IP", value_delimiter = ',', value_name = "ADDR")]
    pub pod_ips: Vec<IpAddr>,
    /// How long the process has from SIGTERM to SIGKILL: the drain's deadline and 60 s at best, of which it needs 45 [default: that of the config it starts with].
    #[arg(long, env = "TERMINATION_GRACE_SECONDS", value_name = "N")]
    pub grace_seconds: Option<u32>,
}

impl ClusterOptions {
    fn grace(&self) -> Option<Duration> {
        self.grace_seconds.map(|seconds| Duration::from_secs(seconds.into()))
    }
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
    /// Nothing could be kept.
    #[error(transparent)]
    State(#[from] state::BadState),
    /// The key of the ledger.
    #[error("cannot use {0:?}: {1}")]
    Seal(PathBuf, String),
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
    state::prepare(&options.state)?;
    let name = own_name(&options);
    let pod = Pod::with(&Setup {
        name: &name,
        place: Place {
            allow_loopback: false,
            never: &out_of_bounds(&options.pod_ips),
        },
        storage: Storage {
            state: Some(&options.state),
            seal: seal_key(&options.config_dir)?,
        },
        hls_key: hls_key(&options.config_dir),
    })?;
    pod.watch();
    let tls = Arc::new(control::Tls::load(&options.config_dir)?);
    pod.peers().identify(&name, control::identity(&tls));
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let metrics = listen(options.metrics).await?;
    let operator = listen(options.control).await?;
    tracing::info!(pod = %options.pod_name, namespace = %options.pod_namespace, metrics = %options.metrics, control = %options.control, "started");
    start_config(&pod, &options.config_dir);
    let grace = options.grace().or_else(|| usual_grace(&pod));
    tasks.spawn(admin::serve(metrics, Arc::clone(&pod), None, stop.clone()));
    let routes = control::router(Arc::clone(&pod));
    tasks.spawn(control::serve(operator, Arc::clone(&tls), routes, stop.clone()));
    tasks.spawn({
        let stop = stop.clone();
        async move { tls.watch(stop).await }
    });
    tasks.spawn(Arc::clone(&pod).keep_draining(stop.clone()));
    signals.drained(&pod, grace).await;
    signals.stopped(&pod).await;
    tokio::time::sleep(LAST_WORDS).await;
    stop.cancel();
    Ok(())
}

/// The pod itself, and the API server as every container knows it: what is there trusts whoever is inside.
fn out_of_bounds(own: &[IpAddr]) -> Vec<IpAddr> {
    let api_server = std::env::var("KUBERNETES_SERVICE_HOST").ok();
    let api_server = api_server.and_then(|host| host.parse().ok());
    own.iter().copied().chain(api_server).collect()
}

/// What the operator gives to a pod that it makes for this config; a later one cannot change it.
fn usual_grace(pod: &Pod) -> Option<Duration> {
    let seconds = pod.config()?.drain.deadline_seconds;
    Some(Duration::from_secs(seconds.into()).saturating_add(MARGIN))
}

/// Without one the pod runs, and nobody can close its sessions if it is lost.
fn seal_key(folder: &Path) -> Result<Option<SealKey>, CannotStart> {
    let path = folder.join(SEAL_FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CannotStart::Seal(path, error.to_string())),
    };
    let key = SealKey::from_hex(&text).map_err(|error| CannotStart::Seal(path, error.to_string()));
    key.map(Some)
}

/// From the secret that the pods of a server share already.
fn hls_key(folder: &Path) -> Option<HlsKey> {
    let text = std::fs::read_to_string(folder.join(SEAL_FILE)).ok()?;
    Some(HlsKey::new(text.trim().as_bytes()))
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
