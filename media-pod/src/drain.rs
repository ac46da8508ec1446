//! On the way out: who leaves when. Decisions only, no clock and no hub; [`Pod`](crate::pod::Pod) does what they say.
//!
//! The operator can ask for a drain and take that back; a signal is for good. Publishers stay until the deadline. Viewers leave before, one after the other,
//! because their players find the stream in another pod of the server, which gets it from here as long as its publisher is here. Where there is no other
//! pod they stay as long as there is something to see.

mod shell;

pub use shell::{Draining, Final, MARGIN};

use headgate_hub::{Newcomers, SessionKind};
use std::time::Duration;
use tokio::time::Instant;
use uuid::Uuid;

/// Before the first viewer is told to leave, and while new ones are still let in: by then the Service leads elsewhere.
const HEAD_START: Duration = Duration::from_secs(2);
/// Over this time viewers are told to leave, so that they do not all come to the other pods at once.
const SPREAD: Duration = Duration::from_secs(10);
/// So long before the deadline publishers are asked to come back elsewhere, where their protocol can ask that.
const LAST_CALL: Duration = Duration::from_secs(10);

/// A drain that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drain {
    since: Instant,
    /// The operator's deadline; it may change, and be taken back.
    asked: Option<Instant>,
    /// The deadline of a signal.
    told: Option<Instant>,
}

/// A session that is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// Which.
    pub session: Uuid,
    /// What it does.
    pub kind: SessionKind,
    /// Its stream has a publisher in this pod.
    pub live: bool,
}

/// What is to be done at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// These sessions end now.
    pub end: Vec<Uuid>,
    /// Publishers are asked to come back elsewhere.
    pub last_call: bool,
    /// Nothing keeps the process any more.
    pub done: bool,
    /// When to look again, unless a session comes to its end before.
    pub next: Option<Instant>,
}

impl Drain {
    /// Because the operator asks for it. Asked again, only the deadline changes.
    pub fn ask(before: Option<Self>, now: Instant, deadline: Instant) -> Self {
        let before = before.unwrap_or_else(|| Self::new(now));
        Self {
            asked: Some(deadline),
            ..before
        }
    }

    /// Because the process is told to end. An earlier deadline of the operator's stays.
    pub fn tell(before: Option<Self>, now: Instant, deadline: Instant) -> Self {
        let before = before.unwrap_or_else(|| Self::new(now));
        Self {
            told: Some(deadline),
            ..before
        }
    }

    /// The operator takes back what it asked for. What a signal said stays.
    pub fn take_back(self) -> Option<Self> {
        self.told?;
        Some(Self { asked: None, ..self })
    }

    fn new(since: Instant) -> Self {
        Self {
            since,
            asked: None,
            told: None,
        }
    }

    /// When the last session ends.
    pub fn deadline(&self) -> Instant {
        let deadlines = [self.asked, self.told];
        deadlines.into_iter().flatten().min().unwrap_or(self.since)
    }

    /// Whether the process ends with the drain.
    pub fn is_final(&self) -> bool {
        self.told.is_some()
    }

    /// The deadline of a signal, whatever the operator said.
    pub fn final_deadline(&self) -> Option<Instant> {
        self.told
    }

    /// What is to be done at `now`. `alone`: the server has no other pod.
    pub fn step(&self, now: Instant, alone: bool, occupants: &[Occupant]) -> Step {
        let deadline = self.deadline();
        if now >= deadline {
            return Step {
                end: occupants.iter().map(|o| o.session).collect(),
                last_call: true,
                done: self.is_final(),
                next: None,
            };
        }
        let leaves = |o: &Occupant| Some((o.session, self.leaves(o, alone)?));
        let (due, later): (Vec<_>, Vec<_>) = occupants.iter().filter_map(leaves).partition(|(_, at)| *at <= now);
        let last_call = before(deadline, LAST_CALL.min(self.share(4)));
        let led_elsewhere = self.head_start();
        let settled = if alone { self.since } else { led_elsewhere };
        let times = [last_call, settled, led_elsewhere, deadline];
        let coming = later.iter().map(|(_, at)| *at).chain(times);
        Step {
            end: due.into_iter().map(|(session, _)| session).collect(),
            last_call: now >= last_call,
            done: self.is_final() && occupants.is_empty() && now >= settled,
            next: coming.filter(|at| *at > now).min(),
        }
    }

