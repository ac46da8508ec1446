//! Tables of cases.

use super::Phase::{Away, Deleting, Ended, EndedNow, Lost, Ready, Starting};
use super::*;

pub(super) fn pod(ordinal: usize, phase: Phase) -> PodState {
    PodState {
        ordinal,
        phase,
        outdated: false,
        cordoned: false,
        stuck: false,
        load: Load::Idle,
        asked: false,
        drain: Drain::No,
    }
}

fn ready(ordinal: usize) -> PodState {
    pod(ordinal, Ready)
}

fn live(pod: PodState) -> PodState {
    PodState {
        load: Load::Live,
        ..pod
    }
}

fn watched(pod: PodState) -> PodState {
    PodState {
        load: Load::Viewers,
        ..pod
    }
}

fn unknown(pod: PodState) -> PodState {
    PodState {
        load: Load::Unknown,
        ..pod
    }
}

fn old(pod: PodState) -> PodState {
    PodState { outdated: true, ..pod }
}

fn cordoned(pod: PodState) -> PodState {
    PodState { cordoned: true, ..pod }
}

fn stuck(ordinal: usize) -> PodState {
    PodState {
        stuck: true,
        ..pod(ordinal, Starting)
    }
}

/// Not ready any more, as a pod that drains says of itself.
pub(super) fn drained(pod: PodState, drain: Drain) -> PodState {
    PodState {
        drain,
        phase: Starting,
        ..pod
    }
}

/// As a line: `+1` make, `-1 Why` delete (`!` short, `!!` at once), `~1 Why` drain, `<1` take back, `.1 Why` drains, `?1 Why` waits.
pub(super) fn line(choice: &Choice) -> String {
    let mut words: Vec<String> = Vec::new();
    words.extend(choice.undrain.iter().map(|o| format!("<{o}")));
    words.extend(choice.drain.iter().map(|(o, why)| format!("~{o} {why:?}")));
    words.extend(choice.draining.iter().map(|(o, why)| format!(".{o} {why:?}")));
    words.extend(choice.delete.iter().map(|d| {
        let haste = match d.grace {
            Grace::Own => "",
            Grace::Short => "!",
            Grace::None => "!!",
        };
        format!("-{} {:?}{haste}", d.ordinal, d.why)
    }));
    words.extend(choice.wait.iter().map(|(o, why)| format!("?{o} {why:?}")));
    words.extend(choice.create.iter().map(|o| format!("+{o}")));
    words.join(", ")
}

fn check(cases: &[(&str, usize, Vec<PodState>, &str)]) {
    for (name, replicas, pods, expected) in cases {
        let target = Target {
            replicas: *replicas,
            reserved: &[],
        };
        assert_eq!(line(&choose(pods, &target)), *expected, "{name}");
    }
}

#[test]
fn pods_come_and_go() {
    check(&[
        ("nothing there", 1, vec![], "+0"),
        ("several at once", 3, vec![], "+0, +1, +2"),
        ("all there", 1, vec![ready(0)], ""),
        ("starting counts", 1, vec![pod(0, Starting)], ""),
        (
            "one that does not come up is not made again and again",
            1,
            vec![stuck(0)],
            "",
        ),
        ("nothing wanted", 0, vec![], ""),
        ("one more", 2, vec![ready(0)], "+1"),
        ("a gap is filled", 3, vec![ready(0), ready(2)], "+1"),
        ("one on its way out", 1, vec![pod(0, Deleting)], "+1"),
        ("one ended", 1, vec![pod(0, Ended)], "-0 Ended, +1"),
        ("one ended just now", 1, vec![pod(0, EndedNow)], "?0 Ended"),
    ]);
    let held = Target {
        replicas: 1,
        reserved: &[0],
    };
    assert_eq!(line(&choose(&[], &held)), "+1", "a name that another holds");
}

