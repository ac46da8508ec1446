use super::*;
use crate::link::Ledger;
use headgate_control::{LedgerEntry, LedgerLine};
use parking_lot::Mutex;

fn id(n: u128) -> Uuid {
    Uuid::from_u128(n)
}

fn open(n: u128) -> LedgerLine {
    LedgerLine::Open(LedgerEntry {
        session: id(n),
        sealed: format!("sealed-{n}"),
    })
}

fn closed(n: u128) -> LedgerLine {
    LedgerLine::Closed { session: id(n) }
}

/// A pod that said this, and whose stream broke then.
fn pod(name: &str, lines: impl IntoIterator<Item = LedgerLine>) -> Kept {
    let (mut ledger, now) = (Ledger::default(), Instant::now());
    ledger.opened(now);
    lines.into_iter().for_each(|line| ledger.take(line, now));
    ledger.broke();
    Kept {
        pod: ObjectKey::new("n", name),
        uid: format!("uid-{name}"),
        ledger: Arc::new(Mutex::new(ledger)),
    }
}

fn stream(n: u128, pod: &str) -> LostStream {
    LostStream {
        stream: ObjectKey::new("n", format!("stream-{n}")),
        session: id(n),
        sealed: Some(format!("sealed-{n}").as_str().into()),
        pod: pod.into(),
        pod_uid: format!("uid-{pod}"),
        live: false,
    }
}

fn heir(name: &str) -> Heir {
    Heir {
        name: name.into(),
        heard: true,
        able: true,
    }
}

/// One server whose pods go.
struct World {
    scene: Scene,
    estate: Estate,
}

impl World {
    fn new(gone: Vec<Kept>, streams: Vec<LostStream>, heirs: &[&str]) -> Self {
        Self {
            scene: Scene {
                here: vec![],
                gone,
                streams,
                heirs: heirs.iter().map(|h| heir(h)).collect(),
                now: Instant::now(),
            },
            estate: Estate::of("u"),
        }
    }

    fn after(&mut self, seconds: u64) -> Outcome {
        self.scene.now = self.scene.now.checked_add(Duration::from_secs(seconds)).unwrap();
        self.scene.look(&mut self.estate)
    }

    /// Sessions in the configuration, each with its adopter.
    fn orphans(&self) -> Vec<(u128, String)> {
        let orphans = self.estate.orphans();
        orphans.into_iter().map(|o| (o.session.as_u128(), o.adopter)).collect()
    }
}

fn pairs(all: &[(u128, &str)]) -> Vec<(u128, String)> {
    all.iter().map(|(n, pod)| (*n, (*pod).to_owned())).collect()
}

#[test]
fn a_pod_that_is_gone_leaves_what_it_had_open_after_a_grace() {
    let gone = pod("live-0", [open(1), open(2), LedgerLine::Synced, closed(1), open(3)]);
    let mut world = World::new(vec![gone], vec![], &["live-1", "live-2"]);
    let first = world.after(0);
    assert_eq!((first.again, first.inherited), (Some(Duration::from_secs(3)), 0));
    assert!(world.orphans().is_empty());
    let then = world.after(3);
    assert_eq!(then.inherited, 2);
    assert_eq!(world.orphans(), pairs(&[(2, "live-1"), (3, "live-1")]));
    assert!(
        then.note()
            .unwrap()
            .message
            .starts_with("live-0 gone with open sessions")
    );
    assert_eq!(world.after(1).note(), None, "it is said once");
    world.estate.adopted(&[id(2), id(3)]);
    assert!(world.orphans().is_empty());
    assert_eq!(world.after(60).ledgers, ["uid-live-0"]);
}

#[test]
fn a_pod_that_ended_in_peace_leaves_nothing() {
    let gone = pod("live-0", [open(1), LedgerLine::Synced, closed(1)]);
    let mut world = World::new(vec![gone], vec![stream(1, "live-0")], &["live-1"]);
    let first = world.after(0);
    assert_eq!(
        first.streams,
        [ObjectKey::new("n", "stream-1")],
        "its Stream may go at once"
    );
    assert_eq!(world.after(5).inherited, 0);
    assert!(world.orphans().is_empty() && world.estate.is_settled(&id(1)));
}

