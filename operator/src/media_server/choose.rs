//! Which pods to make, take away and leave: idle ones go first, and a live publisher is never cut.

use std::collections::BTreeSet;

/// What is known of one pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodState {
    /// The number in its name.
    pub ordinal: usize,
    /// How far it is.
    pub phase: Phase,
    /// Made from a template that is not the server's any more.
    pub outdated: bool,
    /// Has a publisher, or nobody can tell.
    pub busy: bool,
}

/// How far a pod is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// On its way out.
    Deleting,
    /// Ended, or never came up, a moment ago.
    EndedNow,
    /// Ended for good.
    Ended,
    /// Not ready.
    Starting,
    /// Takes sessions.
    Ready,
}

/// Why a pod goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It ended.
    Ended,
    /// There are more than wanted.
    Surplus,
    /// Its template is not the server's any more.
    Outdated,
}

/// What to do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Choice {
    /// Ordinals of pods to make.
    pub create: Vec<usize>,
    /// Ordinals of pods to take away.
    pub delete: Vec<(usize, Why)>,
    /// Ordinals of pods that go as soon as they may.
    pub wait: Vec<(usize, Why)>,
}

impl Choice {
    /// Whether all is as it should be.
    pub fn is_settled(&self) -> bool {
        *self == Self::default()
    }
}

/// Decides. `reserved` are ordinals whose names somebody else holds.
pub fn choose(pods: &[PodState], reserved: &[usize], replicas: usize) -> Choice {
    let mut choice = Choice::default();
    for pod in pods {
        match pod.phase {
            Phase::Ended => choice.delete.push((pod.ordinal, Why::Ended)),
            Phase::EndedNow => choice.wait.push((pod.ordinal, Why::Ended)),
            _ => {}
        }
    }
    let alive = |pod: &&PodState| matches!(pod.phase, Phase::Starting | Phase::Ready);
    let mut kept: Vec<PodState> = pods.iter().filter(alive).copied().collect();
    choice.take_surplus(&mut kept, replicas);
    choice.replace_outdated(&mut kept, pods);
    choice.fill(kept.len(), pods, reserved, replicas);
    choice
}

impl Choice {
    fn take_surplus(&mut self, kept: &mut Vec<PodState>, replicas: usize) {
        // The last ones stay: busy before idle, current before outdated, ready before starting, low ordinals before high.
        kept.sort_by_key(|p| (!p.busy, p.outdated, p.phase != Phase::Ready, p.ordinal));
        for pod in kept.split_off(replicas.min(kept.len())) {
            if pod.busy {
                self.wait.push((pod.ordinal, Why::Surplus));
            } else {
                self.delete.push((pod.ordinal, Why::Surplus));
            }
        }
    }

    /// One at a time, and only while no other is missing or on its way out; one that never got ready goes at once.
    fn replace_outdated(&mut self, kept: &mut Vec<PodState>, all: &[PodState]) {
        let calm = self.delete.is_empty() && all.iter().all(|p| p.phase == Phase::Ready);
        let mut replaced = false;
        kept.retain(|pod| {
            if !pod.outdated {
                return true;
            }
            let may_go = !pod.busy && (pod.phase == Phase::Starting || (calm && !replaced));
            if may_go {
                replaced = true;
                self.delete.push((pod.ordinal, Why::Outdated));
            } else {
                self.wait.push((pod.ordinal, Why::Outdated));
            }
            !may_go
        });
    }

