//! Publishers that start in several pods in any order, with their messages in any order: exactly one lives in the end.

use super::support::*;
use crate::contest::Answer;
use crate::live::Live;
use crate::registry::{Established, Registry};
use crate::*;
use proptest::prelude::*;
use std::sync::Arc;
use uuid::Uuid;

/// What is on its way.
#[derive(Clone, Debug)]
enum Message {
    Claim { from: usize, to: usize, session: Uuid },
    Answer { at: usize, session: Uuid, answer: Answer },
    Evict { to: usize, by: Uuid },
}

/// A newcomer that has its name in its own pod.
struct Asking {
    session: Arc<Session>,
    stream: Arc<crate::stream::Stream>,
    missing: usize,
}

/// Some pods of one server, and what is between them.
struct Model {
    takeover: bool,
    pods: Vec<Registry>,
    asking: Vec<Option<Asking>>,
    messages: Vec<Message>,
    /// Nobody reaches it, and it reaches nobody.
    cut_off: Option<usize>,
    refused: usize,
}

impl Model {
    fn new(pods: usize, takeover: bool, cut_off: Option<usize>) -> Self {
        Self {
            takeover,
            pods: (0..pods).map(|_| Registry::default()).collect(),
            asking: (0..pods).map(|_| None).collect(),
            messages: Vec::new(),
            cut_off,
            refused: 0,
        }
    }

    fn reaches(&self, one: usize, other: usize) -> bool {
        self.cut_off.is_none_or(|pod| pod != one && pod != other)
    }

    /// A publisher comes.
    fn start(&mut self, at: usize, id: u128) {
        let session = Arc::new(newcomer(id));
        let request = Request {
            kind: SessionKind::Publish,
            connection: Arc::clone(&session.connection),
            name: name("x"),
            param: String::new(),
        };
        let permit = Permit {
            takeover: self.takeover,
            ..Permit::as_asked(&request)
        };
        let Ok(stream) = self.pods[at].reserve(&session, &permit, &Settings::default()) else {
            self.refused += 1;
            return;
        };
        let others: Vec<usize> = (0..self.pods.len()).filter(|other| *other != at).collect();
        self.asking[at] = Some(Asking {
            session: Arc::clone(&session),
            stream,
            missing: others.len(),
        });
        for to in others {
            let session = session.id;
            let reached = self.reaches(at, to);
            let claim = Message::Claim { from: at, to, session };
            let answer = Answer::Free;
            self.messages.push(if reached {
                claim
            } else {
                Message::Answer { at, session, answer }
            });
        }
    }

    fn deliver(&mut self, index: usize) {
        match self.messages.swap_remove(index) {
            Message::Claim { from, to, session } => {
                let answer = self.pods[to].contend(&name("x"), session, self.takeover);
                self.messages.push(Message::Answer {
                    at: from,
                    session,
                    answer,
                });
            }
            Message::Answer { at, session, answer } => self.answered(at, session, answer),
            Message::Evict { to, by } => {
                if let Some(live) = self.pods[to].displaced(&name("x"), by) {
                    self.pods[to].remove(&live);
                }
            }
        }
    }

    fn answered(&mut self, at: usize, session: Uuid, answer: Answer) {
        let Some(asking) = self.asking[at].as_mut().filter(|a| a.session.id == session) else {
            return;
        };
        asking.missing -= 1;
        let last = asking.missing == 0;
        if answer == Answer::Taken || (last && !self.pods[at].secure(&asking.session)) {
            self.pods[at].release(session);
            self.asking[at] = None;
            self.refused += 1;
        } else if last {
            self.enter(at);
        }
    }

    fn enter(&mut self, at: usize) {
        let Asking { session, stream, .. } = self.asking[at].take().unwrap();
        let live = Arc::new(Live::new(Arc::clone(&session), stream));
        if let Established::In(Some(old), _) = self.pods[at].establish(&live) {
            self.pods[at].remove(&old);
        }
        for to in 0..self.pods.len() {
            if self.takeover && to != at && self.reaches(at, to) {
                self.messages.push(Message::Evict { to, by: session.id });
            }
        }
    }

