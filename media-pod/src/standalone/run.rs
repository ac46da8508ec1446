//! The process that runs from a folder: loads it, watches it, and shows it.

use super::look::{Look, RunningConfig};
use super::rotation::Rotation;
use super::secrets::MadeKeys;
use super::source::{self, Fingerprint};
use super::status::{Change, StatusBook};
use super::{Folder, Loaded, NoServer};
use crate::admin;
use crate::cluster::{CannotStart, listen};
use crate::pod::{Pod, Setup};
use crate::state;
use crate::stop::Signals;
use headgate_hooks::{Place, Storage};
use headgate_resolve::entry_digests;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The state folder, beside the resources.
pub const STATE_FOLDER: &str = ".state";
/// How often the folder is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// A folder that changes at every look is read all the same after so many.
const UNSETTLED_MAX: u32 = 4;
/// How often at most the conditions are looked at.
const STATUS: Duration = Duration::from_secs(1);

/// How a pod is started on a folder.
#[derive(Clone, Debug, clap::Args)]
pub struct StandaloneOptions {
    /// Run from the manifests in this folder.
    #[arg(long, value_name = "DIR", required = true)]
    pub resources: PathBuf,
    /// Which MediaServer, where the folder has several.
    #[arg(long, value_name = "NAME")]
    pub server: Option<String>,
    /// Where notifications are kept that no back end has taken, and keys that no Secret holds [default: DIR/.state].
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// /healthz, /readyz, /metrics and /resources.
    #[arg(long, default_value = "127.0.0.1:9090", value_name = "ADDR")]
    pub admin: SocketAddr,
}

impl StandaloneOptions {
    fn state(&self) -> PathBuf {
        let beside = || self.resources.join(STATE_FOLDER);
        self.state.clone().unwrap_or_else(beside)
    }
}

