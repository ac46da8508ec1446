//! Runs of one case, one a pass, and what is said of them: the median.

use super::load::{Cost, Outcome};

/// Whether the load slept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// When it had nothing to do: its core must be woken, and the sender pays for that.
    Asleep,
    /// Never did.
    Awake,
}

impl Load {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Asleep, Self::Awake];

    /// Behind a figure's name.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Asleep => "",
            Self::Awake => " (awake)",
        }
    }

    /// What a run cost with it.
    pub fn of(self, outcome: &Outcome) -> Cost {
        match self {
            Self::Asleep => outcome.asleep,
            Self::Awake => outcome.awake.unwrap_or_default(),
        }
    }
}

/// See the module.
#[derive(Clone, Debug, Default)]
pub struct Series(Vec<Outcome>);

impl Series {
    /// Adds the run of the next pass.
    pub fn push(&mut self, outcome: Outcome) {
        self.0.push(outcome);
    }

    /// Of a figure of each run.
    pub fn median(&self, of: impl Fn(&Outcome) -> f64) -> f64 {
        median(self.0.iter().map(of).collect())
    }

    /// Of a figure of each run and of the other series' run in the same pass.
    pub fn beside(&self, other: &Self, of: impl Fn(&Outcome, &Outcome) -> f64) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(one, two)| of(one, two)).collect())
    }

    /// The largest of a count.
    pub fn most(&self, of: impl Fn(&Outcome) -> usize) -> f64 {
        #[allow(clippy::cast_precision_loss, reason = "thousands")]
        let most = self.0.iter().map(of).max().unwrap_or_default() as f64;
        most
    }
}

/// Of an even number the mean of the two in the middle.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |index: usize| values.get(index).copied().unwrap_or_default();
    f64::midpoint(at(last.div_euclid(2)), at(last.div_ceil(2)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        let close = |values: &[f64], expected: f64| (median(values.to_vec()) - expected).abs() < 1e-9;
        assert!(close(&[3.0, 1.0, 9.0], 3.0) && close(&[4.0, 1.0, 2.0, 9.0], 3.0) && close(&[], 0.0));
    }
}
