#![allow(
    clippy::arithmetic_side_effects,
    reason = "a test that overflows fails, as it should"
)]

use super::*;
use crate::delivery::schedule::MAX_AGE;
use crate::testing;
use headgate_control::HookEvent;
use proptest::prelude::*;

const S: Duration = Duration::from_secs(1);

fn notice(stream: &str) -> Arc<Event> {
    Arc::new(testing::event(HookEvent::Unpublish, stream))
}

fn entry(url: usize, event: Arc<Event>) -> Entry {
    Entry {
        url,
        event,
        log: 1,
        at: jiff::Timestamp::now(),
        age: Duration::ZERO,
        replay: false,
    }
}

fn queue() -> (Queue, Instant) {
    (Queue::new(Limits::default()), Instant::now())
}

fn push_all(queue: &mut Queue, streams: &[&str], now: Instant) {
    for stream in streams {
        queue.push(entry(0, notice(stream)), now);
    }
}

fn names(dead: &[Dead]) -> Vec<(String, Death)> {
    dead.iter()
        .map(|dead| (dead.event.stream.name.to_string(), dead.death))
        .collect()
}

fn retry(wait: Duration) -> Settle {
    Settle::Retry { wait, held: false }
}

#[test]
fn a_lane_sends_one_at_a_time_in_order() {
    let (mut queue, now) = queue();
    let events = [notice("a"), notice("a")];
    for event in &events {
        queue.push(entry(0, event.clone()), now);
    }
    let first = queue.take(now).expect("the first");
    assert_eq!(first.event.id, events[0].id);
    assert!(queue.take(now).is_none(), "the second waits for the first");
    queue.settle(&first, Settle::Done, now);
    assert_eq!(queue.take(now).expect("the second").event.id, events[1].id);
}

#[test]
fn without_order_one_that_fails_holds_up_no_other_of_its_stream() {
    let (mut queue, now) = queue();
    queue.set_policy(Policy {
        ordering: Ordering::None,
        ..Policy::default()
    });
    push_all(&mut queue, &["a", "a", "a"], now);
    let jobs: Vec<Job> = std::iter::from_fn(|| queue.take(now)).collect();
    assert_eq!(jobs.len(), 3, "all at once");
    assert!(queue.contains(0, &jobs[1].event));
    queue.settle(&jobs[0], retry(Duration::from_mins(1)), now);
    queue.settle(&jobs[1], Settle::Done, now);
    queue.settle(&jobs[2], Settle::Dead, now);
    assert_eq!((queue.len(), queue.take(now).is_some()), (1, false));
    let later = now + Duration::from_mins(1);
    assert_eq!(queue.take(later).map(|job| job.attempt), Some(2));
}

#[test]
fn another_age_holds_for_what_is_pending_too() {
    let (mut queue, now) = queue();
    let policy = |hours| Policy {
        max_age: Duration::from_hours(hours),
        ..Policy::default()
    };
    push_all(&mut queue, &["a", "b"], now);
    let a = queue.take(now).expect("a");
    queue.settle(&a, retry(Duration::from_hours(20)), now);
    let b = queue.take(now).expect("b");
    queue.settle(&b, Settle::Suspend, now);
    queue.set_policy(policy(2));
    assert!(queue.take(now).is_none());
    assert_eq!(queue.next_due(), Some(now + Duration::from_hours(2)));
    assert!(queue.take(now + Duration::from_hours(2)).is_none());
    assert_eq!(names(&queue.take_dead()).len(), 2);
    queue.resume(0);
    push_all(&mut queue, &["c"], now);
    queue.set_policy(policy(72));
    assert!(queue.take(now + Duration::from_hours(71)).is_some());
}

#[test]
fn lanes_take_turns() {
    let (mut queue, now) = queue();
    for stream in ["a", "a", "a", "b", "c"] {
        queue.push(entry(0, notice(stream)), now);
    }
    let mut order = Vec::new();
    while let Some(job) = queue.take(now) {
        order.push(job.event.stream.name.to_string());
        queue.settle(&job, Settle::Done, now);
    }
    assert_eq!(order, ["a", "b", "c", "a", "a"]);
    assert_eq!((queue.len(), queue.bytes, queue.lanes.len()), (0, 0, 0));
}

