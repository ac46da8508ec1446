//! A process that outlives the command that started it: its own session, a pid file, a log.
//!
//! The process writes its own pid file before it becomes the program, so none is ever without one. A pid is believed only
//! while the process of that number names the cluster's directory in its arguments: numbers are used again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::Command;

use crate::cluster::{Layout, Node};
use crate::error::{Context as _, Error, Result};
use crate::tools::paths::read;

/// Writes the pid and becomes the program: $0 is the pid file, the rest is the command line.
const BECOME: &str = r#"echo $$ > "$0" && exec "$@""#;
/// How long a component may take until it serves.
const START_LIMIT: Duration = Duration::from_mins(1);
/// How many lines of its log are shown of a component that failed.
const SHOWN_LINES: usize = 15;

/// One process of the cluster.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Its name, unique in the cluster; its log and its pid file are named so.
    pub name: String,
    /// The node in whose network namespace it runs; none is the host.
    pub node: Option<Node>,
    /// The program.
    pub program: PathBuf,
    /// Its arguments. One of them lies below the cluster's directory, so that the process can be told by it.
    pub args: Vec<String>,
}

impl Daemon {
    /// Its log.
    pub fn log(&self, layout: &Layout) -> PathBuf {
        layout.root.join("logs").join(format!("{}.log", self.name))
    }

    fn pid_file(&self, layout: &Layout) -> PathBuf {
        layout.root.join("pids").join(&self.name)
    }

    /// Starts it. The caller waits with [`Daemon::serves`] until it works.
    pub fn start(&self, layout: &Layout) -> Result<()> {
        let what = format!("starting {}", self.name);
        let (log, pid_file) = (self.log(layout), self.pid_file(layout));
        for file in [&log, &pid_file] {
            std::fs::create_dir_all(file.parent().unwrap_or(&layout.root)).context(&what)?;
        }
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(log)
            .context(&what)?;
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", BECOME]).arg(pid_file);
        if let Some(node) = self.node {
            command
                .arg("nsenter")
                .arg(format!("--net={}", node.namespace().display()));
        }
        command
            .arg(&self.program)
            .args(&self.args)
            .current_dir(&layout.root)
            .stdin(std::process::Stdio::null());
        command.stdout(log.try_clone().context(&what)?).stderr(log);
        command.spawn().context(&what).map(drop)
    }

    /// Waits until `probe` is satisfied. A process that ended is an error with the end of its log.
    pub async fn serves(&self, layout: &Layout, probe: impl AsyncFn() -> Result<()>) -> Result<()> {
        let begun = std::time::Instant::now();
        loop {
            let Err(seen) = probe().await else { return Ok(()) };
            let waited = begun.elapsed();
            if waited > START_LIMIT || (waited > Duration::from_secs(1) && self.pid(layout).is_none()) {
                let log = last_lines(&self.log(layout));
                return Err(Error::new(format!(
                    "{} does not serve ({seen}); the end of its log:\n{log}",
                    self.name
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Its pid, if it runs.
    pub fn pid(&self, layout: &Layout) -> Option<Pid> {
        running(&self.pid_file(layout), &layout.root)
    }
}

/// The process that a pid file names, if it is still the one that wrote it.
pub fn running(pid_file: &Path, root: &Path) -> Option<Pid> {
    let pid: i32 = read(pid_file).ok()?.trim().parse().ok()?;
    belongs_to(pid, root).then(|| Pid::from_raw(pid))
}

/// Whether a process names the cluster's directory in its arguments. A dead one that nobody has reaped names nothing.
pub fn belongs_to(pid: i32, root: &Path) -> bool {
    let arguments = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let marker = format!("{}/", root.display());
    String::from_utf8_lossy(&arguments).contains(&marker)
}

/// Ends a process at once. One that is already gone is as good.
pub fn end(pid: Pid) {
    let _ = kill(pid, Signal::SIGKILL);
}

/// Whether something listens on this port of the host's address on the bridge.
pub async fn listens(port: u16) -> Result<()> {
    let address = (crate::cluster::layout::HOST, port);
    tokio::net::TcpStream::connect(address)
        .await
        .context(format_args!("port {port}"))
        .map(drop)
}

fn last_lines(log: &Path) -> String {
    let text = String::from_utf8_lossy(&std::fs::read(log).unwrap_or_default()).into_owned();
    let lines: Vec<_> = text.lines().collect();
    lines
        .get(lines.len().saturating_sub(SHOWN_LINES)..)
        .unwrap_or_default()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_somebody_else_is_not_ours() {
        let root = tempfile::tempdir().unwrap();
        let pid_file = root.path().join("pid");
        std::fs::write(&pid_file, std::process::id().to_string()).unwrap();
        assert_eq!(running(&pid_file, root.path()), None);
    }

    #[test]
    fn a_process_is_told_by_the_directory_in_its_arguments() {
        let root = tempfile::tempdir().unwrap();
        let pid_file = root.path().join("pid");
        let argument = root.path().join("x");
        let mut child = std::process::Command::new("sh")
            .args(["-c", "sleep 30; :", "sh"])
            .arg(argument)
            .spawn()
            .unwrap();
        std::fs::write(&pid_file, child.id().to_string()).unwrap();
        let mut seen = None;
        for _ in 0..200 {
            seen = running(&pid_file, root.path());
            if seen.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(seen.is_some());
        assert_eq!(running(&pid_file, root.path()), None);
    }
}
