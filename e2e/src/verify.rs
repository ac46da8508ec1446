//! `cargo verify`: everything that must hold before a change lands, cheapest first.

use crate::cli::run_everything;
use crate::command::Cmd;
use crate::error::{Error, Result};
use crate::generate::{chart, differences, files, write};
use crate::players;
use crate::sigkill;
use crate::tools::apt;
use crate::tools::go::Tools;
use crate::tools::paths::{Paths, workspace};
use crate::tools::webhooks::{self, Library};
use crate::ui::{complain, say, seconds, step};
use std::path::Path;
use std::time::{Duration, Instant};

/// A check that is a cargo command of its own.
const CARGO: &[(&str, &[&str])] = &[
    ("format", &["fmt", "--all", "--check"]),
    (
        "lints",
        &[
            "clippy",
            "--workspace",
            "--all-targets",
            "--quiet",
            "--",
            "--deny",
            "warnings",
        ],
    ),
    ("unit and integration tests", &["test", "--workspace", "--quiet"]),
    ("documentation", &["doc", "--workspace", "--no-deps", "--quiet"]),
];
const RULES: &[(&str, &str)] = &[
    ("check", "config/prometheus/rules.yaml"),
    ("test", "config/prometheus/rules_test.yaml"),
];

/// Lines of a failed check's outputs.
const LINES_SHOWN: usize = 150;

/// All of it. Stops at the first thing that does not hold.
pub async fn run(paths: &Paths, no_cluster: bool) -> Result<()> {
    let begun = Instant::now();
    apt::install().await?;
    for (what, args) in CARGO {
        step(format_args!("{what}: cargo {}", args.join(" ")), cargo(args)).await?;
    }
    for library in webhooks::ensure(paths).await? {
        step(
            format_args!("signatures of hooks: {}", library.test.replace('_', " ")),
            signatures(&library),
        )
        .await?;
    }
    step(
        "generated files are as committed, the chart is clean",
        generated(paths, true),
    )
    .await?;
    for (verb, file) in RULES {
        step(format_args!("promtool {verb} rules {file}"), promtool(verb, file)).await?;
    }
    step("every output, in players that no one here wrote", players::run(paths)).await?;
    step(
        "a media pod that is killed again and again loses no closing event",
        sigkill::run(sigkill::FEW_KILLS),
    )
    .await?;
    say(format_args!(
        "checks without a cluster hold after {}",
        seconds(begun.elapsed())
    ));
    if !no_cluster {
        run_everything(paths).await?;
    }
    say(format_args!("all holds, after {}", seconds(begun.elapsed())));
    Ok(())
}

/// Writes the generated files, or with `check` fails when one of them is not as it would be written.
pub async fn generated(paths: &Paths, check: bool) -> Result<()> {
    let helm = Tools::ensure(paths).await?.program("helm");
    let root = workspace();
    let failed = |error: crate::generate::Error| Error::new(error.to_string());
    let mut made = files(root).map_err(failed)?;
    if !check {
        write(root, &made).map_err(failed)?;
    }
    chart::lint(root, &helm).map_err(failed)?;
    made.extend(chart::snapshots(root, &helm).map_err(failed)?);
    if !check {
        return write(root, &made).map_err(failed);
    }
    match differences(root, &made).as_slice() {
        [] => Ok(()),
        files => Err(Error::new(format!(
            "not as generated: {}; run `cargo e2e generate` and commit",
            files.join(", ")
        ))),
    }
}

/// The tests that need a library that is not of Rust. With `--workspace` they are those that were built before: `-p` would choose other features.
async fn signatures(library: &Library) -> Result<()> {
    let args = [
        "test",
        "--workspace",
        "--quiet",
        "--test",
        "official",
        "--",
        "--ignored",
        "--exact",
        library.test,
    ];
    cargo_with(&args, Some((library.variable, &library.folder))).await
}

/// A failure shows the end of both of its outputs: cargo says which test failed on one, and the test says why on the other.
async fn cargo(args: &[&str]) -> Result<()> {
    cargo_with(args, None).await
}

/// The same, told where something is.
async fn cargo_with(args: &[&str], place: Option<(&str, &Path)>) -> Result<()> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let command = Cmd::new(cargo)
        .args(args)
        .dir(workspace())
        .env("RUSTDOCFLAGS", "--deny warnings");
    let command = match place {
        Some((name, folder)) => command.env(name, folder),
        None => command,
    };
    let output = command.timeout(Duration::from_mins(40)).output().await?;
    if output.status.success() {
        return Ok(());
    }
    for bytes in [&output.stdout, &output.stderr] {
        let text = String::from_utf8_lossy(bytes);
        let from = text.lines().count().saturating_sub(LINES_SHOWN);
        for line in text.lines().skip(from) {
            complain(line);
        }
    }
    Err(Error::new(format!(
        "`cargo {}` failed ({})",
        args.join(" "),
        output.status
    )))
}

async fn promtool(verb: &str, file: &str) -> Result<()> {
    Cmd::new("promtool")
        .args([verb, "rules", file])
        .dir(workspace())
        .run()
        .await
        .map(drop)
}
