//! Writes every generated file, or compares with `--check`: `cargo run -p headgate-e2e --example generate -- [--check] [HELM]`.
//! Without the path of helm, the chart's snapshots are left out.

use headgate_e2e::generate::{chart, differences, files, write};
use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let check = arguments.iter().any(|argument| argument == "--check");
    arguments.retain(|argument| argument != "--check");
    let mut made = files(&root)?;
    if !check {
        write(&root, &made)?;
    }
    if let Some(helm) = arguments.first() {
        chart::lint(&root, Path::new(helm))?;
        made.extend(chart::snapshots(&root, Path::new(helm))?);
    }
    match differences(&root, &made).as_slice() {
        [] => Ok(()),
        different if check => Err(format!("not as generated: {}", different.join(", ")).into()),
        _ => Ok(write(&root, &made)?),
    }
}
