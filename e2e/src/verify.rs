//! `cargo verify`: everything that must hold before a change lands, cheapest first.

use crate::command::Cmd;
use crate::error::Result;
use crate::tools::paths::workspace;
use crate::ui::{say, seconds, step};
use std::time::{Duration, Instant};

/// One check that is a cargo command of its own.
struct Check {
    what: &'static str,
    args: &'static [&'static str],
}

const CHECKS: &[Check] = &[
    Check { what: "format", args: &["fmt", "--all", "--check"] },
    Check { what: "lints", args: &["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"] },
    Check { what: "unit and integration tests", args: &["test", "--workspace", "--quiet"] },
    Check { what: "documentation", args: &["doc", "--workspace", "--no-deps", "--quiet"] },
];

/// The checks that need no cluster.
pub async fn without_cluster() -> Result<()> {
    let begun = Instant::now();
    say("checks without a cluster");
    for check in CHECKS {
        step(format_args!("{} (cargo {})", check.what, check.args.join(" ")), run(check)).await?;
    }
    say(format_args!("checks without a cluster: all good after {}", seconds(begun.elapsed())));
    Ok(())
}

async fn run(check: &Check) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let command = Cmd::new(cargo).args(check.args).dir(workspace()).env("RUSTDOCFLAGS", "--deny warnings");
    command.timeout(Duration::from_secs(40 * 60)).run().await.map(|_| ())
}