#[test]
fn a_failed_notice_holds_up_its_own_lane_only() {
    let (mut queue, now) = queue();
    push_all(&mut queue, &["a", "a", "b"], now);
    let first = queue.take(now).expect("a");
    queue.settle(&first, retry(5 * S), now);
    assert_eq!(&*queue.take(now).expect("b").event.stream.name, "b");
    assert!(queue.take(now + 4 * S).is_none());
    assert_eq!(queue.next_due(), Some(now + 5 * S));
    let again = queue.take(now + 5 * S).expect("a again");
    assert_eq!(
        (again.event.id, again.attempt, queue.failures(&again)),
        (first.event.id, 2, 1)
    );
}

#[test]
fn every_url_has_lanes_of_its_own() {
    let (mut queue, now) = queue();
    let event = notice("a");
    queue.push(entry(0, event.clone()), now);
    queue.push(entry(1, event), now);
    let (first, second) = (queue.take(now).expect("one URL"), queue.take(now).expect("the other"));
    queue.settle(&first, retry(S), now);
    queue.settle(&second, Settle::Done, now);
    assert_eq!(queue.len(), 1);
}

#[test]
fn an_early_try_that_fails_leaves_the_schedule_as_it_was() {
    let (mut queue, now) = queue();
    queue.push(entry(0, notice("a")), now);
    let job = queue.take(now).expect("a");
    queue.settle(&job, retry(30 * S), now);
    queue.wake(&job.key.stream, 1);
    let early = queue.take(now + S).expect("woken");
    queue.settle(&early, retry(120 * S), now + S);
    assert_eq!(queue.next_due(), Some(now + 30 * S));
    let due = queue.take(now + 30 * S).expect("due");
    assert_eq!((due.attempt, queue.failures(&due)), (3, 1));
}

#[test]
fn a_receiver_that_asked_for_time_is_woken_only_at_the_end() {
    let (mut queue, now) = queue();
    queue.push(entry(0, notice("a")), now);
    let job = queue.take(now).expect("a");
    queue.settle(
        &job,
        Settle::Retry {
            wait: 60 * S,
            held: true,
        },
        now,
    );
    queue.wake(&job.key.stream, 1);
    assert!(queue.take(now + S).is_none());
    queue.wake_all();
    assert!(queue.take(now + S).is_some());
}

#[test]
fn a_suspended_url_is_left_alone_until_it_answers_again() {
    let (mut queue, now) = queue();
    push_all(&mut queue, &["a", "b"], now);
    queue.push(entry(1, notice("a")), now);
    let gone = queue.take(now).expect("the first");
    queue.settle(&gone, Settle::Suspend, now);
    let other = queue.take(now).expect("the other URL goes on");
    assert_eq!(other.key.url(), 1);
    assert!(queue.take(now + 3600 * S).is_none());
    queue.wake_all();
    assert!(queue.take(now + 3600 * S).is_none());
    queue.resume(0);
    let mut resumed = [queue.take(now).expect("a"), queue.take(now).expect("b")].map(|job| job.key.stream.name.clone());
    resumed.sort();
    assert_eq!(resumed.map(|name| name.to_string()), ["a", "b"]);
}

#[test]
fn what_is_too_old_is_dead_and_the_next_one_goes_on() {
    let (mut queue, now) = queue();
    queue.push(entry(0, notice("a")), now);
    let job = queue.take(now).expect("a");
    queue.settle(&job, retry(MAX_AGE * 2), now);
    let young = notice("a");
    queue.push(entry(0, young.clone()), now + S);
    assert_eq!(queue.next_due(), Some(now + MAX_AGE), "not later than its age allows");
    assert_eq!(queue.take(now + MAX_AGE).expect("the young one").event.id, young.id);
    assert_eq!(names(&queue.take_dead()), [("a".to_owned(), Death::Expired)]);
}

#[test]
fn a_held_queue_starts_nothing_and_still_says_what_it_has() {
    let (mut queue, now) = queue();
    push_all(&mut queue, &["a", "b", "a"], now);
    let under_way = queue.take(now).expect("a");
    let failed = queue.take(now).expect("b");
    queue.settle(&failed, retry(S), now);
    queue.hold();
    assert!(queue.take(now + 2 * S).is_none() && queue.next_due().is_none());
    let names: Vec<String> = queue
        .pending(10)
        .iter()
        .map(|e| e.event.stream.name.to_string())
        .collect();
    assert_eq!(names, ["a", "b", "a"]);
    assert_eq!(queue.pending(2).len(), 2);
    queue.remove(&HashSet::from([1]), None, true);
    assert_eq!((queue.len(), queue.bytes, queue.lanes.len()), (0, 0, 0));
    assert_eq!((queue.take_gone().len(), queue.take_dead().len()), (3, 0));
    queue.settle(&under_way, Settle::Done, now);
    assert!(queue.take_gone().is_empty(), "it was gone already");
}

