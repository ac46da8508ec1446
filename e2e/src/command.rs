//! Runs a program to its end and hands back what it said. A program that fails is an error with its own words in it.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::error::{Context as _, Error, Result};

/// How much of a failed program's output an error shows, in bytes from its end.
const SHOWN: usize = 4000;

/// A command line that is being put together.
#[derive(Debug)]
pub struct Cmd {
    command: Command,
    input: Option<String>,
    timeout: Duration,
}

impl Cmd {
    /// Runs `program`, looked up in PATH unless it is a path. It is killed if it is not awaited to its end.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        let mut command = Command::new(program);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        Self {
            command,
            input: None,
            timeout: Duration::from_hours(1),
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs it in this directory.
    #[must_use]
    pub fn dir(mut self, dir: &Path) -> Self {
        self.command.current_dir(dir);
        self
    }

    /// Writes this to its standard input.
    #[must_use]
    pub fn input(mut self, text: impl Into<String>) -> Self {
        self.command.stdin(Stdio::piped());
        self.input = Some(text.into());
        self
    }

    /// Kills it when it takes longer. The default is an hour.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Runs it and returns its standard output.
    pub async fn run(self) -> Result<String> {
        let line = self.line();
        let output = self.output().await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        let said = if output.stderr.trim_ascii().is_empty() {
            &output.stdout
        } else {
            &output.stderr
        };
        Err(Error::Command {
            command: line,
            status: output.status.to_string(),
            output: tail(said),
        })
    }

    /// Runs it and returns its output, whether it succeeded or not.
    pub async fn output(mut self) -> Result<Output> {
        let line = self.line();
        let mut child = self.command.spawn().context(&line)?;
        let feed = write_input(child.stdin.take(), self.input.take());
        let ended = tokio::time::timeout(self.timeout, async {
            let ((), output) = tokio::join!(feed, child.wait_with_output());
            output
        });
        let ended = ended
            .await
            .map_err(|_| Error::new(format!("`{line}` took longer than {:?}", self.timeout)))?;
        ended.context(&line)
    }

    fn line(&self) -> String {
        let command = self.command.as_std();
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        words
            .map(|word| word.to_string_lossy().into_owned())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// A program that ends before it has read everything says so by its own status.
async fn write_input(stdin: Option<tokio::process::ChildStdin>, text: Option<String>) {
    if let (Some(mut stdin), Some(text)) = (stdin, text) {
        let _ = stdin.write_all(text.as_bytes()).await;
    }
}

fn tail(output: &[u8]) -> String {
    let from = output.len().saturating_sub(SHOWN);
    String::from_utf8_lossy(output.get(from..).unwrap_or_default())
        .trim()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_carries_the_programs_own_words() {
        let error = Cmd::new("sh")
            .args(["-c", "echo no such luck >&2; exit 3"])
            .run()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("no such luck"), "{error}");
        assert!(error.to_string().contains('3'), "{error}");
    }

    #[tokio::test]
    async fn input_reaches_the_program() {
        assert_eq!(Cmd::new("cat").input("hello").run().await.unwrap(), "hello");
    }

    #[tokio::test]
    async fn a_program_that_hangs_is_cut() {
        let error = Cmd::new("sleep")
            .arg("60")
            .timeout(Duration::from_millis(50))
            .run()
            .await
            .unwrap_err();
        assert!(error.to_string().contains("took longer"), "{error}");
    }
}
