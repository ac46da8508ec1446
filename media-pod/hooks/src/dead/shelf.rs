//! [`Shelf`]: the segments of the dead letters, and what is known of them without reading them.

use headgate_control::{Letters, Replay};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::Page;
use crate::event::Event;
use crate::log::frame::{self, Piece};
use crate::log::metrics::{LogMetrics, Trouble};
use crate::log::store::{self, Store, Tail};

/// Letters that are read at a time.
const PAGE: usize = 1000;

/// A notification that was given up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Letter {
    pub(crate) endpoint: String,
    /// Index into the URLs that it had.
    pub(crate) url: usize,
    pub(crate) died: Timestamp,
    pub(crate) reason: String,
    pub(crate) event: Arc<Event>,
}

/// A wish that is being followed: about the letters that were there when it came.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Wish {
    endpoint: String,
    replay: Replay,
    before: u64,
}

/// What stands in a segment.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Line {
    Letter(u64, Letter),
    Gone(Vec<u64>),
    Followed { endpoint: String, wish: String },
}

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    /// Bytes after which a segment is not written to any more.
    pub(super) segment: u64,
    /// Segments.
    pub(super) count: usize,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            segment: 2 * 1024 * 1024,
            count: 16,
        }
    }
}

impl Sizes {
    pub(super) fn in_memory() -> Self {
        Self {
            segment: 512 * 1024,
            count: 8,
        }
    }
}

/// See the module.
pub(super) struct Shelf {
    store: Box<dyn Store>,
    sizes: Sizes,
    metrics: LogMetrics,
    /// How many letters of which endpoint a segment still holds.
    segments: BTreeMap<u64, HashMap<String, u64>>,
    gone: HashSet<u64>,
    /// The last wish of each endpoint that was followed.
    followed: BTreeMap<String, String>,
    current: Option<Tail>,
    /// Number of the next letter.
    number: u64,
}

impl Shelf {
    pub(super) fn open(store: Box<dyn Store>, sizes: Sizes, metrics: LogMetrics) -> Self {
        let mut shelf = Self {
            store,
            sizes,
            metrics,
            segments: BTreeMap::new(),
            gone: HashSet::new(),
            followed: BTreeMap::new(),
            current: None,
            number: 0,
        };
        for segment in shelf.store.list().unwrap_or_default() {
            shelf.segments.insert(segment, HashMap::new());
            for line in shelf.lines(segment) {
                shelf.learn(segment, line);
            }
        }
        shelf.recount();
        shelf
    }