    /// Lowest ordinals first. The name of a pod that is not gone yet cannot be used again, so its successor may have another.
    fn fill(&mut self, kept: usize, pods: &[PodState], reserved: &[usize], replicas: usize) {
        let held: BTreeSet<usize> = pods.iter().map(|p| p.ordinal).chain(reserved.iter().copied()).collect();
        let surplus = self.wait.iter().filter(|(_, why)| *why == Why::Surplus).count();
        let missing = replicas.saturating_sub(kept).saturating_sub(surplus);
        let free = (0..).filter(|ordinal| !held.contains(ordinal));
        self.create = free.take(missing).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::Phase::{Deleting, Ended, EndedNow, Ready, Starting};
    use super::*;
    use proptest::prelude::*;

    fn pod(ordinal: usize, phase: Phase) -> PodState {
        PodState {
            ordinal,
            phase,
            outdated: false,
            busy: false,
        }
    }

    fn busy(pod: PodState) -> PodState {
        PodState { busy: true, ..pod }
    }

    fn old(pod: PodState) -> PodState {
        PodState { outdated: true, ..pod }
    }

    fn choice(create: &[usize], delete: &[(usize, Why)], wait: &[(usize, Why)]) -> Choice {
        Choice {
            create: create.into(),
            delete: delete.into(),
            wait: wait.into(),
        }
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn a_table_of_cases() {
        use Why::{Ended as E, Outdated as O, Surplus as S};
        let cases = [
            ("nothing there", vec![], vec![], 1, choice(&[0], &[], &[])),
            ("all there", vec![pod(0, Ready)], vec![], 1, choice(&[], &[], &[])),
            (
                "starting counts",
                vec![pod(0, Starting)],
                vec![],
                1,
                choice(&[], &[], &[]),
            ),
            ("nothing wanted", vec![], vec![], 0, choice(&[], &[], &[])),
            ("name held by another", vec![], vec![0], 1, choice(&[1], &[], &[])),
            (
                "one on its way out",
                vec![pod(0, Deleting)],
                vec![],
                1,
                choice(&[1], &[], &[]),
            ),
            (
                "one ended",
                vec![pod(0, Ended)],
                vec![],
                1,
                choice(&[1], &[(0, E)], &[]),
            ),
            (
                "one ended just now",
                vec![pod(0, EndedNow)],
                vec![],
                1,
                choice(&[1], &[], &[(0, E)]),
            ),
            (
                "stop while idle",
                vec![pod(0, Ready)],
                vec![],
                0,
                choice(&[], &[(0, S)], &[]),
            ),
            (
                "stop while live",
                vec![busy(pod(0, Ready))],
                vec![],
                0,
                choice(&[], &[], &[(0, S)]),
            ),
            (
                "the idle one of two goes",
                vec![pod(0, Ready), busy(pod(1, Ready))],
                vec![],
                1,
                choice(&[], &[(0, S)], &[]),
            ),
            (
                "the higher of two idle ones goes",
                vec![pod(0, Ready), pod(1, Ready)],
                vec![],
                1,
                choice(&[], &[(1, S)], &[]),
            ),
            (
                "the outdated one of two idle ones goes",
                vec![old(pod(0, Ready)), pod(1, Ready)],
                vec![],
                1,
                choice(&[], &[(0, S)], &[]),
            ),
            (
                "outdated and idle",
                vec![old(pod(0, Ready))],
                vec![],
                1,
                choice(&[1], &[(0, O)], &[]),
            ),
            (
                "outdated and live",
                vec![old(busy(pod(0, Ready)))],
                vec![],
                1,
                choice(&[], &[], &[(0, O)]),
            ),
            (
                "outdated and never got ready",
                vec![old(pod(0, Starting))],
                vec![],
                1,
                choice(&[1], &[(0, O)], &[]),
            ),
            (
                "one outdated at a time",
                vec![old(pod(0, Ready)), old(pod(1, Ready))],
                vec![],
                2,
                choice(&[2], &[(0, O)], &[(1, O)]),
            ),
            (
                "none while another is not ready",
                vec![old(pod(0, Ready)), pod(1, Starting)],
                vec![],
                2,
                choice(&[], &[], &[(0, O)]),
            ),
        ];
        for (name, pods, reserved, replicas, expected) in cases {
            assert_eq!(choose(&pods, &reserved, replicas), expected, "{name}");
        }
    }

    fn any_pods() -> impl Strategy<Value = Vec<PodState>> {
        let phase = prop_oneof![Just(Deleting), Just(EndedNow), Just(Ended), Just(Starting), Just(Ready)];
        proptest::collection::btree_map(0..8_usize, (phase, any::<bool>(), any::<bool>()), 0..8).prop_map(|pods| {
            let one = |(ordinal, (phase, outdated, busy))| PodState {
                ordinal,
                phase,
                outdated,
                busy,
            };
            pods.into_iter().map(one).collect()
        })
    }

    proptest! {
        #[test]
        fn a_live_publisher_is_never_cut(pods in any_pods(), replicas in 0..5_usize) {
            for (ordinal, why) in choose(&pods, &[], replicas).delete {
                let pod = pods.iter().find(|p| p.ordinal == ordinal).unwrap();
                prop_assert!(why == Why::Ended || !pod.busy, "{pod:?}");
            }
        }

        #[test]
        fn never_more_pods_than_wanted_are_made_and_never_under_a_name_that_is_held(
            pods in any_pods(), reserved in proptest::collection::vec(0..8_usize, 0..3), replicas in 0..5_usize,
        ) {
            let choice = choose(&pods, &reserved, replicas);
            let gone: BTreeSet<usize> = choice.delete.iter().map(|(o, _)| *o).collect();
            let staying = pods.iter().filter(|p| matches!(p.phase, Starting | Ready) && !gone.contains(&p.ordinal)).count();
            prop_assert!(choice.create.is_empty() || staying.saturating_add(choice.create.len()) <= replicas);
            for ordinal in &choice.create {
                prop_assert!(!reserved.contains(ordinal) && pods.iter().all(|p| p.ordinal != *ordinal));
            }
        }

        #[test]
        fn doing_what_was_chosen_comes_to_rest(pods in any_pods(), replicas in 0..5_usize) {
            let mut pods = pods;
            for _ in 0..40 {
                let choice = choose(&pods, &[], replicas);
                pods.retain(|p| p.phase != Deleting && !choice.delete.iter().any(|(o, _)| *o == p.ordinal));
                pods.extend(choice.create.iter().map(|o| pod(*o, Ready)));
                for p in &mut pods {
                    p.busy = false;
                    p.phase = match p.phase { EndedNow => Ended, Starting => Ready, other => other };
                }
            }
            prop_assert!(choose(&pods, &[], replicas).is_settled());
            prop_assert_eq!(pods.len(), replicas);
        }
    }
}
