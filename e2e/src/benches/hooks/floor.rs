//! What is the machine's of a figure that waits for a write: the same hand-over between two threads, with nothing of the hooks in it.

use super::measure::{Times, until};
use super::{failed, folder};
use crate::error::{Context as _, Result};
use std::fs::File;
use std::io::Write as _;
use std::sync::mpsc::{self, Receiver};
use std::time::Instant;
use tokio::sync::oneshot;

/// As long as an entry of the ledger.
const RECORD: usize = 600;

/// Hands over so many records, 1,000 a second, each to a thread that writes it to a file and says so.
pub(super) async fn measure(count: u32) -> Result<Times> {
    let folder = folder()?;
    let file = File::create(folder.path().join("log")).context("making a file")?;
    let (sender, came) = mpsc::sync_channel(64);
    let writer = std::thread::spawn(move || write(file, &came));
    let (begun, mut times) = (Instant::now(), Times::default());
    for number in 0..count {
        until(begun, number, 1000).await;
        let started = Instant::now();
        let (ack, written) = oneshot::channel();
        sender.send(ack).map_err(failed("handing over"))?;
        written.await.map_err(failed("waiting for a write"))?;
        times.0.push(started.elapsed());
    }
    drop(sender);
    let _ = writer.join();
    Ok(times.sorted())
}

fn write(mut file: File, came: &Receiver<oneshot::Sender<()>>) {
    let record = [b'x'; RECORD];
    while let Ok(ack) = came.recv() {
        if file.write_all(&record).is_ok() {
            let _ = ack.send(());
        }
    }
}
