//! helm. Every release that is installed is remembered, so that the run can take it away however the scenario ends.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::command::Cmd;
use crate::error::Result;

/// How long helm may wait for what it installs.
const LIMIT: Duration = Duration::from_mins(3);

/// The program, the cluster that it speaks to, and what it has installed there.
#[derive(Debug, Clone)]
pub struct Helm {
    program: PathBuf,
    kubeconfig: PathBuf,
    releases: Arc<Mutex<Vec<(String, String)>>>,
}

impl Helm {
    /// This program, for the cluster of this kubeconfig.
    pub fn new(program: PathBuf, kubeconfig: PathBuf) -> Self {
        Self {
            program,
            kubeconfig,
            releases: Arc::default(),
        }
    }

    /// Runs it with these arguments and returns what it printed.
    pub async fn run(&self, args: &[&str]) -> Result<String> {
        let command = Cmd::new(&self.program)
            .arg("--kubeconfig")
            .arg(&self.kubeconfig)
            .args(args);
        command
            .timeout(LIMIT.saturating_add(Duration::from_secs(30)))
            .run()
            .await
    }

    /// Installs a chart, with `extra` such as `--set a=b`, and waits until all of it is ready.
    pub async fn install(&self, release: &str, namespace: &str, chart: &str, extra: &[&str]) -> Result<String> {
        self.releases.lock().push((release.to_owned(), namespace.to_owned()));
        self.change(
            "install",
            release,
            namespace,
            &[&[chart, "--create-namespace"], extra].concat(),
        )
        .await
    }

    /// Upgrades a release and waits until all of it is ready.
    pub async fn upgrade(&self, release: &str, namespace: &str, chart: &str, extra: &[&str]) -> Result<String> {
        self.change("upgrade", release, namespace, &[&[chart], extra].concat())
            .await
    }

    /// Goes back to a revision and waits until all of it is ready; none is the one before.
    pub async fn rollback(&self, release: &str, namespace: &str, revision: Option<u32>) -> Result<String> {
        let revision = revision.map(|revision| revision.to_string());
        self.change("rollback", release, namespace, revision.as_deref().as_slice())
            .await
    }

    /// Takes a release away and waits until it is gone.
    pub async fn uninstall(&self, release: &str, namespace: &str) -> Result<String> {
        self.releases
            .lock()
            .retain(|known| *known != (release.to_owned(), namespace.to_owned()));
        self.change("uninstall", release, namespace, &[]).await
    }

    /// Takes away what is still installed.
    pub(super) async fn uninstall_all(&self) -> Result<()> {
        let left = self.releases.lock().clone();
        for (release, namespace) in left {
            let namespace = namespace.as_str();
            self.releases
                .lock()
                .retain(|known| *known != (release.clone(), namespace.to_owned()));
            self.run(&["uninstall", &release, "-n", namespace, "--ignore-not-found", "--wait"])
                .await?;
        }
        Ok(())
    }

    /// Remembers the releases that an earlier run left, so that they are taken away like this one's.
    pub(super) async fn adopt_all(&self) -> Result<()> {
        let listed: serde_json::Value = serde_json::from_str(&self.run(&["list", "-A", "--all", "-o", "json"]).await?)?;
        let text = |release: &serde_json::Value, field: &str| {
            release.get(field).and_then(|value| value.as_str()).map(str::to_owned)
        };
        let found = listed.as_array().into_iter().flatten();
        self.releases
            .lock()
            .extend(found.filter_map(|release| Some((text(release, "name")?, text(release, "namespace")?))));
        Ok(())
    }

    async fn change(&self, verb: &str, release: &str, namespace: &str, more: &[&str]) -> Result<String> {
        let timeout = format!("--timeout={}s", LIMIT.as_secs());
        self.run(&[&[verb, release], more, &["-n", namespace, "--wait", &timeout]].concat())
            .await
    }
}
