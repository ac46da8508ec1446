//! What holds of every choice.

use super::Phase::{Away, Deleting, Ended, EndedNow, Lost, Ready, Starting};
use super::tests::{drained, line, pod};
use super::*;
use proptest::prelude::*;

fn any_pod() -> impl Strategy<Value = PodState> {
    let phase = prop_oneof![
        1 => Just(Lost), 1 => Just(Deleting), 1 => Just(EndedNow), 1 => Just(Ended),
        1 => Just(Away), 3 => Just(Starting), 6 => Just(Ready),
    ];
    let load = prop_oneof![
        Just(Load::Idle),
        Just(Load::Viewers),
        Just(Load::Unknown),
        Just(Load::Live)
    ];
    let drain =
        prop_oneof![3 => Just(Drain::No), 1 => Just(Drain::Going), 1 => Just(Drain::Empty), 1 => Just(Drain::Over)];
    (phase, load, drain, any::<[bool; 4]>()).prop_map(|(phase, load, drain, [outdated, cordoned, stuck, asked])| {
        PodState {
            ordinal: 0,
            phase,
            outdated,
            cordoned,
            stuck: stuck && phase == Starting,
            load,
            asked: asked && load == Load::Unknown,
            drain,
        }
    })
}

fn any_pods() -> impl Strategy<Value = Vec<PodState>> {
    proptest::collection::btree_map(0..8_usize, any_pod(), 0..8).prop_map(|pods| {
        pods.into_iter()
            .map(|(ordinal, pod)| PodState { ordinal, ..pod })
            .collect()
    })
}

/// What the world makes of a choice within some time: what was deleted is gone, what drains is ready no more, what was made starts.
fn settle(pods: &mut Vec<PodState>, choice: &Choice) {
    pods.retain(|p| p.phase != Deleting);
    for pod in pods.iter_mut() {
        if choice.delete.iter().any(|d| d.ordinal == pod.ordinal) {
            pod.phase = Deleting;
        } else if choice.drain.iter().any(|(o, _)| *o == pod.ordinal) {
            *pod = drained(*pod, Drain::Going);
        } else if choice.undrain.contains(&pod.ordinal) {
            pod.drain = Drain::No;
        }
        pod.phase = match pod.phase {
            EndedNow => Ended,
            Away => Ready,
            Starting if pod.drain == Drain::No && !pod.stuck => Ready,
            other => other,
        };
    }
    pods.extend(choice.create.iter().map(|o| pod(*o, Starting)));
}

/// Publishers and viewers end, deadlines pass.
fn quieter(pods: &mut [PodState]) {
    for pod in pods {
        pod.load = Load::Idle;
        pod.asked = false;
        pod.drain = match pod.drain {
            Drain::No => Drain::No,
            _ => Drain::Empty,
        };
    }
}

fn serve(pods: &[PodState]) -> usize {
    pods.iter().filter(|p| p.phase == Ready && p.drain == Drain::No).count()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn no_live_publisher_is_cut_before_its_deadline(pods in any_pods(), replicas in 0..5_usize) {
        for delete in choose(&pods, &Target { replicas, reserved: &[] }).delete {
            let pod = pods.iter().find(|p| p.ordinal == delete.ordinal).unwrap();
            let over = matches!(pod.drain, Drain::Over | Drain::Empty);
            prop_assert!(matches!(pod.phase, Ended | Lost) || over || pod.load == Load::Idle, "{pod:?}");
            prop_assert!(delete.grace != Grace::None || pod.phase == Lost);
            prop_assert!(delete.grace != Grace::Short || pod.drain == Drain::Over);
        }
    }

    #[test]
    fn our_own_hand_never_takes_those_that_serve_below_what_is_wanted(pods in any_pods(), replicas in 0..5_usize) {
        let choice = choose(&pods, &Target { replicas, reserved: &[] });
        let pressed = |p: &PodState| p.cordoned && p.load > Load::Viewers && pods.iter().any(|p| p.stuck);
        let goes = |p: &PodState| choice.delete.iter().any(|d| d.ordinal == p.ordinal)
            || (choice.drain.iter().any(|(o, _)| *o == p.ordinal) && !pressed(p));
        let left: Vec<PodState> = pods.iter().filter(|p| !goes(p)).copied().collect();
        prop_assert!(serve(&left) >= serve(&pods).min(replicas), "{}", line(&choice));
    }

    #[test]
    fn a_pod_has_one_fate_and_a_new_one_a_free_name(
        pods in any_pods(), reserved in proptest::collection::vec(0..8_usize, 0..3), replicas in 0..5_usize,
    ) {
        let choice = choose(&pods, &Target { replicas, reserved: &reserved });
        let mut fates: Vec<usize> = choice.delete.iter().map(|d| d.ordinal).chain(choice.undrain.iter().copied()).collect();
        for list in [&choice.drain, &choice.draining, &choice.wait] {
            fates.extend(list.iter().map(|(o, _)| *o));
        }
        let distinct: BTreeSet<usize> = fates.iter().copied().collect();
        let twice = choice.wait.iter().filter(|(o, _)| choice.undrain.contains(o)).count();
        prop_assert_eq!(distinct.len().saturating_add(twice), fates.len(), "{}", line(&choice));
        for ordinal in &choice.create {
            prop_assert!(!reserved.contains(ordinal) && pods.iter().all(|p| p.ordinal != *ordinal));
        }
    }

    #[test]
    fn there_are_never_more_pods_than_wanted_and_one(pods in any_pods(), replicas in 0..5_usize) {
        let choice = choose(&pods, &Target { replicas, reserved: &[] });
        let mut then = pods.clone();
        settle(&mut then, &choice);
        let counted = |p: &&PodState| p.fits() && p.drain == Drain::No && matches!(p.phase, Starting | Ready);
        let fitting = then.iter().filter(counted).count();
        prop_assert!(choice.create.is_empty() || fitting <= replicas.saturating_add(pods.len()));
        prop_assert!(choice.create.len() <= replicas);
    }

    #[test]
    fn what_was_chosen_comes_to_rest_with_what_is_wanted(pods in any_pods(), replicas in 0..5_usize) {
        let mut pods: Vec<PodState> = pods.into_iter().map(|p| PodState { stuck: p.stuck && !p.fits(), ..p }).collect();
        for _ in 0..60 {
            let before = serve(&pods);
            let choice = choose(&pods, &Target { replicas, reserved: &[] });
            settle(&mut pods, &choice);
            prop_assert!(serve(&pods) >= before.min(replicas), "{} of {before}", serve(&pods));
            quieter(&mut pods);
        }
        prop_assert_eq!(line(&choose(&pods, &Target { replicas, reserved: &[] })), "");
        prop_assert_eq!(pods.len(), replicas);
        prop_assert!(pods.iter().all(|p| p.phase == Ready && p.fits()));
    }

    #[test]
    fn publishers_who_stay_do_not_keep_it_from_coming_to_rest(pods in any_pods(), replicas in 0..5_usize) {
        let mut pods: Vec<PodState> = pods.into_iter()
            .map(|p| PodState { stuck: false, asked: false, load: if p.load == Load::Unknown { Load::Live } else { p.load }, ..p }).collect();
        let mut last = String::new();
        for _ in 0..60 {
            let choice = choose(&pods, &Target { replicas, reserved: &[] });
            last = line(&choice);
            settle(&mut pods, &choice);
        }
        prop_assert_eq!(last, line(&choose(&pods, &Target { replicas, reserved: &[] })), "it goes on and on");
        prop_assert!(serve(&pods) >= replicas);
    }
}
