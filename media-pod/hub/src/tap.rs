//! A viewer of ours, not of a client: takes a stream out of this hub to another. Passes no gate, is no viewer in any count, and waits for nothing.

use crate::ring::{Cursor, Ring, Taken};
use crate::stream::Stream;
use crate::{Format, Hub, StreamName};
use bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

/// A cursor into one publisher's stream, from its newest key frame on.
pub struct Tap {
    stream: Arc<Stream>,
    publisher: Uuid,
    ring: Arc<Ring>,
    cursor: Cursor,
    skips_max: u32,
    /// Nobody is to take it for a viewer.
    looks_on: bool,
}

impl Hub {
    /// Taps a stream whose publisher is here. An edge is none: streams do not travel in circles.
    pub fn tap(&self, name: &StreamName, format: &Arc<dyn Format>) -> Option<Tap> {
        let live = self.0.registry.lock().publisher(name)?;
        let settings = self.0.settings.load();
        let ring = live.stream.attach(format, &settings);
        Some(Tap {
            stream: Arc::clone(&live.stream),
            publisher: live.session.id,
            cursor: ring.join(true),
            ring,
            skips_max: settings.skips_max,
            looks_on: false,
        })
    }

    /// The same for one who wants the format made and takes nothing out: a stream that only such look on has no player.
    pub fn look_on(&self, name: &StreamName, format: &Arc<dyn Format>) -> Option<Tap> {
        let mut tap = self.tap(name, format)?;
        tap.stream.look_on(&tap.ring, true);
        tap.looks_on = true;
        Some(tap)
    }
}

impl Tap {
    /// The publisher's session.
    pub fn publisher(&self) -> Uuid {
        self.publisher
    }

    /// The format that the frames go through: the one that was asked with, or an equal one that was there before.
    pub fn format(&self) -> &dyn Format {
        &*self.ring.format
    }

    /// Whether the publisher has ended.
    pub fn is_over(&self) -> bool {
        self.stream.source() != Some(self.publisher)
    }

    /// Waits until there is something, then appends about `max` packets to `out`. False when the publisher has ended, or this one reads too slowly.
    /// Can be dropped and called again without loss.
    pub async fn next(&mut self, out: &mut Vec<Bytes>, max: usize) -> bool {
        let ring = Arc::clone(&self.ring);
        loop {
            let news = ring.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            let source = self.stream.source();
            let replaced = source.is_some_and(|id| id != self.publisher);
            if replaced || self.cursor.skips >= self.skips_max {
                return false;
            }
            // What an ended publisher sent last is still taken.
            if ring.take(&mut self.cursor, out, max) != Taken::Nothing {
                return true;
            }
            if source.is_none() {
                return false;
            }
            news.await;
        }
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if self.looks_on {
            self.stream.look_on(&self.ring, false);
        }
        self.stream.detach(&self.ring);
    }
}
