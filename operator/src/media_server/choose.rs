//! Which pods to make, drain, take back and delete. Pure.
//!
//! Idle pods go first. A pod that has publishers and must go is drained: it keeps them until they end or its deadline is over.
//! Nothing here takes the number of pods that serve below what is wanted: for a pod that goes another is made first.

use std::cmp::Reverse;
use std::collections::BTreeSet;

/// Pods that may be there beyond what is wanted while others are replaced, those that drain not counted.
const SURGE: usize = 1;

/// What is known of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodState {
    /// The number in its name.
    pub ordinal: usize,
    /// How far it is.
    pub phase: Phase,
    /// Made from a template that is not the server's any more.
    pub outdated: bool,
    /// Its node is to be emptied.
    pub cordoned: bool,
    /// Will not get ready unless somebody does something.
    pub stuck: bool,
    /// Whom it serves.
    pub load: Load,
    /// It has been asked whom it serves, and its answer is on the way.
    pub asked: bool,
    /// How far its drain is.
    pub drain: Drain,
}

/// How far a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Its node was given up: nothing runs there any more.
    Lost,
    /// On its way out.
    Deleting,
    /// Ended, or never came up, a moment ago.
    EndedNow,
    /// Ended for good.
    Ended,
    /// Its node has not answered for a while; it may be back, with all its sessions.
    Away,
    /// Not ready.
    Starting,
    /// Takes sessions.
    Ready,
}

/// Whom a pod serves; the last one matters most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Load {
    /// Nobody.
    Idle,
    /// Viewers only.
    Viewers,
    /// Nobody can tell, so publishers must be thought of.
    Unknown,
    /// Publishers.
    Live,
}

/// How far a pod's drain is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Drain {
    /// It is not drained.
    No,
    /// It is, and has somebody left.
    Going,
    /// It is, and nobody is left for whom it should wait.
    Empty,
    /// It is, and its deadline is over.
    Over,
}

/// What is wanted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Target<'a> {
    /// So many pods.
    pub replicas: usize,
    /// Ordinals whose names somebody else holds.
    pub reserved: &'a [usize],
}

/// Why a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It ended.
    Ended,
    /// Its node was given up.
    Lost,
    /// There are more than wanted.
    Surplus,
    /// Its template is not the server's any more.
    Outdated,
    /// Its node is to be emptied.
    Cordoned,
}

/// How long a pod that is deleted has to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Grace {
    /// As its spec says.
    Own,
    /// Enough to say goodbye: its deadline is over.
    Short,
    /// None: nobody is there to use it.
    None,
}

/// A pod to take away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delete {
    /// Which.
    pub ordinal: usize,
    /// Why.
    pub why: Why,
    /// How fast.
    pub grace: Grace,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Ordinals of pods to make.
    pub create: Vec<usize>,
    /// Pods to take away.
    pub delete: Vec<Delete>,
    /// Pods to be told that they are on their way out.
    pub drain: Vec<(usize, Why)>,
    /// Pods to be told that they are not, after all.
    pub undrain: Vec<usize>,
    /// Pods that are on their way out, as they should be.
    pub draining: Vec<(usize, Why)>,
    /// Pods that go as soon as others are there for them.
    pub wait: Vec<(usize, Why)>,
}

/// Decides.
pub fn choose(pods: &[PodState], target: &Target<'_>) -> Choice {
    let mut choice = Choice::default();
    choice.clear(pods);
    let alive = pods.iter().filter(|p| p.is_alive()).copied();
    let (away, near): (Vec<PodState>, Vec<PodState>) = alive.partition(|p| p.phase == Phase::Away);
    let (mut serving, going): (Vec<PodState>, Vec<PodState>) = near.into_iter().partition(|p| p.drain == Drain::No);
    choice.take_back(&mut serving, &going, target.replicas);
    choice.leave_alone(&away, target.replicas);
    choice.go_on(going.iter().chain(&away));
    choice.take(&mut serving, target.replicas);
    choice.fill(&serving, pods, target);
    choice
}

impl PodState {
    fn is_alive(&self) -> bool {
        matches!(self.phase, Phase::Away | Phase::Starting | Phase::Ready)
    }

    /// May stay for ever.
    fn fits(&self) -> bool {
        !self.outdated && !self.cordoned
    }

    fn why(&self) -> Why {
        match (self.cordoned, self.outdated) {
            (true, _) => Why::Cordoned,
            (_, true) => Why::Outdated,
            _ => Why::Surplus,
        }
    }

    /// The first ones stay: a publisher weighs more than anything else.
    fn worth(&self) -> impl Ord + use<> {
        (Reverse(self.load), self.phase != Phase::Ready, self.ordinal)
    }
}

impl Choice {
    /// Whether all is as it should be.
    pub fn is_settled(&self) -> bool {
        *self == Self::default()
    }

    fn delete(&mut self, pod: &PodState, why: Why, grace: Grace) {
        let ordinal = pod.ordinal;
        self.delete.push(Delete { ordinal, why, grace });
    }

