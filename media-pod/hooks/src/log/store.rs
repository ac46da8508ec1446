//! Where segments are: numbered files in a folder, or whatever a test puts in their place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A set of numbered segments.
pub(crate) trait Store: Send + 'static {
    /// Numbers of the segments that are there, in order.
    fn list(&self) -> io::Result<Vec<u64>>;
    /// All of a segment.
    fn read(&self, segment: u64) -> io::Result<Vec<u8>>;
    /// A new segment.
    fn create(&mut self, segment: u64) -> io::Result<Box<dyn Segment>>;
    /// Waits until the disk knows the segments that were made.
    fn sync(&mut self) -> io::Result<()>;
    /// Ends a segment for ever.
    fn remove(&mut self, segment: u64) -> io::Result<()>;
}

/// A segment that is written to.
pub(crate) trait Segment: Write + Send {
    /// Waits until the disk has what was written.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts off what a failed write left behind, so that the next one begins at `length`.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The segment that is written to, whole records only.
pub(crate) struct Tail {
    pub(crate) number: u64,
    pub(crate) segment: Box<dyn Segment>,
    pub(crate) length: u64,
}

impl Tail {
    /// A segment into which nothing was written yet.
    pub(crate) fn new(number: u64, segment: Box<dyn Segment>) -> Self {
        Self {
            number,
            segment,
            length: 0,
        }
    }

    /// Writes at the end of the segment that is there, and says its number. What was written in part is cut off, so that it does not stand before what
    /// comes next; where that fails, nothing more is written here.
    pub(crate) fn append(place: &mut Option<Self>, bytes: &[u8]) -> io::Result<u64> {
        let Some(tail) = place else {
            return Err(io::ErrorKind::NotFound.into());
        };
        if let Err(error) = tail.segment.write_all(bytes) {
            if tail.segment.cut(tail.length).is_err() {
                *place = None;
            }
            return Err(error);
        }
        let added = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        tail.length = tail.length.saturating_add(added);
        Ok(tail.number)
    }
}

/// Files below a folder that one process at a time has.
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is absent. Nobody else on the machine may read it: it holds what clients sent. An error of kind `WouldBlock` when another process has it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let lock = OpenOptions::new()
            .create(true)
            .mode(0o600)
            .truncate(false)
            .write(true)
            .open(path.join("lock"))?;
        lock.try_lock()?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    fn file(&self, segment: u64) -> PathBuf {
        file(&self.path, segment)
    }
}

/// All segments of a folder that another process may be writing to.
pub(crate) fn read_all(path: &Path) -> io::Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for segment in list(path)? {
        match fs::read(file(path, segment)) {
            Ok(bytes) => all.push(bytes),
            // It was the oldest, and went meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

fn file(path: &Path, segment: u64) -> PathBuf {
    path.join(format!("{segment:016x}.log"))
}

fn list(path: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".log"));
        numbers.extend(stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

impl Store for Folder {
    fn list(&self) -> io::Result<Vec<u64>> {
        list(&self.path)
    }

    fn read(&self, segment: u64) -> io::Result<Vec<u8>> {
        fs::read(self.file(segment))
    }

    fn create(&mut self, segment: u64) -> io::Result<Box<dyn Segment>> {
        let file = OpenOptions::new()
            .create_new(true)
            .append(true)
            .mode(0o600)
            .open(self.file(segment))?;
        Ok(Box::new(file))
    }

    fn sync(&mut self) -> io::Result<()> {
        File::open(&self.path)?.sync_all()
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        fs::remove_file(self.file(segment))
    }
}

impl Segment for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}
