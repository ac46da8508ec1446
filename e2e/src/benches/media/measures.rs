//! How each part is measured.

use super::Wire;
use super::part::Case;
use super::player::WIRES;
use super::series::{Load, Series};
use super::server::Bench;
use super::{figures_of, kilobytes};
use crate::benches::results::Figure;
use crate::error::Result;

/// What other outputs may cost above RTMP.
const OTHERS: f64 = 1.1;
/// Publishers, where nobody plays.
const PUBLISHERS: usize = 200;
/// What the cheapest peer paid for a publisher, beside its machine's floor without merging: 622 and 345 µs/s; 620 are promised.
const PUBLISHING: f64 = 620.0;
const PUBLISHING_BESIDE_FLOOR: f64 = PUBLISHING / 345.0;
/// What may come with growth.
const FLAT: f64 = 1.3;

/// Every output beside the floor.
pub async fn window(bench: &Bench, players: usize, window: u64, must: f64) -> Result<Vec<Figure>> {
    let wires: Vec<Wire> = WIRES.into_iter().filter(|wire| bench.wants(*wire)).collect();
    let (mut floor, mut runs) = (Series::default(), vec![Series::default(); wires.len()]);
    for _ in 0..bench.passes {
        floor.push(bench.floor(&Case::new(window, Wire::Raw, players)).await?);
        for (wire, series) in wires.iter().zip(&mut runs) {
            series.push(bench.server(&Case::new(window, *wire, players)).await?);
        }
    }
    let mut figures = costs("floor", &floor);
    for (wire, series) in wires.iter().zip(&runs) {
        let case = Case::new(window, *wire, players);
        let goal = if *wire == Wire::Rtmp { must } else { must * OTHERS };
        figures.extend(costs(case.name(), series));
        for load in Load::ALL {
            let ratio = series.beside(&floor, |one, floor| load.of(one).each / load.of(floor).each);
            let what = format!("{}: CPU of a player / floor{}", case.name(), load.suffix());
            figures.push(Figure::new(what, ratio, "").goal(goal));
        }
        let memory = format!("{}: resident memory of a player", case.name());
        figures.push(Figure::new(memory, series.median(kilobytes), "kB").goal(8.0));
        figures.extend(figures_of(&case, series));
    }
    Ok(figures)
}

fn costs(name: impl std::fmt::Display, series: &Series) -> Vec<Figure> {
    let cost = |load: Load| {
        let what = format!("{name}: CPU of a player{}", load.suffix());
        Figure::new(what, series.median(|run| load.of(run).each), "µs/s")
    };
    Load::ALL.map(cost).to_vec()
}

/// Players that come fast.
pub async fn joins(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for wire in [Wire::Rtmp, Wire::Flv].into_iter().filter(|wire| bench.wants(*wire)) {
        let mut case = Case::new(100, wire, 500);
        case.stay = Some(4);
        let outcome = bench.churn(&case, 20).await?;
        let name = case.name();
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let (live, lost) = (outcome.live as f64, outcome.dead.saturating_add(outcome.starved) as f64);
        figures.extend([
            Figure::new(format!("{name}: joined and had their stream"), live, "players"),
            Figure::new(format!("{name}: dead or starved"), lost, "players").goal(0.0),
            Figure::new(format!("{name}: join to key frame, p50"), outcome.join.0, "ms"),
            Figure::new(format!("{name}: join to key frame, p95"), outcome.join.1, "ms"),
            Figure::new(format!("{name}: of one core"), outcome.asleep.spent / 1e4, "%"),
        ]);
    }
    Ok(figures)
}

/// Publishers beside the floor without merging.
pub async fn publish(bench: &Bench) -> Result<Vec<Figure>> {
    let mut case = Case::new(100, Wire::Rtmp, 0);
    case.streams = PUBLISHERS;
    let (mut floor, mut runs) = (Series::default(), Series::default());
    for _ in 0..bench.passes {
        floor.push(bench.floor(&Case::new(0, Wire::Raw, 1000)).await?);
        runs.push(bench.server(&case).await?);
    }
    #[allow(clippy::cast_precision_loss, reason = "hundreds")]
    let count = PUBLISHERS as f64;
    let mut figures = Vec::new();
    for load in Load::ALL {
        let suffix = load.suffix();
        let cost = runs.median(|run| load.of(run).spent / count);
        let beside = runs.beside(&floor, |run, floor| load.of(run).spent / count / load.of(floor).each);
        let floor = floor.median(|run| load.of(run).each);
        figures.extend([
            Figure::new(format!("floor without merging: CPU of a player{suffix}"), floor, "µs/s"),
            Figure::new(format!("CPU of a publisher{suffix}"), cost, "µs/s").goal(PUBLISHING),
            Figure::new(format!("CPU of a publisher / that floor{suffix}"), beside, "").goal(PUBLISHING_BESIDE_FLOOR),
        ]);
    }
    Ok(figures)
}

