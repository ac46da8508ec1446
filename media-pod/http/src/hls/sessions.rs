//! Who watches: sessions by the word in their playlist's address, and streams by the word in their files' names.

use super::elsewhere::{Elsewhere, Fetched, Home};
use super::live::{HlsFormat, Live};
use super::settings::HlsSettings;
use super::word::HlsKey;
use crate::refuse;
use axum::response::Response;
use headgate_hls::Container;
use headgate_hub::{Client, Connection, EndReason, Hub, Player, Reason, Refusal, StreamName, Traffic};
use parking_lot::{Mutex, RwLock};
use std::any::Any;
use std::collections::HashMap;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// All viewers and streams of a pod, whichever of its listeners they came by. A clone is the same.
#[derive(Clone)]
pub struct Hls(Arc<Inner>);

struct Inner {
    key: HlsKey,
    settings: RwLock<HlsSettings>,
    /// A session that is idle for less than this lives on, whatever its target duration.
    idle_min: Duration,
    seats: Mutex<HashMap<String, Place>>,
    /// Where viewers and files may be that are not here.
    elsewhere: OnceLock<Arc<dyn Elsewhere>>,
    /// Files from there.
    fetched: Fetched,
    /// By the word in their files' names.
    lives: Mutex<HashMap<String, Weak<Live>>>,
    /// Events whose publisher has left and may come back.
    events: Mutex<Left>,
}

/// By their streams, with the time when it was.
type Left = HashMap<(StreamName, Container), (Arc<Live>, Instant)>;

/// What a word stands for.
enum Place {
    Open(Arc<Seat>),
    /// Somebody ended the session on purpose: its word opens nothing for a while.
    Shut(Instant),
}

/// A session, or one that is being asked about.
type Seat = OnceCell<Arc<Entry>>;

/// A viewer.
pub(crate) struct Entry {
    pub(crate) live: Arc<Live>,
    /// Gone when the session has ended.
    watching: Mutex<Option<Watching>>,
    ended: OnceLock<(EndReason, Instant)>,
    /// When it last asked for its playlist.
    seen: Mutex<Instant>,
}

struct Watching {
    client: Client,
    player: Player,
}

/// Words that stand for something; beyond them nobody is let in.
const WORDS_MAX: usize = 100_000;
/// How often sessions are looked after.
const TICK: Duration = Duration::from_secs(1);
/// The shortest time of silence that ends a session.
const IDLE_MIN: Duration = Duration::from_secs(10);
/// How long a word that was shut opens nothing.
const SHUT_FOR: Duration = Duration::from_hours(1);
/// How long the last playlist of a stream that has ended is to be had, and how long an event waits for its publisher where nobody watches.
const ENDED_FOR: Duration = Duration::from_mins(1);

impl Default for Hls {
    fn default() -> Self {
        Self::new(HlsKey::random())
    }
}

impl Hls {
    /// Without viewers. Pods of one server that have the same key go on with each other's sessions.
    pub fn new(key: HlsKey) -> Self {
        Self::with_idle(key, IDLE_MIN)
    }

    /// The same, with another bound on the silence that ends a session: three target durations, and this at least.
    pub fn with_idle(key: HlsKey, idle_min: Duration) -> Self {
        Self(Arc::new(Inner {
            key,
            settings: RwLock::default(),
            idle_min,
            seats: Mutex::default(),
            elsewhere: OnceLock::new(),
            fetched: Fetched::default(),
            lives: Mutex::default(),
            events: Mutex::default(),
        }))
    }

    /// Says where else viewers and files may be. The first word holds.
    pub fn among(&self, elsewhere: Arc<dyn Elsewhere>) {
        let _ = self.0.elsewhere.set(elsewhere);
    }

    pub(super) fn elsewhere(&self) -> Option<&dyn Elsewhere> {
        self.0.elsewhere.get().map(Arc::as_ref)
    }

    pub(super) fn fetched(&self) -> &Fetched {
        &self.0.fetched
    }

    /// This pod, in words and names of files.
    pub(super) fn home(&self) -> Home {
        self.elsewhere().map_or_else(|| Home::of(""), Elsewhere::own)
    }

    /// Whether a session is here under this word, or is being asked about.
    pub(super) fn knows(&self, word: &str) -> bool {
        self.0.seats.lock().contains_key(word)
    }

    /// Puts settings in force. Who watches goes on.
    pub fn configure(&self, settings: HlsSettings) {
        *self.0.settings.write() = settings;
        self.recut();
    }