#[test]
fn a_stream_outlives_an_operator_that_never_heard_its_pod() {
    let mut world = World::new(vec![], vec![stream(7, "live-0")], &["live-1"]);
    let first = world.after(0);
    assert_eq!((first.inherited, first.streams.len()), (1, 1));
    assert_eq!(world.orphans(), pairs(&[(7, "live-1")]));
    world.after(1);
    assert_eq!(world.orphans(), pairs(&[(7, "live-1")]), "once");
    world.estate.adopted(&[id(7)]);
    let done = world.after(1);
    assert_eq!(done.streams.len(), 1, "its Stream may go");
    assert!(world.orphans().is_empty() && world.estate.is_settled(&id(7)));
    world.scene.streams.clear();
    world.after(1);
    assert!(world.estate.is_empty(), "and is forgotten with it");
}

#[test]
fn a_session_that_both_name_is_handed_over_once() {
    let gone = pod("live-0", [open(1), LedgerLine::Synced]);
    let mut world = World::new(vec![gone], vec![stream(1, "live-0"), stream(2, "live-0")], &["live-1"]);
    assert_eq!(world.after(0).inherited, 0, "the pod may still speak");
    assert_eq!(world.after(3).inherited, 2, "the second was too new for its ledger");
    assert_eq!(world.orphans(), pairs(&[(1, "live-1"), (2, "live-1")]));
}

#[test]
fn a_pod_that_still_speaks_is_waited_for_and_what_it_closes_is_no_orphan() {
    let speaking = pod("live-0", [open(1), open(2), LedgerLine::Synced]);
    let mut world = World::new(vec![speaking.clone()], vec![], &["live-1"]);
    world.after(0);
    speaking.ledger.lock().opened(world.scene.now);
    let alive = |at: Instant, line| speaking.ledger.lock().take(line, at);
    let later = world.scene.now.checked_add(Duration::from_secs(5)).unwrap();
    alive(later, open(1));
    alive(later, open(2));
    alive(later, closed(1));
    alive(later, LedgerLine::Synced);
    assert_eq!(world.after(5).inherited, 0);
    speaking.ledger.lock().broke();
    assert_eq!(world.after(1).inherited, 1);
    assert_eq!(world.orphans(), pairs(&[(2, "live-1")]));
}

#[test]
fn what_waits_goes_to_the_next_pod_when_its_adopter_goes() {
    let gone = pod("live-0", [open(1), LedgerLine::Synced]);
    let mut world = World::new(vec![gone], vec![], &[]);
    world.after(0);
    world.after(3);
    assert!(
        world.orphans().is_empty() && world.estate.count() == 1,
        "nobody is there yet"
    );
    for name in ["live-2", "live-1"] {
        world.scene.heirs = vec![heir(name)];
        world.after(1);
        assert_eq!(world.orphans(), pairs(&[(1, name)]));
    }
}

#[test]
fn a_session_that_a_pod_has_is_left_alone() {
    let mut lost = stream(1, "live-0");
    lost.live = true;
    let mut world = World::new(vec![], vec![lost], &["live-1"]);
    assert_eq!(world.after(10), Outcome::default());
    assert!(world.orphans().is_empty());
}

#[test]
fn a_pod_that_only_lost_its_labels_keeps_what_it_has() {
    let gone = pod("live-0", [open(1), LedgerLine::Synced]);
    let mut world = World::new(vec![gone], vec![stream(1, "live-0"), stream(2, "live-1")], &["live-2"]);
    let suspects: Vec<(String, String)> = world.scene.suspects().into_iter().collect();
    let pair = |name: &str| (format!("uid-{name}"), name.to_owned());
    assert_eq!(suspects, [pair("live-0"), pair("live-1")]);
    world.scene.leave_out(&["uid-live-0".to_owned()].into());
    world.after(5);
    assert_eq!(world.orphans(), pairs(&[(2, "live-2")]));
}

#[test]
fn what_closes_a_session_is_read_only_when_nobody_remembers_it() {
    let unread = |n, pod| LostStream {
        sealed: None,
        ..stream(n, pod)
    };
    let gone = pod("live-0", [open(1), LedgerLine::Synced]);
    let mut world = World::new(vec![gone], vec![unread(1, "live-0"), unread(2, "live-9")], &["live-1"]);
    world.after(0);
    let mut then = world.after(3);
    let read = ObjectKey::new("n", "stream-2");
    assert_eq!((then.inherited, then.unread.as_slice()), (1, [read.clone()].as_slice()));
    let text = |session: u128| [(read.clone(), (id(session).to_string(), Arc::from("sealed-2")))].into();
    world.scene.read(&text(3));
    assert_eq!(
        world.after(0).unread,
        std::slice::from_ref(&read),
        "it is about another session by now"
    );
    world.scene.read(&text(2));
    then.and(world.after(0));
    assert_eq!((then.inherited, then.unread.len()), (2, 0));
    assert_eq!(world.orphans(), pairs(&[(1, "live-1"), (2, "live-1")]));
}
