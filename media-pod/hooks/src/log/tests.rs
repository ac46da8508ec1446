#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a test that panics fails, as it should"
)]

use super::frame::Flaw;
use super::inbox::Op;
use super::record::{Kept, Notice, Target, Told};
use super::store::Segment;
use super::*;
use crate::event::Event;
use crate::opened::Opened;
use crate::testing;
use headgate_control::HookEvent;
use jiff::Timestamp;
use parking_lot::Mutex;
use prometheus::Registry;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};
use std::io::Write;
use uuid::Uuid;

/// Segments in memory, with only so much room.
#[derive(Clone)]
struct Memory {
    segments: Arc<Mutex<BTreeMap<u64, Vec<u8>>>>,
    /// Bytes that fit in all.
    room: Arc<Mutex<usize>>,
    /// Whether what a failed write left can be cut off.
    cuts: bool,
    /// How often it was synced.
    synced: Arc<Mutex<usize>>,
}

impl Memory {
    fn new() -> Self {
        Self {
            segments: Arc::default(),
            room: Arc::new(Mutex::new(usize::MAX)),
            cuts: true,
            synced: Arc::default(),
        }
    }

    fn used(&self) -> usize {
        self.segments.lock().values().map(Vec::len).sum()
    }

    fn read_all(&self) -> (State, f64) {
        let metrics = metrics();
        let (state, ..) = recover(self, &metrics).expect("readable");
        (state, errors(&metrics))
    }
}

impl Store for Memory {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.segments.lock().keys().copied().collect())
    }

    fn read(&self, segment: u64) -> io::Result<Vec<u8>> {
        Ok(self.segments.lock().get(&segment).cloned().unwrap_or_default())
    }

    fn create(&mut self, segment: u64) -> io::Result<Box<dyn Segment>> {
        self.segments.lock().insert(segment, Vec::new());
        Ok(Box::new(Part(segment, self.clone())))
    }

    fn sync(&mut self) -> io::Result<()> {
        *self.synced.lock() += 1;
        Ok(())
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.segments.lock().remove(&segment);
        Ok(())
    }
}

/// One of them.
struct Part(u64, Memory);