    /// Whether streams are to be cut from their beginning on, though nobody watches.
    pub fn keeps_all(&self) -> bool {
        self.settings().event
    }

    pub(crate) fn settings(&self) -> HlsSettings {
        *self.0.settings.read()
    }

    /// Streams that are cut.
    pub(super) fn streams(&self) -> usize {
        self.0.lives.lock().len()
    }

    pub(crate) fn key(&self) -> &HlsKey {
        &self.0.key
    }

    /// The stream with this word in its files' names.
    pub(crate) fn live(&self, run: &str) -> Option<Arc<Live>> {
        self.0.lives.lock().get(run).and_then(Weak::upgrade)
    }

    /// The session of this word: the one that is there, or a new one when the gate lets it in. Whoever asks at the same time waits for the same answer.
    pub(crate) async fn session(
        &self,
        word: &str,
        (hub, container): (&Hub, Container),
        connection: impl FnOnce() -> Connection,
    ) -> Result<Arc<Entry>, Response> {
        let seat = self.seat(word).map_err(|refusal| refuse::refused(&refusal))?;
        let entry = seat
            .get_or_try_init(|| self.admit(hub, connection(), container))
            .await?;
        Ok(Arc::clone(entry))
    }

    fn seat(&self, word: &str) -> Result<Arc<Seat>, Refusal> {
        let mut seats = self.0.seats.lock();
        match seats.get(word) {
            Some(Place::Open(seat)) => return Ok(Arc::clone(seat)),
            Some(Place::Shut(_)) => {
                let said = "this session was ended: begin anew without its hls_ctx";
                return Err(Refusal::new(Reason::HookDenied, said));
            }
            None if seats.len() >= WORDS_MAX => {
                return Err(Refusal::new(Reason::LimitReached, "there are too many HLS viewers"));
            }
            None => {}
        }
        let seat = Arc::<Seat>::default();
        seats.insert(word.to_owned(), Place::Open(Arc::clone(&seat)));
        Ok(seat)
    }

    async fn admit(&self, hub: &Hub, connection: Connection, container: Container) -> Result<Arc<Entry>, Response> {
        let refused = |refusal: Refusal| refuse::refused(&refusal);
        let name = StreamName::parse(&connection.vhost, &connection.app, &connection.stream).map_err(refused)?;
        let param = connection.param.clone();
        let client = hub.open(connection);
        let ours = self.begun(&name, container);
        let player = client
            .play(name, param, Arc::new(HlsFormat(ours)))
            .await
            .map_err(refused)?;
        // The segments that are fed: ours, or those of who was here before.
        let format: &dyn Any = player.format();
        let Some(live) = format.downcast_ref().map(|HlsFormat(live)| Arc::clone(live)) else {
            return Err(refuse::ended(EndReason::StreamEnded));
        };
        self.know(&live);
        Ok(Arc::new(Entry {
            live,
            watching: Mutex::new(Some(Watching { client, player })),
            ended: OnceLock::new(),
            seen: Mutex::new(Instant::now()),
        }))
    }

    /// What a stream that nobody watches is cut into from now on: a new one, or the event that its publisher left and may go on with.
    pub(super) fn begun(&self, name: &StreamName, container: Container) -> Arc<Live> {
        let cut = self.settings().cut(container, self.streams().saturating_add(1));
        let kept = self.0.events.lock().get(&(name.clone(), container)).cloned();
        let kept = kept.filter(|(live, since)| cut.event && !live.is_ended() && since.elapsed() < ENDED_FOR);
        kept.map_or_else(|| Arc::new(Live::new(container, cut, self.home())), |(live, _)| live)
    }

    /// The publisher of an event has left.
    pub(super) fn keep(&self, name: &StreamName, live: &Arc<Live>) {
        if self.keeps_all() && !live.is_ended() {
            let place = (name.clone(), live.container);
            self.0.events.lock().insert(place, (Arc::clone(live), Instant::now()));
        }
    }

    /// Its files are to be had from now on. Another stream makes the others' share of the memory smaller.
    pub(super) fn know(&self, live: &Arc<Live>) {
        let mut lives = self.0.lives.lock();
        let known = lives.insert(live.run.clone(), Arc::downgrade(live)).is_some();
        lives.retain(|_, live| live.strong_count() > 0);
        drop(lives);
        if !known {
            self.recut();
        }
    }

