//! The hub under a scheduler of its own, which a seed decides: whose turn it is, who is dropped in the middle of what it waits for, who is polled for
//! no reason, when the clock moves. Publishers and players come, go, stall and die in any order, and leave nothing behind.
//!
//! Beside `chaos`, which draws what happens and lets the runtime say in which order, this draws the order too. A seed that fails is printed, and run
//! again alone with `HEADGATE_SEED`.
//!
//! loom would look into another matter. It tries all orders of the atomic operations of code without locks, and there is none here: what a stream,
//! a ring, a registry and a pass's desk hold is behind a lock each, and the few atomics are counters that nothing else hangs on. What can go wrong is
//! the order in which locks are taken by those who wait in between, and that is what a schedule draws.

use super::pass::Pipe;
use super::support::*;
use crate::*;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use uuid::Uuid;

/// As many as take some seconds.
const SEEDS: u64 = 2_000;
/// Turns of one schedule.
const TURNS: u32 = 150;
/// Tasks at one time.
const TASKS: usize = 12;

/// What is drawn, the same for all.
type Dice = Rc<RefCell<StdRng>>;

/// One to whom something happens, and whether it has been woken since its last turn.
struct Task {
    future: Pin<Box<dyn Future<Output = ()>>>,
    woken: Arc<Woken>,
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// See the module.
struct Schedule {
    world: World,
    dice: Dice,
    tasks: Vec<Task>,
}

fn draw(dice: &Dice, below: usize) -> usize {
    dice.borrow_mut().random_range(0..below)
}

fn param(dice: &Dice) -> &'static str {
    let all = [
        "",
        "",
        "",
        "?takeover",
        "?slow=20",
        "?slow=20&takeover",
        "?deny",
        "?noconnect",
    ];
    all[draw(dice, all.len())]
}

fn stream(dice: &Dice) -> String {
    format!("s{}", draw(dice, 2))
}

/// Lets others have turns, or time pass.
async fn rest(dice: &Dice) {
    match draw(dice, 4) {
        0 => millis(1 + draw(dice, 3_000) as u64).await,
        turns => {
            let mut left = turns;
            std::future::poll_fn(move |cx| {
                if left == 0 {
                    return Poll::Ready(());
                }
                left -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            })
            .await;
        }
    }
}

async fn publisher(hub: Hub, dice: Dice) {
    let Ok(mut publisher) = publish(&hub, &stream(&dice), param(&dice)).await else {
        return;
    };
    for second in 0..=draw(&dice, 8) {
        if draw(&dice, 3) > 0 {
            publisher.track(video_track());
        }
        if draw(&dice, 3) == 0 {
            publisher.track(audio_track());
        }
        for n in 0..draw(&dice, 30) {
            let word = ["V", "v", "v", "a"][draw(&dice, 4)];
            publisher.frame(frame(word, i64::try_from(second * 1_000 + n * 30).unwrap(), 400));
        }
        tokio::select! {
            biased;
            _ = publisher.kicked() => return,
            () = rest(&dice) => {}
        }
    }
    if draw(&dice, 2) == 0 {
        publisher.finish(EndReason::Unpublished);
    }
}

async fn player(hub: Hub, dice: Dice) {
    let Ok(mut player) = play(&hub, &stream(&dice), param(&dice)).await else {
        return;
    };
    let mut out = Vec::new();
    for _ in 0..=draw(&dice, 10) {
        tokio::select! {
            biased;
            next = player.next(&mut out, 8) => if next.is_err() { return },
            () = rest(&dice) => {}
        }
        out.clear();
        if draw(&dice, 8) == 0 {
            // It stops to read, for as long as it likes.
            millis(20_000).await;
        }
    }
    if draw(&dice, 2) == 0 {
        player.finish(EndReason::PeerClosed);
    }
}

async fn seated(hub: Hub, dice: Dice) {
    let Ok(player) = play(&hub, &stream(&dice), param(&dice)).await else {
        return;
    };
    let pipe = Pipe::with_room(draw(&dice, 5_000));
    let seated = player.seat(Arc::clone(&pipe) as _, Vec::new(), Duration::from_secs(3));
    for _ in 0..=draw(&dice, 10) {
        tokio::select! {
            biased;
            _ = seated.over() => break,
            () = rest(&dice) => {}
        }
        match draw(&dice, 4) {
            0 => pipe.make_room(0),
            1 => seated.pause(draw(&dice, 2) == 0),
            2 => seated.say(bytes::Bytes::from_static(b"word")),
            _ => pipe.make_room(draw(&dice, 5_000)),
        }
        pipe.read();
    }
    if draw(&dice, 3) > 0 {
        seated.leave(EndReason::PeerClosed).await;
    }
}