    /// Who may come in at `now`: players as long as the Service may still lead them here. A publisher would have to move again.
    pub fn newcomers(&self, now: Instant) -> Newcomers {
        if now < self.head_start().min(self.deadline()) {
            Newcomers::Players
        } else {
            Newcomers::None
        }
    }

    /// When a session is told to leave before the deadline; `None` when it is not.
    fn leaves(&self, occupant: &Occupant, alone: bool) -> Option<Instant> {
        match (occupant.kind, alone) {
            (SessionKind::Publish, _) => None,
            (SessionKind::Play, true) => (!occupant.live).then_some(self.since),
            (SessionKind::Play, false) => {
                let spread = SPREAD.min(self.share(2));
                Some(after(self.head_start(), part(spread, occupant.session)))
            }
        }
    }

    /// One of so many parts of the whole time.
    fn share(&self, parts: u32) -> Duration {
        let length = self.deadline().saturating_duration_since(self.since);
        length.checked_div(parts).unwrap_or_default()
    }

    fn head_start(&self) -> Instant {
        after(self.since, HEAD_START.min(self.share(4)))
    }
}

/// A share of `whole` that is the same for a session each time, and another for the next: the last bytes of its id are random.
fn part(whole: Duration, session: Uuid) -> Duration {
    let [.., high, low] = session.into_bytes();
    let share = u32::from(u16::from_be_bytes([high, low]));
    whole.saturating_mul(share).checked_div(1 << 16).unwrap_or_default()
}

fn after(at: Instant, wait: Duration) -> Instant {
    at.checked_add(wait).unwrap_or(at)
}

