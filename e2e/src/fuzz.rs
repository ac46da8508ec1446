//! `cargo e2e fuzz`: the parsers of foreign bytes under libFuzzer, one after the other, each for so long.

use crate::command::Cmd;
use crate::ensure;
use crate::error::{Context as _, Result};
use crate::tools::paths::{Paths, workspace, write};
use crate::ui::{say, step};
use headgate_fuzz::{TARGETS, Target};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The version of cargo-fuzz that is installed into the cache.
const CARGO_FUZZ: &str = "0.13.2";
/// Where the programs of libFuzzer are, below the checkout.
const PROGRAMS: &str = "media-pod/fuzz/libfuzzer";
/// MiB that a target may hold in all, and ask for at once: twice what the limits of the parsers add up to.
const MEMORY: [&str; 2] = ["-rss_limit_mb=768", "-malloc_limit_mb=64"];
/// Building the programs takes longer than any run of one that is meant to end.
const BUILD: Duration = Duration::from_mins(30);

/// What to fuzz, and for how long.
#[derive(Debug, clap::Args)]
pub struct Options {
    /// Names of targets; without a name, all of them.
    targets: Vec<String>,
    /// Seconds for each target.
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Ends with an error at the first input that a target does not take; the input's path is in the words of libFuzzer.
pub async fn run(paths: &Paths, options: &Options) -> Result<()> {
    let chosen = chosen(&options.targets)?;
    let tool = install(paths).await?;
    for target in chosen {
        let corpus = seeded(paths, target)?;
        let what = format!("{} for {} s", target.name, options.seconds);
        let found = step(what, one(paths, &tool, target, &corpus, options.seconds)).await?;
        say(format_args!("    {found}"));
    }
    Ok(())
}

fn chosen(names: &[String]) -> Result<Vec<&'static Target>> {
    let known = || TARGETS.iter().map(|target| target.name).collect::<Vec<_>>().join(", ");
    for name in names {
        let is_known = TARGETS.iter().any(|target| target.name == name);
        ensure!(is_known, "there is no target {name}; there are {}", known());
    }
    let is_meant = |target: &&Target| names.is_empty() || names.iter().any(|name| name == target.name);
    Ok(TARGETS.iter().filter(is_meant).collect())
}

/// cargo-fuzz, in the cache.
async fn install(paths: &Paths) -> Result<PathBuf> {
    let root = paths.cache.join("tools");
    let tool = root.join("bin/cargo-fuzz");
    if !tool.exists() {
        let args = ["install", "cargo-fuzz", "--version", CARGO_FUZZ, "--locked", "--root"];
        step(
            "cargo-fuzz installed",
            Cmd::new("cargo").args(args).arg(&root).timeout(BUILD).run(),
        )
        .await?;
    }
    Ok(tool)
}

/// The inputs that are known to be interesting: those of former runs, and the seeds.
fn seeded(paths: &Paths, target: &Target) -> Result<PathBuf> {
    let corpus = paths.cache.join("fuzz/corpus").join(target.name);
    for (index, seed) in (target.seeds)().into_iter().enumerate() {
        write(&corpus.join(format!("seed-{index}")), seed)?;
    }
    Ok(corpus)
}

/// Stable Rust runs the sanitizer when it is told that it may.
async fn one(paths: &Paths, tool: &Path, target: &Target, corpus: &Path, seconds: u32) -> Result<String> {
    let artifacts = paths.cache.join("fuzz/artifacts").join(target.name);
    std::fs::create_dir_all(&artifacts).context(format_args!("making {}", artifacts.display()))?;
    let time = format!("-max_total_time={seconds}");
    let kept = format!("-artifact_prefix={}/", artifacts.display());
    let output = Cmd::new(tool)
        .args(["run", "--fuzz-dir", PROGRAMS, "--target-dir"])
        .arg(paths.cache.join("fuzz/target"))
        .arg(target.name)
        .arg(corpus)
        .args(["--", &time, &kept, "-max_len=65536", "-print_final_stats=1"])
        .args(MEMORY)
        .env("RUSTC_BOOTSTRAP", "1")
        .dir(workspace())
        .timeout(BUILD.saturating_add(Duration::from_secs(u64::from(seconds))))
        .output()
        .await?;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    let end: Vec<&str> = told.lines().rev().take(40).collect();
    let shown = end.iter().rev().copied().collect::<Vec<_>>().join("\n");
    ensure!(output.status.success(), "{} failed:\n{shown}", target.name);
    Ok(summary(&told))
}

/// How often the target was run, and what it held at its most.
fn summary(told: &str) -> String {
    let stat = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or("?").trim().to_owned()
    };
    format!(
        "{} inputs, {} of them new, {} MiB at most",
        stat("stat::number_of_executed_units:"),
        stat("stat::new_units_added:"),
        stat("stat::peak_rss_mb:")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_no_target_is_answered_with_those_that_are() {
        let error = chosen(&["mpegts".into(), "nothing".into()]).unwrap_err().to_string();
        assert!(error.contains("there is no target nothing"), "{error}");
        assert!(error.contains("rtmp_chunks"), "{error}");
        assert_eq!(chosen(&[]).unwrap().len(), TARGETS.len());
    }

    #[test]
    fn what_libfuzzer_tells_is_summed_up() {
        let told = "stat::number_of_executed_units: 12345\nstat::new_units_added:          67\nstat::peak_rss_mb:              89\n";
        assert_eq!(summary(told), "12345 inputs, 67 of them new, 89 MiB at most");
    }
}
