//! What a bench found: printed, and kept in `e2e/benches/RESULTS.md`, one section a bench.

use crate::error::Result;
use crate::tools::paths::{read, workspace, write};
use crate::ui::say;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const TITLE: &str =
    "# What the benches found\n\nWritten by `cargo e2e bench`; each run replaces the section of its bench.\n";

/// One measured figure.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// What was measured.
    pub what: String,
    /// How much it is.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
    /// At most this much is promised.
    pub goal: Option<f64>,
}

impl Figure {
    /// One without a goal.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            value,
            unit,
            goal: None,
        }
    }

    /// At most `goal` is promised.
    #[must_use]
    pub fn goal(mut self, goal: f64) -> Self {
        self.goal = Some(goal);
        self
    }

    /// Whether it is as promised.
    pub fn holds(&self) -> bool {
        self.goal.is_none_or(|goal| self.value <= goal)
    }

    fn row(&self) -> String {
        let goal = self
            .goal
            .map_or_else(String::new, |g| format!("≤ {} {}", number(g), self.unit));
        let ratio = match self.goal {
            Some(goal) if goal > 0.0 => format!("{:.2}", self.value / goal),
            Some(_) if self.holds() => "holds".into(),
            Some(_) => "missed".into(),
            None => String::new(),
        };
        format!(
            "| {} | {} {} | {goal} | {ratio} |",
            self.what,
            number(self.value),
            self.unit
        )
    }
}

/// All that a bench found.
#[derive(Clone, Debug, Default)]
pub struct Results {
    /// The bench.
    pub name: &'static str,
    /// The command that measures it again.
    pub command: String,
    /// What it was measured with.
    pub setting: String,
    /// The figures.
    pub figures: Vec<Figure>,
}

impl Results {
    /// Prints it and puts it into the file.
    pub fn save(&self) -> Result<()> {
        let section = self.section();
        say(&section);
        let file = file();
        let old = if file.exists() { read(&file)? } else { TITLE.into() };
        write(&file, replaced(&old, self.name, &section))
    }

    fn section(&self) -> String {
        let mut text = format!(
            "## {}\n\n`{}`\n\n{}\n\nMachine: {}\n\n",
            self.name,
            self.command,
            self.setting,
            machine()
        );
        text.push_str("| figure | measured | goal | measured / goal |\n|---|---|---|---|\n");
        for figure in &self.figures {
            let _ = writeln!(text, "{}", figure.row());
        }
        text
    }
}

fn file() -> PathBuf {
    workspace().join("e2e/benches/RESULTS.md")
}

/// The text with the section of that name replaced, or added at its end. Lines in bold at a section's end are people's notes and stay.
fn replaced(old: &str, name: &str, section: &str) -> String {
    let heading = format!("## {name}\n");
    let Some((before, rest)) = old.split_once(&heading) else {
        return format!("{}\n\n{section}", old.trim_end());
    };
    let (own, after) = rest
        .find("\n## ")
        .and_then(|at| rest.split_at_checked(at.saturating_add(1)))
        .unwrap_or((rest, ""));
    let notes = own.find("### Notes").and_then(|at| own.get(at..)).unwrap_or_default();
    let parts = [before, section, notes, after].map(str::trim_end);
    let parts: Vec<&str> = parts.into_iter().filter(|p| !p.is_empty()).collect();
    format!("{}\n", parts.join("\n\n"))
}

fn machine() -> String {
    let line = |file: &str, name: &str| {
        let text = read(Path::new(file)).unwrap_or_default();
        let value = text.lines().find_map(|l| l.strip_prefix(name)?.split_once(':'));
        value.map(|(_, v)| v.trim().to_owned()).unwrap_or_default()
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!(
        "{cores} cores of {}, {} memory, Linux {}",
        line("/proc/cpuinfo", "model name"),
        line("/proc/meminfo", "MemTotal"),
        read(Path::new("/proc/sys/kernel/osrelease")).unwrap_or_default().trim()
    )
}

fn number(value: f64) -> String {
    match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => format!("{value:.0}"),
        v if v >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_replaced_and_its_notes_and_the_others_stay() {
        let old = "# T\n\n## a\n\nold\n\n### Notes\n\nwhy\n\n## b\n\nother\n";
        let new = replaced(old, "a", "## a\n\nnew\n");
        assert_eq!(new, "# T\n\n## a\n\nnew\n\n### Notes\n\nwhy\n\n## b\n\nother\n");
        assert_eq!(
            replaced(&new, "c", "## c\n\nlast\n"),
            format!("{}\n\n## c\n\nlast\n", new.trim_end())
        );
    }

    #[test]
    fn a_figure_stands_beside_its_goal() {
        let row = |f: Figure| f.row();
        assert_eq!(
            row(Figure::new("memory", 48.0, "MiB").goal(64.0)),
            "| memory | 48 MiB | ≤ 64 MiB | 0.75 |"
        );
        assert_eq!(
            row(Figure::new("writes", 0.0, "").goal(0.0)),
            "| writes | 0  | ≤ 0  | holds |"
        );
        assert_eq!(row(Figure::new("took", 0.25, "s")), "| took | 0.250 s |  |  |");
    }
}
