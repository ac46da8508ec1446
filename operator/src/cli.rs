//! The command line.

use crate::leave::{self, LeaveOptions};
use crate::{process, rbac};
use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};
use headgate_control::HookNetworks;
use ipnet::IpNet;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use tracing_subscriber::EnvFilter;

/// Runs media servers on Kubernetes.
#[derive(Debug, Parser)]
#[command(name = "headgate-operator", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the operator.
    Run(RunOptions),
    /// Before it is uninstalled: stop the operator, and take its finalizers off, so that objects and namespaces can be deleted without it.
    Leave(LeaveOptions),
    /// Print the CustomResourceDefinitions.
    Crds,
    /// Print the rules of a Role that the operator needs.
    Rbac {
        /// Where.
        #[arg(value_enum, default_value_t = rbac::Place::Watched)]
        place: rbac::Place,
    },
}

/// How the operator runs.
#[derive(Clone, Debug, Args)]
pub struct RunOptions {
    /// Image of media pods whose MediaServer names none.
    #[arg(long, env = "HEADGATE_MEDIA_IMAGE", value_name = "IMAGE")]
    pub media_image: String,
    /// The only networks that hooks may go to; all but the denied ones when empty.
    #[arg(
        long,
        env = "HEADGATE_HOOK_ALLOWED_CIDRS",
        value_delimiter = ',',
        value_name = "CIDR"
    )]
    pub hook_allowed_cidrs: Vec<IpNet>,
    /// Networks that hooks must not go to.
    #[arg(long, env = "HEADGATE_HOOK_DENIED_CIDRS", value_delimiter = ',', value_name = "CIDR")]
    pub hook_denied_cidrs: Vec<IpNet>,
    /// Namespace of the operator's own Lease.
    #[arg(long, env = "POD_NAMESPACE", default_value = "default", value_name = "NAME")]
    pub namespace: String,
    /// Name of this process in the Lease and in Events; must be its own.
    #[arg(long, env = "POD_NAME", default_value_t = format!("headgate-operator-{}", std::process::id()), value_name = "NAME")]
    pub identity: String,
    /// Mind only this namespace; all when empty.
    #[arg(long, env = "HEADGATE_WATCH_NAMESPACE", default_value = "", value_name = "NAME")]
    pub watch_namespace: String,
    /// /healthz, /readyz and /metrics.
    #[arg(long, default_value = "0.0.0.0:8080", value_name = "ADDR")]
    pub metrics_address: SocketAddr,
    /// Act only while holding the Lease. Switch it off only where no other operator can run.
    #[arg(long, default_value_t = true, action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", value_name = "BOOL")]
    pub leader_elect: bool,
    /// How the log looks; RUST_LOG says what is in it.
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

impl RunOptions {
    /// Where hooks of all servers may go.
    pub fn hook_networks(&self) -> HookNetworks {
        HookNetworks {
            allowed: self.hook_allowed_cidrs.clone(),
            denied: self.hook_denied_cidrs.clone(),
        }
    }
}

/// How the log looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Cli {
    /// Does what was asked for.
    pub async fn run(self) -> ExitCode {
        match self.command {
            Command::Crds => print(&crds()),
            Command::Rbac { place } => print(&rbac::yaml(place)),
            Command::Run(options) => {
                start_log(options.log_format);
                ended(process::run(options).await)
            }
            Command::Leave(options) => {
                start_log(LogFormat::Text);
                ended(leave::run(options).await)
            }
        }
    }
}

fn ended<E: std::fmt::Display>(outcome: Result<(), E>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn crds() -> String {
    let all = headgate_api::generate::definitions();
    let texts: Vec<String> = all.iter().filter_map(|crd| serde_yaml::to_string(crd).ok()).collect();
    texts.join("---\n")
}

fn print(text: &str) -> ExitCode {
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().flatten_event(true).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(args: &[&str]) -> RunOptions {
        let all = ["headgate-operator", "run", "--media-image", "m:1"].iter().chain(args);
        match Cli::parse_from(all).command {
            Command::Run(options) => options,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn election_is_on_unless_it_is_switched_off() {
        assert!(run(&[]).leader_elect);
        assert!(run(&["--leader-elect"]).leader_elect);
        assert!(!run(&["--leader-elect=false"]).leader_elect);
    }

    #[test]
    fn every_kind_is_printed() {
        let text = crds();
        for kind in ["MediaServer", "StreamKey", "HookEndpoint", "Stream"] {
            assert!(text.contains(&format!("kind: {kind}\n")), "{kind}");
        }
    }
}
