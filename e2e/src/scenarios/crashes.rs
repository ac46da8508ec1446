//! The operator may be killed at any moment, and its API server may be in any trouble: everything comes to the same end.

use crate::benches::operator_faults;
use crate::error::Result;
use crate::harness::Context;
use crate::images;
use crate::tools::paths::Paths;

/// What it proves.
pub(super) const ABOUT: &str = "the operator is killed after one in so many of its writes, refused, kept waiting, cut off: the same end each time, nobody is cut";

/// One in so many writes. `cargo e2e bench operator-faults` has all of them.
const ONE_IN: usize = 5;

/// The scenario. It has a control plane of its own.
pub(super) async fn run(_: &Context) -> Result<()> {
    let paths = Paths::find()?;
    let program = images::programs(&paths).await?.operator;
    operator_faults::run(&paths, &program, ONE_IN).await
}