impl Write for Part {
    /// What fits is written, as a disk does.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.1.room.lock().saturating_sub(self.1.used());
        if room == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        let fits = bytes.len().min(room);
        let mut segments = self.1.segments.lock();
        segments.entry(self.0).or_default().extend_from_slice(&bytes[..fits]);
        Ok(fits)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Segment for Part {
    fn sync(&mut self) -> io::Result<()> {
        *self.1.synced.lock() += 1;
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        if !self.1.cuts {
            return Err(io::ErrorKind::Other.into());
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        self.1.segments.lock().entry(self.0).or_default().truncate(length);
        Ok(())
    }
}

/// Remembers what it heard.
#[derive(Default)]
struct Heard {
    given_up: Mutex<Vec<u64>>,
    written: Mutex<usize>,
}

impl Sink for Heard {
    fn written(&self, _: &Record) {
        *self.written.lock() += 1;
    }

    fn given_up(&self, numbers: &[u64]) {
        self.given_up.lock().extend(numbers);
    }
}

fn metrics() -> LogMetrics {
    LogMetrics::new(&Registry::new()).expect("a fresh registry")
}

fn errors(metrics: &LogMetrics) -> f64 {
    let reasons = [
        "Torn",
        "Corrupt",
        "UnknownVersion",
        "Unreadable",
        "DiskFull",
        "Write",
        "Skipped",
        "Unread",
    ];
    let counters = reasons.map(|reason| metrics.errors.with_label_values(&[reason]).get());
    u32::try_from(counters.iter().sum::<u64>()).map_or(f64::MAX, f64::from)
}

fn count(metrics: &LogMetrics, reason: &str) -> u64 {
    metrics.errors.with_label_values(&[reason]).get()
}

fn writer(store: &Memory) -> (Writer, LogMetrics, Arc<Heard>) {
    let (metrics, heard) = (metrics(), Arc::<Heard>::default());
    let (_, index, next) = recover(store, &metrics).expect("readable");
    let writer = Writer::new(Box::new(store.clone()), index, metrics.clone(), heard.clone(), next);
    (writer, metrics, heard)
}

fn op(record: Record) -> Op {
    Op {
        record,
        submitted: std::time::Instant::now(),
        sync: false,
        ack: None,
    }
}

#[test]
fn what_must_be_on_the_disk_is_synced_once_for_all_that_came_with_it() {
    let store = Memory::new();
    let (mut writer, ..) = writer(&store);
    step(&mut writer, [open(1), open(2)]);
    assert_eq!(*store.synced.lock(), 0);
    let (ack, mut written) = tokio::sync::oneshot::channel();
    let durable = |n, ack| Op {
        sync: true,
        ack,
        ..op(open(n))
    };
    writer.step([durable(3, None), durable(4, Some(ack)), op(open(5))].into());
    assert_eq!(written.try_recv(), Ok(true));
    assert_eq!(*store.synced.lock(), 2, "the segment, and the folder that it is new in");
    writer.step([durable(6, None)].into());
    assert_eq!(*store.synced.lock(), 3);
}

fn step(writer: &mut Writer, records: impl IntoIterator<Item = Record>) {
    writer.step(records.into_iter().map(op).collect::<VecDeque<_>>());
}

fn id(n: u64) -> Uuid {
    Uuid::from_u128(n.into())
}

fn event(n: u64, size: usize) -> Event {
    Event {
        id: id(n),
        session: id(n),
        sequence: n,
        param: "x".repeat(size).into(),
        ..testing::event(HookEvent::Unpublish, "alice")
    }
}

fn open(n: u64) -> Record {
    let opened = Opened {
        session: id(n),
        started: Timestamp::UNIX_EPOCH,
        key: None,
        closing: event(n, 10),
        connection: None,
    };
    Record::Open(Arc::new(Kept { opened, sealed: None }))
}

/// Closes session `n`, with a notice of the same number.
fn told(n: u64, size: usize) -> Record {
    let target = Target {
        number: n,
        endpoint: "backend".into(),
        index: 0,
        replay: false,
        url: "http://b.test".into(),
    };
    Record::Told(Told {
        closes: vec![id(n)],
        adopts: vec![],
        notices: vec![Notice {
            event: Arc::new(event(n, size)),
            at: Timestamp::UNIX_EPOCH,
            targets: vec![target],
        }],
    })
}

/// The same for several URLs, the numbers of which are to be set.
fn told_to(n: u64, size: usize, urls: usize) -> Record {
    let Record::Told(mut told) = told(n, size) else {
        return told(n, size);
    };
    for notice in &mut told.notices {
        notice.targets = vec![notice.targets[0].clone(); urls];
    }
    Record::Told(told)
}

fn adopted(n: u64) -> Record {
    Record::Told(Told {
        adopts: vec![(id(n), Timestamp::UNIX_EPOCH)],
        ..Told::default()
    })
}

fn done(n: u64) -> Record {
    Record::Done(vec![n])
}

fn pending(state: &State) -> Vec<u64> {
    state.pending.keys().copied().collect()
}

#[test]
fn a_torn_tail_costs_what_was_torn_and_nothing_else() {
    let mut whole = Vec::new();
    for n in 1..=3 {
        frame::write(&told(n, 5), &mut whole);
    }
    let mut two = Vec::new();
    (1..=2).for_each(|n| assert!(frame::write(&told(n, 5), &mut two)));
    for length in 0..whole.len() {
        let store = Memory::new();
        store.segments.lock().insert(0, whole[..length].to_vec());
        let (state, errors) = store.read_all();
        let each = two.len() / 2;
        assert_eq!(state.pending.len(), length / each, "cut at {length}");
        let torn = if length % each == 0 { 0.0 } else { 1.0 };
        assert!((errors - torn).abs() < 0.1, "cut at {length}");
    }
}

#[test]
fn a_changed_byte_costs_its_record_and_nothing_else() {
    let mut whole = Vec::new();
    (1..=3).for_each(|n| assert!(frame::write(&told(n, 5), &mut whole)));
    let each = whole.len() / 3;
    for at in 0..whole.len() {
        let store = Memory::new();
        let mut bytes = whole.clone();
        bytes[at] ^= 0x41;
        store.segments.lock().insert(0, bytes);
        let (state, errors) = store.read_all();
        let lost = u64::try_from(at / each).expect("small") + 1;
        let kept: Vec<u64> = (1..=3).filter(|n| *n != lost).collect();
        assert_eq!(pending(&state), kept, "byte {at}");
        assert!((errors - 1.0).abs() < 0.1, "byte {at}");
    }
}

#[test]
fn what_another_version_wrote_is_passed_over_and_counted() {
    let mut bytes = Vec::new();
    frame::write(&told(1, 5), &mut bytes);
    let foreign = |body: &[u8]| {
        let (length, crc) = (u32::try_from(body.len()).expect("small"), crc32fast::hash(body));
        [b"HgR\x01".as_slice(), &length.to_le_bytes(), &crc.to_le_bytes(), body].concat()
    };
    bytes.extend(foreign(b"\x02whatever comes"));
    bytes.extend(foreign(b"\x01{\"Later\":[]}"));
    frame::write(&told(2, 5), &mut bytes);
    let flaws: Vec<Flaw> = frame::read(&bytes)
        .filter_map(|piece| match piece {
            Piece::Flaw(flaw) => Some(flaw),
            Piece::Record(..) => None,
        })
        .collect();
    assert_eq!(flaws, [Flaw::UnknownVersion, Flaw::Unreadable]);
    let store = Memory::new();
    store.segments.lock().insert(0, bytes);
    assert_eq!(pending(&store.read_all().0), [1, 2]);
}

#[test]
fn what_is_done_with_leaves_the_disk() {
    let store = Memory::new();
    let (mut writer, ..) = writer(&store);
    for n in 1..=6_000 {
        step(&mut writer, [open(n), told(n, 500), done(n)]);
        assert!(store.used() < 3 * 2 * 1024 * 1024, "{} bytes at {n}", store.used());
    }
    let (state, errors) = store.read_all();
    assert_eq!((state.open.len(), state.pending.len()), (0, 0));
    assert!(errors < 0.1);
}

#[test]
fn what_lives_long_moves_forward_and_is_never_lost() {
    let store = Memory::new();
    let (mut writer, metrics, _) = writer(&store);
    step(&mut writer, [open(1), told(2, 10), adopted(3)]);
    for n in 10..12_000 {
        step(&mut writer, [told(n, 500), done(n)]);
    }
    step(&mut writer, [open(4), told(5, 10)]);
    assert!(metrics.compactions.get() > 0);
    assert!(store.used() < 10 * 1024 * 1024, "{} bytes", store.used());
    let (state, _) = store.read_all();
    assert_eq!(pending(&state), [2, 5]);
    let mut open: Vec<Uuid> = state.open.keys().copied().collect();
    open.sort_unstable();
    assert_eq!((open, state.adopted.len()), (vec![id(1), id(4)], 1));
    assert!(state.number >= 11_999 && state.sequence >= 5);
}

#[test]
fn a_log_that_is_full_gives_up_its_oldest_notices_and_says_which() {
    let store = Memory::new();
    let (mut writer, _, heard) = writer(&store);
    writer.sizes.log = 6 * 1024 * 1024;
    step(&mut writer, [open(1)]);
    for n in 10..5010 {
        step(&mut writer, [told(n, 2000)]);
    }
    assert!(store.used() < 9 * 1024 * 1024, "{} bytes", store.used());
    let given_up = heard.given_up.lock().clone();
    let (state, _) = store.read_all();
    assert!(!given_up.is_empty() && given_up[0] == 10 && given_up.is_sorted());
    let kept: Vec<u64> = (10..5010).filter(|n| !given_up.contains(n)).collect();
    assert_eq!(pending(&state), kept, "none without a word");
    assert_eq!(state.open.len(), 1, "sessions are not given up");
}

#[test]
fn a_full_disk_is_waited_out_and_then_all_is_there() {
    for cuts in [true, false] {
        let store = Memory { cuts, ..Memory::new() };
        let (mut writer, metrics, heard) = writer(&store);
        step(&mut writer, (1..=10).map(|n| told(n, 100)));
        *store.room.lock() = store.used() + 700;
        step(&mut writer, (11..=20).map(|n| told(n, 100)));
        assert_eq!(count(&metrics, "DiskFull"), 1);
        assert_eq!(metrics.durable.get(), 0);
        let (state, _) = store.read_all();
        assert!(
            (1..=10).all(|n| state.pending.contains_key(&n)),
            "what was there is there"
        );
        step(&mut writer, [done(3)]);
        assert_eq!(*heard.written.lock(), 10);
        *store.room.lock() = usize::MAX;
        std::thread::sleep(Duration::from_millis(1050));
        step(&mut writer, [done(15)]);
        assert_eq!(metrics.durable.get(), 1);
        let (state, errors) = store.read_all();
        let expected: Vec<u64> = (1..=20).filter(|n| ![3, 15].contains(n)).collect();
        assert_eq!(pending(&state), expected, "cuts: {cuts}");
        assert_eq!(
            errors > 0.1,
            !cuts,
            "a piece that could not be cut off is counted at the next start"
        );
    }
}

#[tokio::test]
async fn nobody_waits_for_a_disk_that_fails() {
    let store = Memory::new();
    *store.room.lock() = 0;
    let metrics = metrics();
    let (log, _) = Log::over(Box::new(store.clone()), &metrics, Arc::<Heard>::default()).expect("readable");
    assert!(!log.append_durably([open(1)]).await);
    *store.room.lock() = usize::MAX;
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(log.append_durably([open(2)]).await);
    drop(log);
    assert_eq!(store.read_all().0.open.len(), 2);
}

#[tokio::test]
async fn what_was_handed_over_is_written_before_the_log_ends() {
    let store = Memory::new();
    let (log, _) = Log::over(Box::new(store.clone()), &metrics(), Arc::<Heard>::default()).expect("readable");
    for n in 1..=5000 {
        log.append(told(n, 10));
    }
    drop(log);
    assert_eq!(store.read_all().0.pending.len(), 5000);
}

fn any_record() -> impl Strategy<Value = Record> {
    let n = 1_u64..40;
    prop_oneof![
        n.clone().prop_map(open),
        (n.clone(), 0_usize..3000, 1_usize..4).prop_map(|(n, size, urls)| told_to(n, size, urls)),
        n.clone().prop_map(adopted),
        prop::collection::vec(n.clone(), 1..5).prop_map(Record::Done),
        n.prop_map(|n| Record::Forgotten(vec![id(n)])),
    ]
}

/// The same with numbers that are never used twice, as the hooks give them.
fn renumber(records: Vec<Record>) -> Vec<Record> {
    let (mut next, mut last) = (100, BTreeMap::new());
    let mut all = Vec::new();
    for mut record in records {
        match &mut record {
            Record::Told(told) => {
                for target in told.notices.iter_mut().flat_map(|notice| &mut notice.targets) {
                    next += 1;
                    last.insert(target.number, next);
                    target.number = next;
                }
            }
            Record::Done(numbers) => numbers.iter_mut().for_each(|n| *n = last.get(n).copied().unwrap_or(1)),
            Record::Open(_) | Record::Forgotten(_) => {}
        }
        all.push(record);
    }
    all
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn a_start_finds_what_was_written_whatever_was_cleaned_up(
        records in prop::collection::vec(any_record(), 1..200),
        size in 1_usize..20,
        restart in 0_usize..200,
    ) {
        let store = Memory::new();
        let (mut current, ..) = writer(&store);
        let mut expected = State::default();
        for (n, part) in renumber(records).chunks(size).enumerate() {
            if n * size <= restart && restart < (n + 1) * size {
                current = writer(&store).0;
            }
            // Much cleaning for little writing.
            current.sizes.segment = 2000;
            current.sizes.small = 0;
            for record in part {
                expected.apply(record.clone());
            }
            step(&mut current, part.to_vec());
            let (found, errors) = store.read_all();
            prop_assert_eq!(&found.open, &expected.open);
            prop_assert_eq!(&found.pending, &expected.pending);
            prop_assert_eq!(&found.adopted, &expected.adopted);
            prop_assert!(errors < 0.1);
        }
    }

    #[test]
    fn damage_takes_no_more_than_what_it_hits(
        records in prop::collection::vec(any_record(), 1..20),
        noise in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        tail in any::<prop::sample::Index>(),
    ) {
        let (mut bytes, mut ends) = (Vec::new(), Vec::new());
        for record in &records {
            frame::write(record, &mut bytes);
            ends.push(bytes.len());
        }
        let cut = tail.index(bytes.len()) + 1;
        let mut hit: Vec<usize> = noise.iter().map(|(at, _)| at.index(bytes.len())).collect();
        for (at, (_, to)) in hit.iter().zip(&noise) {
            bytes[*at] = *to;
        }
        bytes.truncate(cut);
        hit.push(usize::MAX);
        let whole = |n: usize| {
            let start = if n == 0 { 0 } else { ends[n - 1] };
            ends[n] <= cut && !hit.iter().any(|at| (start..ends[n]).contains(at))
        };
        let found: Vec<Record> = frame::read(&bytes).filter_map(|piece| match piece {
            Piece::Record(record, _) => Some(record),
            Piece::Flaw(_) => None,
        }).collect();
        let safe = (0..records.len()).filter(|n| whole(*n));
        let mut rest = found.iter();
        for n in safe {
            prop_assert!(rest.any(|record| *record == records[n]), "record {} of {}", n, records.len());
        }
    }

    #[test]
    fn bytes_of_any_kind_are_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let _ = frame::read(&bytes).count();
    }
}
