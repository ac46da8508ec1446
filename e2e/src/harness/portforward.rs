//! `kubectl port-forward` as long as it is needed.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::error::{Context as _, Error, Result};

const LIMIT: Duration = Duration::from_secs(20);

/// A port on loopback that leads into the cluster. It closes when this is dropped.
#[derive(Debug)]
pub struct PortForward {
    address: SocketAddr,
    _child: Child,
    /// Held open, since kubectl writes a line a connection to it.
    _output: Lines<BufReader<ChildStdout>>,
}

impl PortForward {
    pub(super) async fn open(
        program: &Path,
        kubeconfig: &Path,
        namespace: &str,
        target: &str,
        port: u16,
    ) -> Result<Self> {
        let mut command = Command::new(program);
        command.arg("--kubeconfig").arg(kubeconfig).args([
            "port-forward",
            "-n",
            namespace,
            target,
            &format!(":{port}"),
        ]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        let mut child = command.spawn().context("kubectl port-forward")?;
        let mut output = BufReader::new(child.stdout.take().context("kubectl port-forward has no output")?).lines();
        let line = tokio::time::timeout(LIMIT, output.next_line()).await;
        let line = line
            .map_err(|_| Error::new(format!("port-forward to {target} says nothing")))?
            .context("port-forward")?;
        let address = line
            .as_deref()
            .and_then(local_address)
            .context(format_args!("port-forward to {target}:{port} failed: {line:?}"))?;
        Ok(Self {
            address,
            _child: child,
            _output: output,
        })
    }

    /// The address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// `Forwarding from 127.0.0.1:40001 -> 8080`
fn local_address(line: &str) -> Option<SocketAddr> {
    line.strip_prefix("Forwarding from ")?.split(' ').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_port_is_read_from_the_first_line() {
        assert_eq!(
            local_address("Forwarding from 127.0.0.1:40001 -> 8080"),
            Some(([127, 0, 0, 1], 40001).into())
        );
        assert_eq!(local_address("error: no such pod"), None);
    }
}