    /// What has ended, and what is where nothing runs any more.
    fn clear(&mut self, pods: &[PodState]) {
        for pod in pods {
            match pod.phase {
                Phase::Lost => self.delete(pod, Why::Lost, Grace::None),
                Phase::Ended => self.delete(pod, Why::Ended, Grace::Own),
                Phase::EndedNow => self.wait.push((pod.ordinal, Why::Ended)),
                _ => {}
            }
        }
    }

    /// A pod that drains and fits again serves on instead of a new one, or instead of an idle one, which then is too many.
    fn take_back(&mut self, serving: &mut Vec<PodState>, going: &[PodState], replicas: usize) {
        let mut able: Vec<PodState> = going
            .iter()
            .filter(|p| p.fits() && p.drain != Drain::Over)
            .copied()
            .collect();
        able.sort_by_key(PodState::worth);
        let fitting = |all: &[PodState]| all.iter().filter(|p| p.fits()).count();
        let mut staying: Vec<PodState> = serving.iter().filter(|p| p.fits()).copied().collect();
        staying.sort_by_key(PodState::worth);
        let mut idle = staying.iter().take(replicas).filter(|p| p.load == Load::Idle).count();
        for pod in able {
            if fitting(serving) >= replicas {
                if pod.load != Load::Live || idle == 0 {
                    break;
                }
                idle = idle.saturating_sub(1);
            }
            self.undrain.push(pod.ordinal);
            // It says so itself when it takes sessions again.
            let phase = Phase::Starting;
            serving.push(PodState { phase, ..pod });
        }
    }

    /// Pods whose node does not answer are left alone, up to the number that is wanted: when they come back, the usual rule takes
    /// the surplus.
    fn leave_alone(&mut self, away: &[PodState], replicas: usize) {
        let staying = away.iter().filter(|p| p.drain == Drain::No);
        let mut staying: Vec<&PodState> = staying.collect();
        staying.sort_by_key(|p| p.worth());
        for pod in staying.split_off(replicas.min(staying.len())) {
            self.drain.push((pod.ordinal, pod.why()));
        }
    }

    fn go_on<'a>(&mut self, pods: impl Iterator<Item = &'a PodState>) {
        for pod in pods.filter(|p| p.drain != Drain::No) {
            if self.undrain.contains(&pod.ordinal) {
                continue;
            }
            match pod.drain {
                Drain::Over => self.delete(pod, pod.why(), Grace::Short),
                Drain::Empty => self.delete(pod, pod.why(), Grace::Own),
                _ => self.draining.push((pod.ordinal, pod.why())),
            }
        }
    }

    /// Pods that do not fit, and those beyond the number that is wanted, the least worth first. One that serves goes only while
    /// enough others do.
    fn take(&mut self, serving: &mut Vec<PodState>, replicas: usize) {
        let (mut fitting, mut leaving): (Vec<PodState>, Vec<PodState>) = serving.iter().partition(|p| p.fits());
        fitting.sort_by_key(PodState::worth);
        leaving.extend(fitting.split_off(replicas.min(fitting.len())));
        leaving.sort_by_key(|p| (!p.cordoned, Reverse(p.worth())));
        let no_room = fitting.iter().any(|p| p.stuck);
        for pod in leaving {
            let others = serving
                .iter()
                .filter(|p| p.phase == Phase::Ready && p.ordinal != pod.ordinal);
            let enough = others.count() >= replicas;
            // Who empties a node waits for its publishers, and would wait for ever where no other node takes a pod.
            let pressed = pod.cordoned && pod.load > Load::Viewers && no_room;
            let useless = pod.load == Load::Idle && pod.phase != Phase::Ready;
            if pod.asked || !(enough || pressed || useless) {
                self.wait.push((pod.ordinal, pod.why()));
                continue;
            }
            serving.retain(|p| p.ordinal != pod.ordinal);
            if pod.load == Load::Idle {
                self.delete(&pod, pod.why(), Grace::Own);
            } else {
                self.drain.push((pod.ordinal, pod.why()));
            }
        }
    }

    /// Lowest ordinals first. The name of a pod that is not gone yet cannot be used again, so its successor has another.
    fn fill(&mut self, serving: &[PodState], pods: &[PodState], target: &Target<'_>) {
        let fitting = serving.iter().filter(|p| p.fits()).count();
        // One that ended at once is not made again at once.
        let soon = pods.iter().filter(|p| p.phase == Phase::EndedNow).count();
        let old = serving.iter().filter(|p| !p.fits() && p.phase == Phase::Ready).count();
        let there = fitting.saturating_add(soon);
        let missing = target.replicas.saturating_sub(there);
        let room = target
            .replicas
            .saturating_add(SURGE)
            .saturating_sub(there.saturating_add(old));
        let held: BTreeSet<usize> = pods
            .iter()
            .map(|p| p.ordinal)
            .chain(target.reserved.iter().copied())
            .collect();
        let free = (0..).filter(|ordinal| !held.contains(ordinal));
        self.create = free.take(missing.min(room)).collect();
    }
}

#[cfg(test)]
mod laws;
#[cfg(test)]
mod tests;
