//! What one pod would leave behind: the sessions that it has opened and nobody has closed, as its ledger says them.
//!
//! It takes lines in and knows no I/O; [`super::follower`] keeps the stream open.

use super::sealed::Sealed;
use headgate_control::{LedgerEntry, LedgerLine};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Open sessions of one pod that are remembered.
const SESSIONS_MAX: usize = 20_000;
/// Bytes of all their entries.
const BYTES_MAX: usize = 16 * 1024 * 1024;
/// Bytes of one line; a longer one is an error of the pod.
pub const LINE_MAX: usize = 64 * 1024;
/// Sessions that were closed last and are remembered as such.
const CLOSED_MAX: usize = 4096;

/// A ledger, and how it is heard.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Each with what closes it, unless that stands in its Stream.
    open: HashMap<Uuid, Option<Sealed>>,
    /// What was left out because it stands in a Stream is to be said once more: it does not any longer.
    again: bool,
    bytes: usize,
    closed: Recent,
    /// What has been said since the stream was opened; `None` once all has been.
    said: Option<HashSet<Uuid>>,
    synced: bool,
    left_out: u64,
    heard: Option<Instant>,
}

/// The last few of many.
#[derive(Debug, Default)]
struct Recent {
    order: VecDeque<Uuid>,
    all: HashSet<Uuid>,
}

impl Ledger {
    /// The stream is open: what it does not say before [`LedgerLine::Synced`] is closed.
    pub fn opened(&mut self, now: Instant) {
        self.said = Some(HashSet::new());
        self.left_out = 0;
        self.heard = Some(now);
    }

    /// The stream broke; what was open stays open.
    pub fn broke(&mut self) {
        self.said = None;
        self.heard = None;
    }

    /// Takes a line in.
    pub fn take(&mut self, line: LedgerLine, now: Instant) {
        self.heard = Some(now);
        match line {
            LedgerLine::Open(entry) => self.open(&entry),
            LedgerLine::Closed { session } => self.close(session),
            LedgerLine::Synced => self.sync(),
        }
    }

    /// The sessions that are open and whose Streams do not say what closes them.
    pub fn sessions(&self) -> impl Iterator<Item = (Uuid, Arc<str>)> {
        let texts = self.open.iter();
        texts.filter_map(|(session, sealed)| Some((*session, sealed.as_ref()?.text())))
    }

    /// What closes an open session. One whose text is not kept is asked for once more.
    pub fn text(&mut self, session: &Uuid) -> Option<Arc<str>> {
        let kept = self.open.get(session)?;
        self.again |= kept.is_none();
        Some(kept.as_ref()?.text())
    }

    /// What closes a session stands in its Stream, with this digest, and need not be kept here.
    pub fn stored(&mut self, session: &Uuid, digest: &str) {
        let Some(kept) = self.open.get_mut(session) else { return };
        let Some(sealed) = kept.as_ref().filter(|s| crate::cache::digest(&s.text()) == digest) else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(sealed.len());
        *kept = None;
    }

    /// Whether nobody has to close it any more, by the pod's own word.
    pub fn is_closed(&self, session: &Uuid) -> bool {
        self.closed.all.contains(session)
    }

    /// Whether the pod has said all of it once.
    pub fn is_known(&self) -> bool {
        self.synced
    }

    /// Whether the stream has to be opened once more, so that all is said again.
    pub fn is_asked_again(&self) -> bool {
        self.again && self.said.is_none()
    }

    /// Whether it is open.
    pub fn is_open(&self, session: &Uuid) -> bool {
        self.open.contains_key(session)
    }

    /// How many they are, and the bytes of their entries.
    pub fn size(&self) -> (usize, usize) {
        (self.open.len(), self.bytes)
    }

    /// The pod has said something that is about others.
    pub fn alive(&mut self, now: Instant) {
        self.heard = Some(now);
    }

    /// Open sessions that were too many or too large to be remembered.
    pub fn left_out(&self) -> u64 {
        self.left_out
    }

    /// Somebody else takes care of all that is open.
    pub fn clear_open(&mut self) {
        self.open = HashMap::new();
        self.bytes = 0;
    }

    /// Another pod has closed a session for this one.
    pub fn settled(&mut self, session: Uuid) {
        self.forget(&session);
        self.closed.add(session);
    }

    /// Since when nothing has been heard on the open stream; `None` without one.
    pub fn silence(&self, now: Instant) -> Option<Duration> {
        self.heard.map(|at| now.saturating_duration_since(at))
    }

    fn open(&mut self, entry: &LedgerEntry) {
        let is_known = match self.open.get(&entry.session) {
            Some(Some(kept)) => *kept == Sealed::of(&entry.sealed),
            Some(None) => !self.again,
            None => false,
        };
        if !is_known && !self.keep(entry) {
            self.left_out = self.left_out.saturating_add(1);
            return;
        }
        // Only what is kept is noted, so that neither grows beyond the other.
        if let Some(said) = &mut self.said {
            said.insert(entry.session);
        }
    }

    fn keep(&mut self, entry: &LedgerEntry) -> bool {
        self.forget(&entry.session);
        let sealed = Sealed::of(&entry.sealed);
        let bytes = self.bytes.saturating_add(sealed.len());
        if self.open.len() >= SESSIONS_MAX || bytes > BYTES_MAX {
            return false;
        }
        self.bytes = bytes;
        self.open.insert(entry.session, Some(sealed));
        true
    }

    fn close(&mut self, session: Uuid) {
        if !self.forget(&session) {
            self.left_out = self.left_out.saturating_sub(1);
        }
        self.closed.add(session);
    }