impl Schedule {
    fn new(seed: u64) -> Self {
        let dice = Rc::new(RefCell::new(StdRng::seed_from_u64(seed)));
        let world = if draw(&dice, 2) == 0 {
            world()
        } else {
            world_among(Arc::new(Feeder))
        };
        let tasks = Vec::new();
        Self { world, dice, tasks }
    }

    async fn run(mut self) -> Vec<String> {
        for _ in 0..TURNS {
            self.turn().await;
        }
        let mut happened = self.world.diary.take();
        if draw(&self.dice, 2) == 0 {
            self.world.hub.end_all(EndReason::Shutdown);
        }
        self.tasks.clear();
        let idle = tokio::time::timeout(Duration::from_mins(1), self.world.hub.idle());
        idle.await.expect("the hub becomes idle");
        millis(60_000).await;
        self.world.assert_nothing_is_left();
        // All who are left end at once, in no order.
        let mut ends = self.world.diary.take();
        ends.sort();
        happened.append(&mut ends);
        happened
    }

    async fn turn(&mut self) {
        match draw(&self.dice, 20) {
            0..=3 => self.come(),
            4..=11 => self.poll(true),
            12 => self.poll(false),
            13 => self.die(),
            14 => self.kick(),
            15 => self.contend(),
            16 => self.configure(),
            17 => tokio::time::advance(Duration::from_millis(draw(&self.dice, 4_000) as u64)).await,
            // The hub's own tasks: admissions and passes.
            _ => tokio::task::yield_now().await,
        }
    }

    fn come(&mut self) {
        if self.tasks.len() >= TASKS {
            return;
        }
        let (hub, dice) = (self.world.hub.clone(), Rc::clone(&self.dice));
        let future: Pin<Box<dyn Future<Output = ()>>> = match draw(&self.dice, 3) {
            0 => Box::pin(publisher(hub, dice)),
            1 => Box::pin(player(hub, dice)),
            _ => Box::pin(seated(hub, dice)),
        };
        let woken = Arc::new(Woken(AtomicBool::new(true)));
        self.tasks.push(Task { future, woken });
    }

    /// One that was woken has its turn, or any one.
    fn poll(&mut self, woken: bool) {
        let is_due = |at: &usize| !woken || self.tasks[*at].woken.0.load(Ordering::Relaxed);
        let due: Vec<usize> = (0..self.tasks.len()).filter(is_due).collect();
        if due.is_empty() {
            return;
        }
        let at = due[draw(&self.dice, due.len())];
        let task = &mut self.tasks[at];
        task.woken.0.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&task.woken));
        if task.future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready() {
            self.tasks.remove(at);
        }
    }

    /// Somebody is gone in the middle of what it waits for.
    fn die(&mut self) {
        if !self.tasks.is_empty() {
            let at = draw(&self.dice, self.tasks.len());
            self.tasks.remove(at);
        }
    }

    fn kick(&self) {
        let mut ids: Vec<Uuid> = self
            .world
            .hub
            .0
            .registry
            .lock()
            .all()
            .iter()
            .map(|l| l.session.id)
            .collect();
        ids.sort();
        if !ids.is_empty() {
            let id = ids[draw(&self.dice, ids.len())];
            self.world.hub.kick(id, EndReason::Kicked);
        }
    }

    /// Another pod has a publisher for a name, or takes it over.
    fn contend(&self) {
        let (name, other) = (name(&stream(&self.dice)), Uuid::from_u128(1));
        if draw(&self.dice, 2) == 0 {
            self.world.hub.contend(&name, other, draw(&self.dice, 2) == 0);
        } else {
            self.world.hub.evict(&name, other);
        }
    }

    fn configure(&self) {
        self.world.hub.configure(Settings {
            gop_cache: draw(&self.dice, 2) == 0,
            merge_window: Duration::from_millis(draw(&self.dice, 2_000) as u64),
            viewers_max: Some(1 + draw(&self.dice, 8)),
            skips_max: 2,
            ..Settings::default()
        });
    }
}

fn run(seed: u64) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(Schedule::new(seed).run())
}

/// Says which seed it was.
struct Named(u64);

impl Drop for Named {
    #[allow(clippy::print_stderr, reason = "a test that fails says how to run it again")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the schedule of HEADGATE_SEED={} failed", self.0);
        }
    }
}

#[test]
fn whatever_the_schedule_nothing_is_left_behind() {
    let only = std::env::var("HEADGATE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = only.map_or(0..SEEDS, |seed: u64| seed..seed + 1);
    let mut sessions = 0;
    for seed in seeds {
        let _named = Named(seed);
        sessions += run(seed).iter().filter(|line| line.starts_with("end ")).count();
    }
    assert!(only.is_some() || sessions > 5_000, "{sessions} sessions is no test");
}

#[test]
fn a_seed_is_the_same_schedule_every_time() {
    for seed in 0..50 {
        assert_eq!(run(seed), run(seed), "{seed}");
    }
}
