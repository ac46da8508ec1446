//! `media-pod dead-letters`: what a pod has given up, also while it runs. Reads the state folder, so whoever may read that may see it.

use headgate_hooks::read_dead_letters;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Prints them, a JSON object a line, the oldest first; those of one endpoint, or all.
pub fn list(state: &Path, endpoint: Option<&str>) -> ExitCode {
    let letters = match read_dead_letters(state) {
        Ok(letters) => letters,
        // A pod that has given nothing up yet, or none at all: the folder says which.
        Err(error) if error.kind() == io::ErrorKind::NotFound && state.is_dir() => Vec::new(),
        Err(error) => {
            tracing::error!(state = %state.display(), %error, "cannot read the dead letters; --state names the folder");
            return ExitCode::FAILURE;
        }
    };
    let mut out = io::stdout().lock();
    let wanted = letters
        .iter()
        .filter(|letter| endpoint.is_none_or(|name| letter.endpoint == name));
    for line in wanted.filter_map(|letter| serde_json::to_string(letter).ok()) {
        // Whoever reads may have had enough.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    ExitCode::SUCCESS
}
