//! Who used the processors while something was measured: a time that is missed because the API server had no processor left is told
//! from one that the operator wasted.

use super::control_plane::ControlPlane;
use super::operator::{Operator, cpu};
use crate::error::Result;
use std::time::{Duration, Instant};

/// Processor time used so far, by name.
#[derive(Debug)]
pub struct Shares {
    since: Instant,
    used: Vec<(&'static str, i32, Duration)>,
}

impl Shares {
    /// From now on.
    pub fn begin(plane: &ControlPlane, operator: &Operator) -> Result<Self> {
        let own = i32::try_from(std::process::id()).unwrap_or_default();
        let pods = ("played pods and users", own);
        let processes = plane.processes().chain([("operator", operator.pid()), pods]);
        let used = processes.map(|(name, pid)| Ok((name, pid, cpu(pid)?)));
        Ok(Self {
            since: Instant::now(),
            used: used.collect::<Result<_>>()?,
        })
    }

    /// What each has used since, in hundredths of a core.
    pub fn end(&self) -> Result<Vec<(&'static str, f64)>> {
        let time = self.since.elapsed().as_secs_f64().max(0.001);
        let share = |(name, pid, before): &(&'static str, i32, Duration)| {
            let used = cpu(*pid)?.saturating_sub(*before);
            Ok((*name, used.as_secs_f64() / time * 100.0))
        };
        self.used.iter().map(share).collect()
    }
}