#[test]
fn what_the_log_has_no_room_for_is_dead_unless_it_is_under_way() {
    let (mut queue, now) = queue();
    push_all(&mut queue, &["a", "a", "b"], now);
    let under_way = queue.take(now).expect("a");
    queue.remove(&HashSet::from([1]), Some(Death::Overflow), false);
    let expected = [("a".to_owned(), Death::Overflow), ("b".to_owned(), Death::Overflow)];
    let mut dead = names(&queue.take_dead());
    dead.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(dead, expected);
    queue.settle(&under_way, Settle::Done, now);
    assert_eq!((queue.len(), queue.take_gone().len()), (0, 3));
}

#[test]
fn suspended_backlogs_expire_too() {
    let (mut queue, now) = queue();
    queue.push(entry(0, notice("a")), now);
    let job = queue.take(now).expect("a");
    queue.settle(&job, Settle::Suspend, now);
    assert!(queue.take(now).is_none());
    assert!(queue.take(now + MAX_AGE).is_none());
    assert_eq!(
        (queue.len(), names(&queue.take_dead())),
        (0, vec![("a".to_owned(), Death::Expired)])
    );
}

#[test]
fn when_it_is_full_the_oldest_that_is_not_in_flight_gives_way() {
    let mut queue = Queue::new(Limits {
        count: 3,
        bytes: usize::MAX,
    });
    let now = Instant::now();
    push_all(&mut queue, &["a", "a", "b"], now);
    let in_flight = queue.take(now).expect("a");
    queue.push(entry(0, notice("c")), now);
    queue.push(entry(0, notice("d")), now);
    assert_eq!(
        names(&queue.take_dead()),
        [("a".to_owned(), Death::Overflow), ("b".to_owned(), Death::Overflow)]
    );
    queue.settle(&in_flight, Settle::Done, now);
    let mut rest = Vec::new();
    while let Some(job) = queue.take(now) {
        rest.push(job.event.stream.name.to_string());
        queue.settle(&job, Settle::Done, now);
    }
    assert_eq!((rest, queue.len()), (vec!["c".to_owned(), "d".to_owned()], 0));
}

#[test]
fn bytes_are_bounded_too() {
    let size = notice("a").size();
    let mut queue = Queue::new(Limits {
        count: 1000,
        bytes: size * 10,
    });
    let now = Instant::now();
    (0..100).for_each(|_| queue.push(entry(0, notice("a")), now));
    assert_eq!((queue.len(), queue.take_dead().len()), (10, 90));
}

#[test]
fn a_full_queue_that_nobody_empties_keeps_its_indexes_small() {
    let mut queue = Queue::new(Limits {
        count: 10,
        bytes: usize::MAX,
    });
    let now = Instant::now();
    for n in 0..10_000 {
        queue.push(entry(0, notice(&format!("s{n}"))), now);
    }
    assert_eq!((queue.len(), queue.lanes.len()), (10, 10));
    assert!(queue.arrivals.len() < 100 && queue.ready.len() < 100);
}

#[test]
fn changed_urls_start_the_schedule_over_and_drop_what_has_none() {
    let (mut queue, now) = queue();
    queue.push(entry(0, notice("a")), now);
    queue.push(entry(1, notice("a")), now);
    for _ in 0..2 {
        let job = queue.take(now).expect("both");
        queue.settle(&job, retry(3600 * S), now);
    }
    queue.urls_changed(1);
    assert_eq!(names(&queue.take_dead()), [("a".to_owned(), Death::EndpointGone)]);
    let job = queue.take(now).expect("at once");
    assert_eq!((job.key.url(), queue.failures(&job)), (0, 0));
}

#[test]
fn an_answer_of_the_old_url_does_not_suspend_the_new_one() {
    let (mut queue, now) = queue();
    queue.push(entry(0, notice("a")), now);
    let job = queue.take(now).expect("a");
    queue.urls_changed(1);
    queue.settle(&job, Settle::Suspend, now);
    assert!(queue.take(now).is_some());
}

#[test]
fn a_closed_queue_gives_everything_up_and_takes_no_more() {
    let (mut queue, now) = queue();
    push_all(&mut queue, &["a", "b"], now);
    let job = queue.take(now).expect("a");
    queue.close();
    queue.settle(&job, Settle::Done, now);
    queue.push(entry(0, notice("c")), now);
    assert_eq!((queue.len(), queue.take_dead().len()), (0, 3));
    assert!(queue.take(now).is_none());
}