    fn sync(&mut self) {
        self.synced = true;
        let Some(said) = self.said.take() else { return };
        self.again = false;
        let silent: Vec<Uuid> = self.open.keys().filter(|s| !said.contains(*s)).copied().collect();
        for session in silent {
            self.forget(&session);
            self.closed.add(session);
        }
    }

    fn forget(&mut self, session: &Uuid) -> bool {
        let known = self.open.remove(session);
        let bytes = known.iter().flatten().map(Sealed::len).sum();
        self.bytes = self.bytes.saturating_sub(bytes);
        known.is_some()
    }
}

impl Recent {
    fn add(&mut self, one: Uuid) {
        if !self.all.insert(one) {
            return;
        }
        self.order.push_back(one);
        if self.order.len() > CLOSED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u128) -> Uuid {
        Uuid::from_u128(n)
    }

    fn open(n: u128, sealed: &str) -> LedgerLine {
        LedgerLine::Open(LedgerEntry {
            session: id(n),
            sealed: sealed.into(),
        })
    }

    fn closed(n: u128) -> LedgerLine {
        LedgerLine::Closed { session: id(n) }
    }

    fn sessions(ledger: &Ledger) -> Vec<u128> {
        let mut all: Vec<u128> = ledger.sessions().map(|(s, _)| s.as_u128()).collect();
        all.sort_unstable();
        all
    }

    fn said(ledger: &mut Ledger, lines: impl IntoIterator<Item = LedgerLine>) {
        let now = Instant::now();
        ledger.opened(now);
        for line in lines {
            ledger.take(line, now);
        }
    }

    #[test]
    fn what_is_opened_and_not_closed_is_open() {
        let mut ledger = Ledger::default();
        said(
            &mut ledger,
            [open(1, "a"), open(2, "b"), LedgerLine::Synced, open(3, "c"), closed(1)],
        );
        assert_eq!(sessions(&ledger), [2, 3]);
        assert!(ledger.is_closed(&id(1)) && !ledger.is_closed(&id(2)));
        assert_eq!(ledger.bytes, 2);
    }

    #[test]
    fn what_is_not_said_again_before_all_is_said_was_closed_meanwhile() {
        let mut ledger = Ledger::default();
        said(&mut ledger, [open(1, "a"), open(2, "b"), LedgerLine::Synced]);
        ledger.broke();
        assert_eq!(sessions(&ledger), [1, 2], "a stream that breaks closes nothing");
        said(&mut ledger, [open(2, "b"), open(4, "d")]);
        assert_eq!(
            sessions(&ledger),
            [1, 2, 4],
            "nor does one that has not said all of it yet"
        );
        ledger.take(LedgerLine::Synced, Instant::now());
        assert_eq!(sessions(&ledger), [2, 4]);
        assert!(ledger.is_closed(&id(1)));
        ledger.take(LedgerLine::Synced, Instant::now());
        assert_eq!(sessions(&ledger), [2, 4], "a sign of life closes nothing");
    }

    #[test]
    fn what_stands_in_a_stream_is_not_kept_and_is_said_again_when_it_does_not_any_longer() {
        let mut ledger = Ledger::default();
        let said_all = || [open(1, "abcd"), open(2, "efgh"), LedgerLine::Synced];
        said(&mut ledger, said_all());
        ledger.stored(&id(1), &crate::cache::digest("other"));
        assert_eq!((sessions(&ledger), ledger.bytes), (vec![1, 2], 6));
        ledger.stored(&id(1), &crate::cache::digest("abcd"));
        assert_eq!((sessions(&ledger), ledger.bytes), (vec![2], 3));
        assert!(ledger.is_open(&id(1)) && ledger.text(&id(2)).as_deref() == Some("efgh"));
        said(&mut ledger, said_all());
        assert_eq!(sessions(&ledger), [2], "said again, it stands there still");
        assert!(!ledger.is_asked_again());
        assert!(ledger.text(&id(1)).is_none() && ledger.is_asked_again());
        said(&mut ledger, said_all());
        assert_eq!(
            (ledger.text(&id(1)).as_deref(), ledger.is_asked_again()),
            (Some("abcd"), false)
        );
    }

    #[test]
    fn too_many_sessions_are_counted_and_not_remembered() {
        let mut ledger = Ledger::default();
        let many = u128::try_from(SESSIONS_MAX).unwrap();
        said(&mut ledger, (0..many + 5).map(|n| open(n, "x")));
        assert_eq!((ledger.open.len(), ledger.left_out()), (SESSIONS_MAX, 5));
        ledger.take(closed(many + 1), Instant::now());
        assert_eq!(ledger.left_out(), 4);
        said(&mut ledger, [open(1, "x"), LedgerLine::Synced]);
        assert_eq!((sessions(&ledger), ledger.left_out()), (vec![1], 0));
    }

    #[test]
    fn too_many_bytes_are_counted_and_not_remembered() {
        let (mut ledger, large) = (Ledger::default(), "not base64 ".repeat(LINE_MAX / 11));
        said(&mut ledger, (0..1000).map(|n| open(n, &large)));
        assert!(ledger.bytes <= BYTES_MAX && ledger.left_out() > 700);
    }

    #[test]
    fn only_the_last_closed_ones_are_remembered() {
        let mut ledger = Ledger::default();
        said(&mut ledger, (0..10_000).map(closed));
        assert_eq!(ledger.closed.all.len(), CLOSED_MAX);
        assert!(ledger.is_closed(&id(9999)) && !ledger.is_closed(&id(0)));
    }
}