/// From few players of a stream to many.
pub async fn players(bench: &Bench) -> Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for (window, counts) in [(0, &[10, 100, 1000][..]), (100, &[10, 100, 1000, 5000])] {
        let cases: Vec<Case> = counts.iter().map(|n| Case::new(window, Wire::Rtmp, *n)).collect();
        let name = |case: &Case| format!("window of {window} ms, {} players: CPU of a player", case.players);
        figures.extend(growth(bench, &cases, name).await?);
    }
    Ok(figures)
}

/// From one stream to many.
pub async fn streams(bench: &Bench) -> Result<Vec<Figure>> {
    let case = |streams| Case {
        streams,
        ..Case::new(100, Wire::Rtmp, 1000)
    };
    let cases = [1, 10, 100, 1000].map(case);
    let name = |case: &Case| format!("{} streams: CPU of a player", case.streams);
    let mut figures = growth(bench, &cases, name).await?;
    for case in &cases {
        let mut floor = Series::default();
        for _ in 0..bench.passes {
            floor.push(bench.floor(case).await?);
        }
        figures.extend(costs(format!("floor of {} streams", case.streams), &floor));
    }
    Ok(figures)
}

/// What a player costs in each case, without what publishing does, and by how much it grows from one to any later one at most.
async fn growth(bench: &Bench, cases: &[Case], name: impl Fn(&Case) -> String) -> Result<Vec<Figure>> {
    let mut runs = vec![(Series::default(), Series::default()); cases.len()];
    for _ in 0..bench.passes {
        for (case, (with, without)) in cases.iter().zip(&mut runs) {
            with.push(bench.server(case).await?);
            without.push(bench.server(&Case { players: 0, ..*case }).await?);
        }
    }
    let mut figures = Vec::new();
    for load in Load::ALL {
        let mut costs = Vec::new();
        for (case, (with, without)) in cases.iter().zip(&runs) {
            #[allow(clippy::cast_precision_loss, reason = "thousands")]
            let cost = with.beside(without, |with, without| {
                (load.of(with).spent - load.of(without).spent) / with.live.max(1) as f64
            });
            figures.push(Figure::new(format!("{}{}", name(case), load.suffix()), cost, "µs/s"));
            costs.push(cost);
        }
        let what = format!("most that it grows from one of these to a later one{}", load.suffix());
        figures.push(Figure::new(what, growth_of(&costs), "times").goal(FLAT));
    }
    Ok(figures)
}

/// The largest ratio of a figure to one before it.
fn growth_of(costs: &[f64]) -> f64 {
    let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
    for cost in costs {
        most = most.max(cost / least);
        least = least.min(*cost);
    }
    most
}

/// One core and two of a kind.
pub async fn cores(bench: &Bench, players: usize) -> Result<Vec<Figure>> {
    let case = Case::new(100, Wire::Rtmp, players);
    let (mut one, mut two) = (Series::default(), Series::default());
    for _ in 0..bench.passes {
        one.push(bench.shared(&case, &[0]).await?);
        two.push(bench.shared(&case, &[0, 1]).await?);
    }
    let each = |series: &Series| series.median(|run| run.asleep.each);
    let dearer = two.beside(&one, |two, one| two.asleep.each / one.asleep.each);
    let lost = |series: &Series| series.most(|run| run.dead.saturating_add(run.starved));
    Ok(vec![
        Figure::new("one core: CPU of a player", each(&one), "µs/s"),
        Figure::new("two cores: CPU of a player", each(&two), "µs/s"),
        Figure::new("two cores / one: CPU of a player", dearer, "").goal(2.0 / 1.8),
        Figure::new(
            "players that two cores carry for one core's, by that",
            2.0 / dearer,
            "times",
        ),
        Figure::new("dead or starved", lost(&one).max(lost(&two)), "players").goal(0.0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_from_any_figure_to_a_later_one() {
        assert!((growth_of(&[4.0, 2.0, 3.0]) - 1.5).abs() < 1e-9);
        assert!((growth_of(&[4.0, 2.0, 1.0]) - 0.5).abs() < 1e-9);
    }
}