fn before(at: Instant, time: Duration) -> Instant {
    at.checked_sub(time).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn seconds(n: u32) -> Duration {
        SECOND.saturating_mul(n)
    }

    fn session(kind: SessionKind, share: u16, live: bool) -> Occupant {
        let session = Uuid::from_u128(u128::from(share));
        Occupant { session, kind, live }
    }

    fn told(at: Instant, length: u32) -> Drain {
        Drain::tell(None, at, after(at, seconds(length)))
    }

    #[test]
    fn publishers_stay_to_the_deadline_and_viewers_leave_one_after_the_other() {
        let start = Instant::now();
        let publisher = session(SessionKind::Publish, 7, true);
        let viewers = [0, 0x4000, 0x8000, 0xffff].map(|share| session(SessionKind::Play, share, true));
        let all = [&[publisher][..], &viewers].concat();
        let left = |at: f64| {
            let end = told(start, 600).step(start + SECOND.mul_f64(at), false, &all).end;
            all.iter().map(|o| u8::from(!end.contains(&o.session))).sum::<u8>()
        };
        let times = [0.0, 1.9, 2.1, 4.6, 7.1, 12.1, 599.0, 600.0];
        assert_eq!(times.map(left), [5, 5, 4, 3, 2, 1, 1, 0]);
    }

    #[test]
    fn in_a_short_drain_all_viewers_leave_well_before_the_deadline() {
        let start = Instant::now();
        let last = [session(SessionKind::Play, 0xffff, true)];
        let step = |at| told(start, 4).step(start + seconds(at), false, &last).end.len();
        assert_eq!([0, 2, 3].map(step), [0, 0, 1]);
    }

    #[test]
    fn where_there_is_no_other_pod_viewers_stay_as_long_as_there_is_something_to_see() {
        let start = Instant::now();
        let drain = told(start, 600);
        let (watching, waiting) = (
            session(SessionKind::Play, 1, true),
            session(SessionKind::Play, 2, false),
        );
        let step = drain.step(start + seconds(300), true, &[watching, waiting]);
        assert_eq!((step.end, step.done), (vec![waiting.session], false));
        assert!(drain.step(start, true, &[]).done);
    }

    #[test]
    fn a_drain_of_the_operators_does_not_end_the_process_and_can_be_taken_back() {
        let start = Instant::now();
        let drain = Drain::ask(None, start, start + seconds(60));
        assert!(!drain.step(start + seconds(90), false, &[]).done);
        assert_eq!(drain.take_back(), None);
        let later = Drain::ask(Some(drain), start + seconds(30), start + seconds(120));
        assert_eq!((later.deadline(), later.since), (start + seconds(120), start));
    }

    #[test]
    fn a_signal_is_for_good_and_never_makes_the_deadline_later() {
        let start = Instant::now();
        let asked = Drain::ask(None, start, start + seconds(60));
        let both = Drain::tell(Some(asked), start + seconds(10), start + seconds(600));
        assert_eq!((both.deadline(), both.is_final()), (start + seconds(60), true));
        let back = both.take_back().unwrap();
        assert_eq!(back.deadline(), start + seconds(600));
        assert_eq!(
            Drain::ask(Some(back), start, start + seconds(900)).deadline(),
            back.deadline()
        );
    }

    #[test]
    fn the_process_ends_with_the_last_session_once_newcomers_go_elsewhere() {
        let start = Instant::now();
        let drain = told(start, 600);
        assert_eq!(
            [0, 1, 2].map(|at| drain.step(start + seconds(at), false, &[]).done),
            [false, false, true]
        );
        let publisher = [session(SessionKind::Publish, 0, true)];
        assert!(!drain.step(start + seconds(599), false, &publisher).done);
        assert!(drain.step(start + seconds(600), false, &publisher).done);
        assert!(told(start, 0).step(start, false, &publisher).done);
    }

    #[test]
    fn players_come_in_until_the_service_leads_them_elsewhere() {
        let start = Instant::now();
        let step = |length, alone, at: f64| {
            let (drain, now) = (told(start, length), start + SECOND.mul_f64(at));
            let step = drain.step(now, alone, &[session(SessionKind::Publish, 0, true)]);
            (drain.newcomers(now), step.next.map(|next| (next - start).as_secs_f64()))
        };
        for alone in [true, false] {
            assert_eq!(step(600, alone, 0.0), (Newcomers::Players, Some(2.0)));
            assert_eq!(step(600, alone, 2.0).0, Newcomers::None);
        }
        assert_eq!(step(4, false, 0.9).0, Newcomers::Players);
        assert_eq!(step(4, false, 1.0).0, Newcomers::None);
        assert_eq!(step(0, false, 0.0).0, Newcomers::None);
    }

    #[test]
    fn publishers_are_asked_to_move_only_near_the_deadline() {
        let start = Instant::now();
        let called = |length, at| told(start, length).step(start + seconds(at), false, &[]).last_call;
        assert_eq!([0, 589, 590].map(|at| called(600, at)), [false, false, true]);
        assert_eq!([0, 5, 6].map(|at| called(8, at)), [false, false, true]);
    }

    proptest! {
        #[test]
        fn whoever_follows_the_steps_empties_the_pod_in_time(
            length in 0_u32..2_000, alone: bool, shares in prop::collection::vec((any::<u16>(), any::<bool>(), any::<bool>()), 0..20),
        ) {
            let start = Instant::now();
            let drain = told(start, length);
            let kind = |publishes| if publishes { SessionKind::Publish } else { SessionKind::Play };
            let mut left: Vec<_> = shares.iter().enumerate().map(|(i, (share, publishes, live))| Occupant {
                session: Uuid::from_u128((i as u128) << 16 | u128::from(*share)), kind: kind(*publishes), live: *live,
            }).collect();
            let mut now = start;
            for _ in 0..100 {
                let step = drain.step(now, alone, &left);
                if now < drain.deadline() {
                    prop_assert!(left.iter().filter(|o| step.end.contains(&o.session)).all(|o| o.kind == SessionKind::Play));
                }
                left.retain(|o| !step.end.contains(&o.session));
                if step.done {
                    break;
                }
                prop_assert!(step.next.is_none_or(|next| next > now));
                now = step.next.unwrap_or(now);
            }
            prop_assert!(left.is_empty() && now <= drain.deadline());
            prop_assert!(drain.step(now, alone, &left).done);
        }
    }
}