    fn recut(&self) {
        let lives: Vec<_> = self.0.lives.lock().values().filter_map(Weak::upgrade).collect();
        let settings = self.settings();
        for live in &lives {
            live.recut(settings.cut(live.container, lives.len()));
        }
    }

    /// Ends the sessions of those who are silent, and forgets what nobody can ask for any more; until shutdown, which ends them all, or until the
    /// listener has closed and nobody is left.
    pub(crate) async fn sweep(self, shutdown: CancellationToken, closed: CancellationToken) {
        loop {
            tokio::select! {
                () = tokio::time::sleep(TICK) => {}
                () = shutdown.cancelled() => return self.end_all(),
            }
            self.tidy();
            if closed.is_cancelled() && self.0.seats.lock().is_empty() {
                return;
            }
        }
    }

    /// One look at everybody. Ending a session tells the gate, so it is done without the lock.
    fn tidy(&self) {
        let is_awaited = |(live, since): &(Arc<Live>, Instant)| !live.is_ended() && since.elapsed() < ENDED_FOR;
        self.0.events.lock().retain(|_, kept| is_awaited(kept));
        let seats = self.0.seats.lock();
        let open = |(word, place): (&String, &Place)| match place {
            Place::Open(seat) => seat.get().map(|entry| (word.clone(), Arc::clone(entry))),
            Place::Shut(_) => None,
        };
        let entries: Vec<_> = seats.iter().filter_map(open).collect();
        drop(seats);
        let looked: Vec<_> = entries
            .into_iter()
            .filter_map(|(word, entry)| Some((word, entry.keep(self.0.idle_min)?)))
            .collect();
        let mut seats = self.0.seats.lock();
        for (word, reason) in looked {
            match reason {
                EndReason::Kicked => seats.insert(word, Place::Shut(Instant::now())),
                _ => seats.remove(&word),
            };
        }
        seats.retain(|_, place| match place {
            // Who asked for it has left or was refused.
            Place::Open(seat) => seat.initialized() || Arc::strong_count(seat) > 1,
            Place::Shut(since) => since.elapsed() < SHUT_FOR,
        });
    }

    fn end_all(&self) {
        let seats = std::mem::take(&mut *self.0.seats.lock());
        for place in seats.into_values() {
            if let Place::Open(seat) = place
                && let Some(entry) = seat.get()
            {
                entry.end(EndReason::Shutdown);
            }
        }
    }
}

impl Entry {
    /// Somebody watches.
    pub(crate) fn touch(&self) {
        *self.seen.lock() = Instant::now();
    }

    /// Counts a playlist that was sent.
    pub(crate) fn count(&self, bytes: usize) {
        if let Some(Watching { client, player }) = &*self.watching.lock() {
            player.count(bytes as u64);
            client.count(Traffic {
                sent: bytes as u64,
                received: 0,
            });
        }
    }

    /// Why the session has ended, if it has.
    pub(crate) fn over(&self) -> Option<EndReason> {
        if let Some((reason, _)) = self.ended.get() {
            return Some(*reason);
        }
        let had = self.live.is_ready();
        let looked = match &*self.watching.lock() {
            Some(watching) => watching.player.look(had),
            None => Some(EndReason::PeerClosed),
        };
        // With the last look of one viewer the stream has ended for all: a newcomer would else hold on to its segments.
        let ended = looked.or_else(|| self.live.is_ended().then_some(EndReason::StreamEnded));
        ended.map(|reason| self.end(reason))
    }

    /// Ends the session, unless it has ended. Says why it did.
    fn end(&self, reason: EndReason) -> EndReason {
        let (reason, _) = *self.ended.get_or_init(|| (reason, Instant::now()));
        if reason == EndReason::StreamEnded {
            self.live.end();
        }
        let watching = self.watching.lock().take();
        if let Some(Watching { player, client }) = watching {
            player.finish(reason);
            drop(client);
        }
        reason
    }

    /// The sweeper's look: why its word is to go, if it is. A stream that has ended is still to be had for a while.
    fn keep(&self, idle_min: Duration) -> Option<EndReason> {
        let patience = self.live.target().saturating_mul(3).max(idle_min);
        let idle = self.seen.lock().elapsed() > patience;
        match self.over() {
            Some(EndReason::StreamEnded) => {
                let long_ago = self.ended.get().is_some_and(|(_, since)| since.elapsed() > ENDED_FOR);
                (idle || long_ago).then_some(EndReason::StreamEnded)
            }
            Some(reason) => Some(reason),
            None => idle.then(|| self.end(EndReason::PeerClosed)),
        }
    }
}