#[test]
fn moving_is_what_came_before_the_mark_and_does_not_wait() {
    let (mut queue, now) = queue();
    let yes: fn(&Event) -> bool = |_| true;
    let mark = queue.mark();
    queue.push(entry(0, notice("a")), now);
    let stream = notice("a").stream.clone();
    assert!(!queue.moving(&stream, mark, 1, yes), "it came later");
    let mark = queue.mark();
    assert!(queue.moving(&stream, mark, 1, yes));
    assert!(!queue.moving(&stream, mark, 1, |event| event.kind == HookEvent::Stop));
    assert!(!queue.moving(&notice("b").stream, mark, 1, yes));
    let job = queue.take(now).expect("a");
    assert!(queue.moving(&stream, mark, 1, yes));
    queue.settle(&job, retry(S), now);
    assert!(!queue.moving(&stream, mark, 1, yes), "it waits for its next try");
}

#[derive(Clone, Debug)]
enum Step {
    Push { url: usize, stream: u8 },
    Take,
    Settle { which: usize, settle: Settle },
    Wake(u8),
    Pass(u64),
    Urls(usize),
    Resume(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let settle = prop_oneof![
        4 => Just(Settle::Done),
        3 => (0..7200_u64, any::<bool>()).prop_map(|(s, held)| Settle::Retry { wait: S * u32::try_from(s).unwrap(), held }),
        1 => Just(Settle::Dead),
        1 => Just(Settle::Suspend),
    ];
    prop_oneof![
        6 => (0..2_usize, 0..4_u8).prop_map(|(url, stream)| Step::Push { url, stream }),
        6 => Just(Step::Take),
        6 => (0..64_usize, settle).prop_map(|(which, settle)| Step::Settle { which, settle }),
        1 => (0..4_u8).prop_map(Step::Wake),
        2 => (0..4000_u64).prop_map(Step::Pass),
        1 => (1..3_usize).prop_map(Step::Urls),
        1 => (0..2_usize).prop_map(Step::Resume),
    ]
}

proptest! {
    /// Whatever happens: nothing is lost unseen, and no lane goes back in order.
    #[test]
    fn random_interleavings_keep_order_and_lose_nothing(steps in prop::collection::vec(step(), 1..400)) {
        let mut queue = Queue::new(Limits { count: 20, bytes: usize::MAX });
        let mut now = Instant::now();
        let mut flying: Vec<Job> = Vec::new();
        let mut highest: HashMap<LaneKey, u64> = HashMap::new();
        let (mut pushed, mut done, mut dead) = (0_usize, 0_usize, 0_usize);
        for step in steps {
            match step {
                Step::Push { url, stream } => {
                    queue.push(entry(url, notice(&stream.to_string())), now);
                    pushed += 1;
                }
                Step::Take => if let Some(job) = queue.take(now) {
                    let last = highest.insert(LaneKey::clone(&job.key), job.number);
                    prop_assert!(last.is_none_or(|last| last <= job.number), "{:?} went back", job.key);
                    flying.push(job);
                },
                Step::Settle { which, settle } if !flying.is_empty() => {
                    let job = flying.swap_remove(which % flying.len());
                    let before = queue.len();
                    queue.settle(&job, settle, now);
                    done += usize::from(settle == Settle::Done) * (before - queue.len());
                }
                Step::Settle { .. } => {}
                Step::Wake(stream) => queue.wake(&notice(&stream.to_string()).stream.clone(), 2),
                Step::Pass(seconds) => now += Duration::from_secs(seconds),
                Step::Urls(count) => queue.urls_changed(count),
                Step::Resume(url) => queue.resume(url),
            }
            dead += queue.take_dead().len();
            let notices: usize = queue.lanes.values().map(|lane| lane.notices.len()).sum();
            prop_assert_eq!(notices, queue.len());
            prop_assert_eq!(pushed, done + dead + queue.len());
            prop_assert!(queue.len() <= 20 + flying.len());
        }
        // Left alone, everything that is neither in flight nor suspended is told in the end.
        for job in flying.drain(..) {
            queue.settle(&job, Settle::Done, now);
        }
        queue.urls_changed(2);
        while let Some(job) = queue.take(now) {
            queue.settle(&job, Settle::Done, now);
        }
        prop_assert_eq!(queue.len(), 0);
        prop_assert_eq!((queue.bytes, queue.sleeping.len()), (0, 0));
    }
}