#[test]
fn scaling_down_takes_idle_pods_first_and_drains_the_rest() {
    check(&[
        ("stop while idle", 0, vec![ready(0)], "-0 Surplus"),
        ("stop while live", 0, vec![live(ready(0))], "~0 Surplus"),
        ("stop while watched", 0, vec![watched(ready(0))], "~0 Surplus"),
        ("stop while nobody can tell", 0, vec![unknown(ready(0))], "~0 Surplus"),
        (
            "and until somebody can",
            0,
            vec![PodState {
                asked: true,
                ..unknown(ready(0))
            }],
            "?0 Surplus",
        ),
        (
            "the idle one of two goes",
            1,
            vec![ready(0), live(ready(1))],
            "-0 Surplus",
        ),
        (
            "the watched one goes before the live one",
            1,
            vec![live(ready(0)), watched(ready(1))],
            "~1 Surplus",
        ),
        (
            "the higher of two idle ones goes",
            1,
            vec![ready(0), ready(1)],
            "-1 Surplus",
        ),
        (
            "the higher of two live ones drains",
            1,
            vec![live(ready(0)), live(ready(1))],
            "~1 Surplus",
        ),
        (
            "the one that is not ready goes",
            1,
            vec![pod(0, Starting), ready(1)],
            "-0 Surplus",
        ),
        (
            "none that serves goes before another does",
            1,
            vec![ready(0), live(pod(1, Starting))],
            "?0 Surplus",
        ),
        (
            "many at once",
            1,
            vec![ready(0), ready(1), live(ready(2)), ready(3)],
            "-3 Surplus, -1 Surplus, -0 Surplus",
        ),
    ]);
}

#[test]
fn a_drain_goes_on_until_nobody_is_left_or_its_deadline_is_over() {
    let draining = |drain| drained(live(ready(1)), drain);
    check(&[
        (
            "somebody is left",
            1,
            vec![live(ready(0)), draining(Drain::Going)],
            ".1 Surplus",
        ),
        (
            "nobody is left",
            1,
            vec![live(ready(0)), draining(Drain::Empty)],
            "-1 Surplus",
        ),
        (
            "the deadline is over",
            1,
            vec![live(ready(0)), draining(Drain::Over)],
            "-1 Surplus!",
        ),
        (
            "outdated, deadline over",
            1,
            vec![ready(0), old(draining(Drain::Over))],
            "-1 Outdated!",
        ),
        (
            "its place is taken meanwhile",
            1,
            vec![old(draining(Drain::Going))],
            ".1 Outdated, +0",
        ),
    ]);
}

#[test]
fn a_pod_that_fits_again_serves_on() {
    let draining = |ordinal| drained(live(ready(ordinal)), Drain::Going);
    check(&[
        ("scaled up again", 2, vec![live(ready(0)), draining(1)], "<1"),
        ("scaled up by more", 3, vec![live(ready(0)), draining(1)], "<1, +2"),
        (
            "not when its deadline is over",
            2,
            vec![live(ready(0)), drained(live(ready(1)), Drain::Over)],
            "-1 Surplus!, +2",
        ),
        (
            "the idle one goes in its place",
            1,
            vec![ready(0), draining(1)],
            "<1, ?0 Surplus",
        ),
        (
            "and is gone when it serves",
            1,
            vec![ready(0), live(ready(1))],
            "-0 Surplus",
        ),
        (
            "not in the place of one with viewers",
            1,
            vec![watched(ready(0)), draining(1)],
            ".1 Surplus",
        ),
        (
            "nor while it is watched only",
            1,
            vec![ready(0), drained(watched(ready(1)), Drain::Going)],
            ".1 Surplus",
        ),
        (
            "nor when no pod is wanted",
            0,
            vec![ready(0), draining(1)],
            ".1 Surplus, -0 Surplus",
        ),
        (
            "nor when it does not fit",
            1,
            vec![ready(0), old(draining(1))],
            ".1 Outdated",
        ),
        (
            "template reverted",
            2,
            vec![old(ready(2)), old(stuck(3)), draining(0)],
            "<0, -3 Outdated, ?2 Outdated, +1",
        ),
    ]);
}

