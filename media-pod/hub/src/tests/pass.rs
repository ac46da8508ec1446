//! Viewers that a pass writes to.

use super::support::*;
use crate::*;
use bytes::Bytes;
use parking_lot::Mutex;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A socket with room for so many bytes. What it took is words, as the format of the tests makes them.
#[derive(Default)]
pub(super) struct Pipe(Mutex<Held>);

#[derive(Default)]
struct Held {
    room: usize,
    taken: Vec<u8>,
    writes: usize,
    broken: bool,
    waiting: Option<Waker>,
}

impl Pipe {
    pub(super) fn with_room(room: usize) -> Arc<Self> {
        let pipe = Arc::new(Self::default());
        pipe.make_room(room);
        pipe
    }

    pub(super) fn make_room(&self, room: usize) {
        let mut held = self.0.lock();
        held.room = room;
        if let Some(waiting) = held.waiting.take() {
            waiting.wake();
        }
    }

    fn break_off(&self) {
        self.0.lock().broken = true;
        self.make_room(1);
    }

    /// What came since the last time.
    pub(super) fn read(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().taken)).unwrap()
    }

    fn writes(&self) -> usize {
        std::mem::take(&mut self.0.lock().writes)
    }
}

impl Outlet for Pipe {
    fn offer(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let mut held = self.0.lock();
        if held.broken {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        if held.room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let before = held.taken.len();
        for piece in pieces {
            let some = piece.len().min(held.room);
            held.taken.extend_from_slice(&piece[..some]);
            held.room -= some;
        }
        held.writes += 1;
        Ok(held.taken.len() - before)
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut held = self.0.lock();
        if held.room > 0 {
            return Poll::Ready(Ok(()));
        }
        held.waiting = Some(cx.waker().clone());
        Poll::Pending
    }
}

const PLENTY: usize = 1 << 30;
const PATIENCE: Duration = Duration::from_secs(30);

async fn seat(w: &World, pipe: &Arc<Pipe>) -> Seated {
    let player = play(&w.hub, "x", "").await.unwrap();
    let outlet: Arc<dyn Outlet> = Arc::clone(pipe) as _;
    player.seat(outlet, vec![Bytes::from_static(b"head ")], PATIENCE)
}

async fn live(w: &World) -> Publisher {
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(video_track());
    publisher.track(audio_track());
    publisher
}

#[tokio::test(start_paused = true)]
async fn a_viewer_gets_its_head_its_start_and_all_that_follows_in_order() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0 v40");
    let pipe = Pipe::with_room(PLENTY);
    let seated = seat(&w, &pipe).await;
    millis(1).await;
    assert_eq!(pipe.read(), "head start(2 at 0)V0v40");
    assert_eq!(pipe.writes(), 1, "what it begins with goes out together");
    send(&mut publisher, "v80 a90");
    seated.say(Bytes::from_static(b"!"));
    millis(1).await;
    let read = pipe.read();
    assert!(read == "!v80a90" || read == "v80a90!", "{read}");
    assert_eq!(seated.leave(EndReason::Kicked).await, Vec::<Bytes>::new());
    drop(publisher);
    w.hub.idle().await;
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn many_viewers_get_one_write_a_window_each() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let pipes: Vec<_> = (0..500).map(|_| Pipe::with_room(PLENTY)).collect();
    let mut seated = Vec::new();
    for pipe in &pipes {
        seated.push(seat(&w, pipe).await);
    }
    millis(300).await;
    for pipe in &pipes {
        drop((pipe.read(), pipe.writes()));
    }
    let mut sent = String::new();
    for n in 1..=100 {
        let frame = format!("v{}", n * 10);
        send(&mut publisher, &frame);
        sent.push_str(&frame);
        millis(10).await;
    }
    millis(200).await;
    for pipe in &pipes {
        assert_eq!(pipe.read(), sent);
        let writes = pipe.writes();
        assert!(
            (8..=12).contains(&writes),
            "{writes} writes in a second of a window of 100 ms"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_full_socket_did_not_take_follows_and_what_is_said_stands_between_packets() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let (pipe, other) = (Pipe::with_room(PLENTY), Pipe::with_room(PLENTY));
    let (seated, _other) = (seat(&w, &pipe).await, seat(&w, &other).await);
    millis(1).await;
    pipe.read();
    pipe.make_room(2);
    send(&mut publisher, "v100");
    millis(1).await;
    seated.say(Bytes::from_static(b"[pong]"));
    send(&mut publisher, "v200 v300");
    millis(1).await;
    assert_eq!(pipe.read(), "v1");
    assert!(other.read().ends_with("v100v200v300"), "nobody else waits");
    pipe.make_room(5);
    millis(1).await;
    pipe.make_room(PLENTY);
    millis(1).await;
    assert_eq!(pipe.read(), "00[pong]v200v300");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_in_the_middle_of_a_write_is_given_the_rest_of_it() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let pipe = Pipe::with_room(PLENTY);
    let seated = seat(&w, &pipe).await;
    millis(1).await;
    pipe.make_room(1);
    send(&mut publisher, "v100");
    millis(1).await;
    assert!(w.hub.kick(seated.session().id, EndReason::Draining));
    assert_eq!(seated.over().await, EndReason::Draining);
    assert_eq!(seated.leave(EndReason::PeerClosed).await, ["100"]);
    assert_eq!(w.diary.take().pop().unwrap(), "end Play live/x Draining");
}

#[tokio::test(start_paused = true)]
async fn a_socket_that_takes_nothing_is_cut_and_one_that_fails_ends() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let (stuck, broken) = (Pipe::with_room(3), Pipe::with_room(3));
    let (stuck_viewer, broken_viewer) = (seat(&w, &stuck).await, seat(&w, &broken).await);
    millis(10).await;
    broken.break_off();
    assert_eq!(broken_viewer.over().await, EndReason::PeerClosed);
    let begun = tokio::time::Instant::now();
    assert_eq!(stuck_viewer.over().await, EndReason::TooSlow);
    let patience = begun.elapsed();
    assert!((29..=31).contains(&patience.as_secs()), "{patience:?}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_viewer_skips_to_a_newer_key_frame_and_is_counted() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let pipe = Pipe::with_room(PLENTY);
    let _seated = seat(&w, &pipe).await;
    millis(1).await;
    pipe.read();
    pipe.make_room(0);
    for n in 1..=100 {
        send(
            &mut publisher,
            &format!("{}{}", if n % 25 == 0 { "V" } else { "v" }, n * 100),
        );
        millis(100).await;
    }
    pipe.make_room(PLENTY);
    millis(1).await;
    assert_eq!(pipe.read(), "resumed(2 at 10000)V10000");
    assert!((w.metric("headgate_viewer_skips_total") - 1.0).abs() < f64::EPSILON);
}

#[tokio::test(start_paused = true)]
async fn a_paused_viewer_goes_on_at_a_key_frame() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let pipe = Pipe::with_room(PLENTY);
    let seated = seat(&w, &pipe).await;
    millis(1).await;
    pipe.read();
    seated.pause(true);
    millis(1).await;
    send(&mut publisher, "v40 V80 v120");
    millis(1).await;
    assert_eq!(pipe.read(), "");
    seated.pause(false);
    millis(1).await;
    assert_eq!(pipe.read(), "resumed(2 at 80)V80v120");
}

#[tokio::test(start_paused = true)]
async fn a_viewer_outlives_its_publisher_and_is_ended_when_no_other_comes() {
    let w = world();
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let pipe = Pipe::with_room(PLENTY);
    let seated = seat(&w, &pipe).await;
    millis(1).await;
    drop(publisher);
    millis(5_000).await;
    let mut publisher = live(&w).await;
    send(&mut publisher, "V7");
    millis(1).await;
    assert_eq!(pipe.read(), "head start(2 at 0)V0resumed(2 at 7)V7");
    drop(publisher);
    let begun = tokio::time::Instant::now();
    assert_eq!(seated.over().await, EndReason::StreamEnded);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_asks_and_does_not_read_is_cut() {
    let w = world();
    let pipe = Pipe::with_room(0);
    let seated = seat(&w, &pipe).await;
    for _ in 0..70 {
        seated.say(Bytes::from_static(&[0; 1024]));
    }
    assert_eq!(seated.over().await, EndReason::TooSlow);
}

/// A viewer whose turn takes so long that something comes meanwhile.
struct Slow {
    pipe: Arc<Pipe>,
    publisher: Mutex<Publisher>,
    turns: AtomicUsize,
}

/// Turns after which nothing comes any more, so that there is an end also where a pass follows a pass.
const QUIET: usize = 500;

impl Outlet for Slow {
    fn offer(&self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        let turn = self.turns.fetch_add(1, Ordering::Relaxed);
        if turn < QUIET {
            send(&mut self.publisher.lock(), &format!("v{}", turn + 1));
        }
        self.pipe.offer(pieces)
    }

    fn poll_room(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.pipe.poll_room(cx)
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_during_a_pass_waits_for_its_own_time() {
    let w = world();
    w.hub.configure(Settings {
        merge_window: Duration::from_secs(10),
        ..w.hub.settings()
    });
    let mut publisher = live(&w).await;
    send(&mut publisher, "V0");
    let pipes: Vec<_> = (0..49).map(|_| Pipe::with_room(PLENTY)).collect();
    let mut seated = Vec::new();
    for pipe in &pipes {
        seated.push(seat(&w, pipe).await);
    }
    let slow = Arc::new(Slow {
        pipe: Pipe::with_room(PLENTY),
        publisher: Mutex::new(publisher),
        turns: AtomicUsize::new(QUIET),
    });
    let player = play(&w.hub, "x", "").await.unwrap();
    seated.push(player.seat(Arc::clone(&slow) as _, Vec::new(), PATIENCE));
    millis(1).await;
    for pipe in &pipes {
        pipe.writes();
    }
    slow.turns.store(1, Ordering::Relaxed);
    send(&mut slow.publisher.lock(), "v1");
    // Fifty viewers wait a second.
    millis(3500).await;
    let writes: Vec<_> = pipes.iter().map(|pipe| pipe.writes()).collect();
    assert!(writes.iter().all(|writes| (2..=4).contains(writes)), "{writes:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn exactly_one_end_follows_whatever_happens_at_once() {
    let w = world();
    let mut publisher = live(&w).await;
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..40_usize {
        let (hub, room) = (w.hub.clone(), [PLENTY, 7, 0][n % 3]);
        tasks.spawn(async move {
            for round in 0..50_usize {
                let player = play(&hub, "x", "").await.unwrap();
                let pipe = Pipe::with_room(room);
                let seated = player.seat(Arc::clone(&pipe) as _, Vec::new(), PATIENCE);
                match (n + round) % 5 {
                    0 => drop(seated),
                    1 => drop(seated.leave(EndReason::PeerClosed).await),
                    2 => {
                        hub.kick(seated.session().id, EndReason::Kicked);
                        seated.over().await;
                        seated.leave(EndReason::PeerClosed).await;
                    }
                    3 => {
                        seated.say(Bytes::from_static(b"x"));
                        pipe.break_off();
                        tokio::task::yield_now().await;
                    }
                    _ => {
                        tokio::task::yield_now().await;
                        pipe.make_room(PLENTY);
                        drop(seated.leave(EndReason::Shutdown).await);
                    }
                }
            }
        });
    }
    while !tasks.is_empty() {
        send(&mut publisher, "V0 v1 a2");
        tokio::task::yield_now().await;
        while tasks.try_join_next().is_some_and(|done| done.is_ok()) {}
    }
    drop(publisher);
    w.hub.idle().await;
    w.assert_nothing_is_left();
    assert_eq!(w.diary.admitted.lock().len(), 1 + 40 * 50);
}