/// Why it does not start.
#[derive(Debug, thiserror::Error)]
pub enum StandaloneError {
    /// The folder gives no config.
    #[error(transparent)]
    NoServer(#[from] NoServer),
    /// The config was refused.
    #[error(transparent)]
    Config(#[from] crate::pod::BadConfig),
    /// A port or a signal.
    #[error(transparent)]
    Start(#[from] CannotStart),
}

/// A pod that runs from a folder.
pub struct Runner {
    options: StandaloneOptions,
    made: MadeKeys,
    rotation: Rotation,
    pod: Arc<Pod>,
    folder: Folder,
    seen: Fingerprint,
    view: Arc<View>,
}

/// What `/resources` is made from.
struct View {
    pod: Arc<Pod>,
    state: Mutex<(Loaded, StatusBook)>,
    reloaded: Notify,
}

impl Runner {
    /// Reads the folder and puts it in force.
    pub fn start(options: StandaloneOptions, pod: Arc<Pod>) -> Result<Self, StandaloneError> {
        let made = MadeKeys::new(&options.state());
        let mut folder = Folder::default();
        let seen = fingerprint(&options.resources, &made);
        folder.update(&read(&options.resources)?);
        let mut loaded = Loaded::new(&folder, options.server.as_deref(), Some(&made));
        let mut rotation = Rotation::load(&options.state());
        rotation.keep(&mut loaded, Timestamp::now());
        tell(&loaded, &Loaded::nothing());
        let (_, config) = loaded.chosen.clone()?;
        pod.apply(config)?;
        let view = Arc::new(View {
            pod: Arc::clone(&pod),
            state: Mutex::new((loaded, StatusBook::default())),
            reloaded: Notify::new(),
        });
        Ok(Self {
            options,
            made,
            rotation,
            pod,
            folder,
            seen,
            view,
        })
    }

    /// For the admin port.
    pub fn resources(&self) -> admin::Resources {
        let view = Arc::clone(&self.view);
        Arc::new(move || view.show(true).unwrap_or_default())
    }

    /// Watches the folder and logs what the objects say, until `stop`.
    pub async fn watch(mut self, stop: CancellationToken) {
        let log = log_changes(Arc::clone(&self.view));
        let watch = async {
            loop {
                self.settle().await;
                self.reload();
            }
        };
        let both = async { tokio::join!(watch, log) };
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            _ = both => {}
        }
    }

    /// Resolves when the folder has changed and is as it was a look ago: nobody is writing.
    async fn settle(&mut self) {
        let (mut last, mut unsettled) = (self.seen.clone(), 0_u32);
        loop {
            tokio::time::sleep(LOOK).await;
            let now = fingerprint(&self.options.resources, &self.made);
            let settled = now == last || unsettled >= UNSETTLED_MAX;
            if now != self.seen && settled {
                self.seen = now;
                return;
            }
            unsettled = if now == last { 0 } else { unsettled.saturating_add(1) };
            last = now;
        }
    }

    fn reload(&mut self) {
        match read(&self.options.resources) {
            Ok(files) => self.folder.update(&files),
            Err(error) => return tracing::error!(reason = error.reason(), "{error}"),
        }
        let mut loaded = Loaded::new(&self.folder, self.options.server.as_deref(), Some(&self.made));
        self.rotation.keep(&mut loaded, Timestamp::now());
        tell(&loaded, &self.view.state.lock().0);
        match loaded.chosen.clone() {
            Ok((_, config)) if self.pod.config().is_some_and(|old| *old == config) => {}
            Ok((_, config)) => {
                if let Err(error) = self.pod.apply(config) {
                    tracing::error!(reason = error.reason(), %error, "the folder is not taken; what was in force stays");
                }
            }
            Err(error) => {
                tracing::error!(reason = error.reason(), %error, "the folder is not taken; what was in force stays");
            }
        }
        self.view.state.lock().0 = loaded;
        self.view.reloaded.notify_one();
    }
}

impl View {
    /// Logs what has changed, and gives the text of `/resources` where it is asked for.
    fn show(&self, text: bool) -> Option<String> {
        let running = self.pod.config().map(|c| entry_digests(&c)).unwrap_or_default();
        let report = self.pod.report();
        let mut state = self.state.lock();
        let (loaded, book) = &mut *state;
        let look = Look::new(loaded, &report, &RunningConfig(running), Timestamp::now());
        let (text, changes) = book.show(&look, text);
        changes.iter().for_each(log);
        text
    }
}

/// Good news that nobody waits for are not worth a line.
fn log(change: &Change) {
    let Change {
        object,
        condition,
        message,
        ..
    } = change;
    match (change.quiet, change.bad) {
        (true, _) => tracing::debug!("{object}: {condition}: {message}"),
        (false, true) => tracing::warn!("{object}: {condition}: {message}"),
        (false, false) => tracing::info!("{object}: {condition}: {message}"),
    }
}

/// Logs every condition that says something new.
async fn log_changes(view: Arc<View>) {
    let mut news = view.pod.news();
    loop {
        news.mark();
        view.show(false);
        tokio::time::sleep(STATUS).await;
        tokio::select! {
            () = news.wait() => {}
            () = view.reloaded.notified() => {}
        }
    }
}

/// Logs what is refused now and was not before, and where keys were made.
fn tell(now: &Loaded, before: &Loaded) {
    for made in &now.made {
        match made {
            Ok(path) => tracing::info!(file = %path.display(), "made a random stream key: it is in this file"),
            Err(error) => tracing::error!(%error, "cannot make a stream key"),
        }
    }
    for refused in now.refused.iter().filter(|r| !before.refused.contains(r)) {
        let object = refused.id.as_ref().map(ToString::to_string).unwrap_or_default();
        let (file, reason, kept) = (&refused.file, refused.reason, refused.kept);
        tracing::warn!(file, object, reason, kept, "refused: {}", refused.message);
    }
}

fn read(folder: &Path) -> Result<super::Files, NoServer> {
    source::read(folder).map_err(|error| NoServer::Unreadable(folder.into(), error.to_string()))
}

fn fingerprint(resources: &Path, made: &MadeKeys) -> Fingerprint {
    let made = made.folders();
    let folders: Vec<&Path> = std::iter::once(resources)
        .chain(made.iter().map(AsRef::as_ref))
        .collect();
    source::fingerprint(&folders)
}

/// Runs until a signal says stop.
pub async fn run(options: StandaloneOptions) -> Result<(), StandaloneError> {
    let mut signals = Signals::new().map_err(CannotStart::Signals)?;
    // A folder that is not there is not made: that it is missing is what must be said.
    let state = options.resources.is_dir().then(|| options.state());
    state
        .as_deref()
        .map_or(Ok(()), state::prepare)
        .map_err(CannotStart::State)?;
    let pod = Pod::with(&Setup {
        name: "",
        place: Place {
            allow_loopback: true,
            ..Place::default()
        },
        storage: Storage {
            state: state.as_deref(),
            seal: None,
        },
        hls_key: None,
    })
    .map_err(CannotStart::Metrics)?;
    pod.watch();
    let port = listen(options.admin).await?;
    let address = options.admin;
    let runner = Runner::start(options, Arc::clone(&pod))?;
    let (stop, stop_watching, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());
    tasks.spawn(admin::serve(
        port,
        Arc::clone(&pod),
        Some(runner.resources()),
        stop.clone(),
    ));
    tasks.spawn(runner.watch(stop_watching.clone()));
    tracing::info!("status of all objects: http://{address}/resources");
    tasks.spawn(Arc::clone(&pod).keep_draining(stop.clone()));
    signals.drained(&pod, None).await;
    stop_watching.cancel();
    signals.stopped(&pod).await;
    stop.cancel();
    Ok(())
}
