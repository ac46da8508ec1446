//! [`Rotation`]: what the keys were, so that a key that is replaced stays good for as long as its StreamKey says, also over a restart.

use super::{Loaded, keys};
use headgate_resolve::{KnownKey, keep_previous, known_keys, overlaps};
use jiff::Timestamp;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// The file below the state folder. It has the hashes of keys, for its owner alone.
const FILE: &str = "keys.json";

/// The keys of the last configuration.
pub(super) struct Rotation {
    file: PathBuf,
    before: Vec<KnownKey>,
}

impl Rotation {
    /// As the last process left it. A file that cannot be read is as if there were none: then no old key is good.
    pub(super) fn load(state: &Path) -> Self {
        let file = state.join(FILE);
        let before = match fs::read(&file) {
            Ok(json) => serde_json::from_slice(&json).unwrap_or_else(|error| {
                tracing::warn!(file = %file.display(), %error, "keys that were replaced are forgotten");
                Vec::new()
            }),
            Err(_) => Vec::new(),
        };
        Self { file, before }
    }

    /// Adds the old keys to what was loaded, and remembers the new ones.
    pub(super) fn keep(&mut self, loaded: &mut Loaded, now: Timestamp) {
        let Ok((_, config)) = &mut loaded.chosen else { return };
        let specs = || keys(&loaded.objects).map(AsRef::as_ref);
        if overlaps(specs()) {
            keep_previous(config, &self.before, specs(), now);
        }
        let known = known_keys(config, specs());
        if self.before != known {
            self.before = known;
            if let Err(error) = self.save() {
                tracing::warn!(file = %self.file.display(), %error, "a restart will not know the keys that were replaced");
            }
        }
    }

    fn save(&self) -> io::Result<()> {
        if let Some(folder) = self.file.parent() {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        }
        let beside = self.file.with_extension("new");
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&beside)?;
        file.write_all(&serde_json::to_vec(&self.before)?)?;
        file.sync_all()?;
        fs::rename(beside, &self.file)
    }
}