    /// Publishers that live, in pods that reach each other.
    fn living(&self) -> usize {
        let pods = self.pods.iter().enumerate().filter(|(at, _)| Some(*at) != self.cut_off);
        pods.filter(|(_, pod)| pod.publisher(&name("x")).is_some()).count()
    }
}

fn newcomer(id: u128) -> Session {
    Session {
        id: Uuid::from_u128(id),
        kind: SessionKind::Publish,
        connection: Arc::new(connection("")),
        name: name("x"),
        param: String::new(),
        key: None,
        started: jiff::Timestamp::now(),
    }
}

/// Starts each of `starts` (pod, id) and delivers everything, in the order that `choose` says: it is given how many things may happen.
fn run(model: &mut Model, mut starts: Vec<(usize, u128)>, mut choose: impl FnMut(usize) -> usize) {
    loop {
        let possible = starts.len() + model.messages.len();
        if possible == 0 {
            return;
        }
        let chosen = choose(possible);
        if chosen < starts.len() {
            let (at, id) = starts.remove(chosen);
            model.start(at, id);
        } else {
            model.deliver(chosen - starts.len());
        }
    }
}

/// Every order there is of what two or three do; goes through them as an odometer does.
fn every_order(pods: usize, starts: &[(usize, u128)], takeover: bool, limit: usize) -> usize {
    let (mut path, mut orders): (Vec<(usize, usize)>, usize) = (Vec::new(), 0);
    loop {
        let mut model = Model::new(pods, takeover, None);
        let mut depth = 0;
        run(&mut model, starts.to_vec(), |possible| {
            if depth == path.len() {
                path.push((0, possible));
            }
            depth += 1;
            path[depth - 1].0
        });
        assert_eq!(model.living(), 1, "{path:?}");
        orders += 1;
        while path.last().is_some_and(|(chosen, possible)| chosen + 1 == *possible) {
            path.pop();
        }
        let Some(last) = path.last_mut().filter(|_| orders < limit) else {
            return orders;
        };
        last.0 += 1;
    }
}

#[test]
fn of_two_in_two_pods_one_lives_in_every_order_of_things() {
    for takeover in [false, true] {
        for starts in [[(0, 1), (1, 2)], [(0, 2), (1, 1)]] {
            assert!(every_order(2, &starts, takeover, usize::MAX) >= 20);
        }
    }
}

#[test]
fn of_three_in_two_pods_one_lives_in_every_order_of_things() {
    for takeover in [false, true] {
        every_order(2, &[(0, 1), (1, 2), (0, 3)], takeover, 200_000);
        every_order(2, &[(0, 3), (1, 2), (0, 1)], takeover, 200_000);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]
    #[test]
    fn exactly_one_lives_however_many_come_and_in_whatever_order(
        pods in 2..5_usize, comers in prop::collection::vec((0..5_usize, 0..1_000_u128), 1..7), takeover in any::<bool>(),
        choices in prop::collection::vec(any::<prop::sample::Index>(), 200), cut_off in prop::option::weighted(0.3, 0..5_usize)
    ) {
        let starts: Vec<_> = comers.iter().enumerate().map(|(n, (at, id))| (at % pods, id * 10 + n as u128)).collect();
        let cut_off = cut_off.map(|pod| pod % pods);
        let reachable = starts.iter().any(|(at, _)| Some(*at) != cut_off);
        let mut model = Model::new(pods, takeover, cut_off);
        let mut choices = choices.iter().cycle();
        run(&mut model, starts, |possible| choices.next().unwrap().index(possible));
        prop_assert_eq!(model.living(), usize::from(reachable));
        prop_assert!(model.asking.iter().all(Option::is_none));
    }
}