    /// How many letters of which endpoint there are.
    pub(super) fn kept(&self) -> HashMap<String, u64> {
        let mut all = HashMap::<String, u64>::new();
        for (endpoint, count) in self.segments.values().flatten() {
            let sum = all.entry(endpoint.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        all.retain(|_, count| *count > 0);
        all
    }

    /// False when it is lost.
    pub(super) fn keep(&mut self, letter: Letter) -> bool {
        let (number, endpoint) = (self.number, letter.endpoint.clone());
        self.number = number.saturating_add(1);
        let Some(segment) = self.write(&Line::Letter(number, letter)) else {
            return false;
        };
        let counts = self.segments.entry(segment).or_default();
        let count = counts.entry(endpoint).or_default();
        *count = count.saturating_add(1);
        true
    }

    /// The oldest of all that are here.
    pub(super) fn oldest(&self, max: usize) -> Page {
        let lines = self.segments.keys().flat_map(|segment| self.lines(*segment));
        let letters = lines.filter_map(|line| match line {
            Line::Letter(number, letter) if !self.gone.contains(&number) => Some((number, letter)),
            _ => None,
        });
        letters.take(max).collect()
    }

    pub(super) fn begin(&self, endpoint: String, replay: Replay) -> Option<Wish> {
        let before = self.number;
        let is_new = self.followed.get(&endpoint) != Some(&replay.wish);
        is_new.then_some(Wish {
            endpoint,
            replay,
            before,
        })
    }

    pub(super) fn page(&self, wish: &Wish) -> Page {
        let mut page = Page::new();
        for (segment, counts) in &self.segments {
            if !counts.contains_key(&wish.endpoint) {
                continue;
            }
            for line in self.lines(*segment) {
                match line {
                    Line::Letter(number, letter) if self.is_meant(wish, number, &letter) => page.push((number, letter)),
                    _ => {}
                }
            }
            if page.len() >= PAGE {
                break;
            }
        }
        page.truncate(PAGE);
        page
    }

    fn is_meant(&self, wish: &Wish, number: u64, letter: &Letter) -> bool {
        let (event, letters): (_, &Letters) = (&letter.event, &wish.replay.letters);
        number < wish.before
            && letter.endpoint == wish.endpoint
            && !self.gone.contains(&number)
            && letters.name(event.id, event.time)
    }

    pub(super) fn gone(&mut self, numbers: Vec<u64>) {
        self.gone.extend(numbers.iter().copied());
        self.write(&Line::Gone(numbers));
        self.recount();
    }

    pub(super) fn end(&mut self, wish: Wish) {
        let (endpoint, wish) = (wish.endpoint, wish.replay.wish);
        self.followed.insert(endpoint.clone(), wish.clone());
        self.write(&Line::Followed { endpoint, wish });
    }

    fn learn(&mut self, segment: u64, line: Line) {
        match line {
            Line::Letter(number, letter) => {
                self.number = self.number.max(number.saturating_add(1));
                // Counted when all that is gone is known.
                self.segments
                    .entry(segment)
                    .or_default()
                    .entry(letter.endpoint)
                    .or_default();
            }
            Line::Gone(numbers) => self.gone.extend(numbers),
            Line::Followed { endpoint, wish } => {
                self.followed.insert(endpoint, wish);
            }
        }
    }

    /// Counts anew what is there, and forgets the numbers of what is not.
    fn recount(&mut self) {
        let mut still = HashSet::new();
        let numbers: Vec<u64> = self.segments.keys().copied().collect();
        for segment in numbers {
            let mut counts = HashMap::<String, u64>::new();
            for line in self.lines(segment) {
                let Line::Letter(number, letter) = line else { continue };
                if self.gone.contains(&number) {
                    still.insert(number);
                } else {
                    let count = counts.entry(letter.endpoint).or_default();
                    *count = count.saturating_add(1);
                }
            }
            self.segments.insert(segment, counts);
        }
        self.gone = still;
    }

    fn lines(&self, segment: u64) -> Vec<Line> {
        let bytes = self.store.read(segment).unwrap_or_else(|_| {
            self.metrics.error(Trouble::DeadLetters);
            Vec::new()
        });
        lines(&bytes)
    }

    /// The segment that has it now; `None` when it is lost.
    fn write(&mut self, line: &Line) -> Option<u64> {
        let mut bytes = Vec::new();
        let written = if frame::write(line, &mut bytes) {
            self.try_write(&bytes)
        } else {
            Err(io::ErrorKind::FileTooLarge.into())
        };
        written
            .inspect_err(|error| {
                self.metrics.error(Trouble::DeadLetters);
                tracing::debug!(%error, "a dead letter is lost");
            })
            .ok()
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<u64> {
        let full = |current: &Tail| current.length >= self.sizes.segment;
        if self.current.as_ref().is_none_or(full) {
            self.turn_over()?;
        }
        Tail::append(&mut self.current, bytes)
    }

    /// Begins a segment with what must not go with the oldest, which goes when there are too many.
    fn turn_over(&mut self) -> io::Result<()> {
        let number = self.segments.keys().last().map_or(0, |last| last.saturating_add(1));
        let segment = self.store.create(number)?;
        self.segments.insert(number, HashMap::new());
        self.current = Some(Tail::new(number, segment));
        let mut kept = Vec::new();
        for (endpoint, wish) in &self.followed {
            let (endpoint, wish) = (endpoint.clone(), wish.clone());
            frame::write(&Line::Followed { endpoint, wish }, &mut kept);
        }
        // Without them an old wish might be followed once more.
        if let Err(error) = Tail::append(&mut self.current, &kept) {
            self.current = None;
            return Err(error);
        }
        while self.segments.len() > self.sizes.count
            && let Some((oldest, counts)) = self.segments.pop_first()
        {
            let lost: u64 = counts.values().sum();
            if lost > 0 {
                tracing::warn!(lost, "there are too many dead letters: the oldest are thrown away");
            }
            if self.store.remove(oldest).is_err() {
                self.metrics.error(Trouble::DeadLetters);
            }
        }
        Ok(())
    }
}

fn lines(bytes: &[u8]) -> Vec<Line> {
    let pieces = frame::read_as::<Line>(bytes);
    let line = |piece| match piece {
        Piece::Record(line, _) => Some(line),
        Piece::Flaw(_) => None,
    };
    pieces.filter_map(line).collect()
}

/// The letters in a folder that another process may use.
pub(super) fn read_folder(path: &Path) -> io::Result<Vec<Letter>> {
    let (mut letters, mut gone) = (Vec::new(), HashSet::new());
    for bytes in store::read_all(path)? {
        for line in lines(&bytes) {
            match line {
                Line::Letter(number, letter) => letters.push((number, letter)),
                Line::Gone(numbers) => gone.extend(numbers),
                Line::Followed { .. } => {}
            }
        }
    }
    letters.retain(|(number, _)| !gone.contains(number));
    Ok(letters.into_iter().map(|(_, letter)| letter).collect())
}
