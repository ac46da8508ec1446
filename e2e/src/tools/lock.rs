//! One cluster command or test run at a time: a lock on a file in the cache. The kernel lets go of it when its holder ends,
//! however that happens, and no child inherits it.

use std::fs::{File, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::time::Duration;

use crate::error::{Context as _, Result};
use crate::tools::paths::Paths;
use crate::ui;

/// Held as long as it lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, and says whom it waits for if somebody has it.
    pub async fn take(paths: &Paths) -> Result<Self> {
        let path = paths.cache.join("lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .context("opening the lock")?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::WouldBlock) if told => tokio::time::sleep(Duration::from_millis(200)).await,
                Err(TryLockError::WouldBlock) => {
                    ui::say(format_args!(
                        "waiting for process {} to finish with the local cluster",
                        holder(&mut file)
                    ));
                    told = true;
                }
                Err(TryLockError::Error(cause)) => return Err(cause).context("locking"),
            }
        }
        file.set_len(0)
            .and_then(|()| file.rewind())
            .context("writing the lock")?;
        write!(file, "{}", std::process::id()).context("writing the lock")?;
        Ok(Self { _file: file })
    }
}

fn holder(file: &mut File) -> String {
    let mut pid = String::new();
    let _ = file.rewind();
    let _ = file.read_to_string(&mut pid);
    pid
}
