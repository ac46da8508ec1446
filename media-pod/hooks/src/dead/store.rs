//! [`Memory`]: segments for a process that has no folder.

use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use crate::log::store::{Segment, Store};

type Bytes = Arc<Mutex<Vec<u8>>>;

/// See the module.
#[derive(Default)]
pub(super) struct Memory(BTreeMap<u64, Bytes>);

impl Store for Memory {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.0.keys().copied().collect())
    }

    fn read(&self, segment: u64) -> io::Result<Vec<u8>> {
        let bytes = self.0.get(&segment).ok_or(io::ErrorKind::NotFound)?;
        Ok(bytes.lock().clone())
    }

    fn create(&mut self, segment: u64) -> io::Result<Box<dyn Segment>> {
        let bytes = Bytes::default();
        self.0.insert(segment, Arc::clone(&bytes));
        Ok(Box::new(Part(bytes)))
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.0.remove(&segment);
        Ok(())
    }
}

struct Part(Bytes);

impl Write for Part {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Segment for Part {
    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.0.lock().truncate(usize::try_from(length).unwrap_or(usize::MAX));
        Ok(())
    }
}