#[test]
fn a_rollout_makes_a_new_pod_before_an_old_one_goes() {
    check(&[
        ("first a new one", 1, vec![old(ready(0))], "?0 Outdated, +1"),
        ("it starts", 1, vec![old(ready(0)), pod(1, Starting)], "?0 Outdated"),
        ("it is ready", 1, vec![old(ready(0)), ready(1)], "-0 Outdated"),
        (
            "it is ready and the old one is live",
            1,
            vec![old(live(ready(0))), ready(1)],
            "~0 Outdated",
        ),
        ("it does not come up", 1, vec![old(ready(0)), stuck(1)], "?0 Outdated"),
        (
            "one at a time",
            2,
            vec![old(ready(0)), old(ready(1))],
            "?1 Outdated, ?0 Outdated, +2",
        ),
        (
            "the idle one first",
            2,
            vec![old(ready(0)), old(live(ready(1))), ready(2)],
            "-0 Outdated, ?1 Outdated, +3",
        ),
        (
            "the next one",
            2,
            vec![old(live(ready(1))), ready(2), ready(3)],
            "~1 Outdated",
        ),
        (
            "drains hold nothing up",
            2,
            vec![drained(old(live(ready(0))), Drain::Going), old(ready(1)), ready(2)],
            ".0 Outdated, ?1 Outdated, +3",
        ),
        ("one that never got ready", 1, vec![old(stuck(0))], "-0 Outdated, +1"),
        (
            "sick old ones are no obstacle",
            1,
            vec![old(unknown(pod(0, Starting)))],
            "?0 Outdated, +1",
        ),
        (
            "none while another is not ready",
            2,
            vec![old(ready(0)), pod(1, Starting)],
            "?0 Outdated, +2",
        ),
        (
            "reverted: the new one goes, all old ones serve on",
            2,
            vec![ready(0), live(ready(1)), old(stuck(2))],
            "-2 Outdated",
        ),
        (
            "scaled down meanwhile",
            1,
            vec![old(ready(0)), old(ready(1))],
            "-1 Outdated, ?0 Outdated, +2",
        ),
        (
            "stopped meanwhile",
            0,
            vec![old(ready(0)), old(live(ready(1)))],
            "~1 Outdated, -0 Outdated",
        ),
    ]);
}

#[test]
fn a_node_that_is_to_be_emptied_is_left_for_another_one() {
    check(&[
        (
            "first a new one elsewhere",
            1,
            vec![cordoned(live(ready(0)))],
            "?0 Cordoned, +1",
        ),
        (
            "it is ready",
            1,
            vec![cordoned(live(ready(0))), ready(1)],
            "~0 Cordoned",
        ),
        ("idle", 1, vec![cordoned(ready(0)), ready(1)], "-0 Cordoned"),
        (
            "before what is outdated",
            1,
            vec![old(ready(0)), cordoned(live(ready(1))), ready(2)],
            "~1 Cordoned, -0 Outdated",
        ),
        (
            "no other node takes one: who is live has its deadline all the same",
            1,
            vec![cordoned(live(ready(0))), stuck(1)],
            "~0 Cordoned",
        ),
        (
            "and who is idle serves until it is evicted",
            1,
            vec![cordoned(ready(0)), stuck(1)],
            "?0 Cordoned",
        ),
        (
            "uncordoned",
            1,
            vec![drained(live(ready(0)), Drain::Going), ready(1)],
            "<0, ?1 Surplus",
        ),
    ]);
}

#[test]
fn a_node_that_is_lost_is_given_up_only_by_somebody_else() {
    check(&[
        ("given up", 1, vec![live(pod(0, Lost))], "-0 Lost!!, +1"),
        (
            "out of reach: another one is made",
            1,
            vec![unknown(pod(0, Away))],
            "+1",
        ),
        ("and that is all", 1, vec![unknown(pod(0, Away)), ready(1)], ""),
        (
            "back: the idle one goes",
            1,
            vec![live(ready(0)), ready(1)],
            "-1 Surplus",
        ),
        (
            "not in an endless row",
            1,
            vec![unknown(pod(0, Away)), unknown(pod(1, Away))],
            "~1 Surplus, +2",
        ),
        (
            "out of reach and not wanted",
            0,
            vec![unknown(pod(0, Away))],
            "~0 Surplus",
        ),
        (
            "out of reach past its deadline",
            0,
            vec![PodState {
                drain: Drain::Over,
                ..unknown(pod(0, Away))
            }],
            "-0 Surplus!",
        ),
    ]);
}
