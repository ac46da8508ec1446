//! The command line.

use crate::cluster::ClusterOptions;
use crate::log::LogFormat;
use crate::standalone::{self, StandaloneOptions};
use crate::{cluster, letters, log};
use clap::{Parser, Subcommand};
use headgate_control::STATE_DIR;
use std::path::PathBuf;
use std::process::ExitCode;

/// Takes live streams in and gives them out, and asks and tells your back end about every session.
#[derive(Debug, Parser)]
#[command(
    name = "media-pod",
    version,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    standalone: Option<StandaloneOptions>,
    /// How the log looks; RUST_LOG says what is in it.
    #[arg(long, value_enum, default_value_t, global = true)]
    log_format: LogFormat,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run in a cluster, told by the operator.
    Run(ClusterOptions),
    /// Check the manifests of a folder and say what is wrong with them.
    Check {
        /// The folder.
        dir: PathBuf,
        /// Which MediaServer, where there are several.
        #[arg(long, value_name = "NAME")]
        server: Option<String>,
    },
    /// List the notifications that this pod has given up, a JSON object a line; the annotation headgate.dev/replay of a HookEndpoint sends them once more.
    DeadLetters {
        /// The state folder of the pod.
        #[arg(long, env = "HEADGATE_STATE", default_value = STATE_DIR, value_name = "DIR")]
        state: PathBuf,
        /// Only those for this HookEndpoint.
        #[arg(long, value_name = "NAME")]
        endpoint: Option<String>,
    },
}

impl Cli {
    /// Does what was asked for. Without `--resources` and without a command clap has shown the help.
    pub async fn run(self) -> ExitCode {
        log::start(self.log_format);
        let done = match self.command {
            Some(Command::Check { dir, server }) => return standalone::check(&dir, server.as_deref()),
            Some(Command::DeadLetters { state, endpoint }) => return letters::list(&state, endpoint.as_deref()),
            Some(Command::Run(options)) => cluster::run(options).await.map_err(|e| e.to_string()),
            None => match self.standalone {
                Some(options) => standalone::run(options).await.map_err(|e| e.to_string()),
                None => Err("say --resources DIR, or one of the commands that --help lists".into()),
            },
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                tracing::error!("{error}");
                ExitCode::FAILURE
            }
        }
    }
}
