//! What scenarios are written with: a cluster, kubectl and helm, a namespace of their own, a back end, and patience.

mod backend;
mod context;
mod custom_metrics;
mod eventually;
mod evidence;
mod faults;
mod helm;
mod kubectl;
mod pki;
mod portforward;
mod runner;

pub use context::{Cluster, Context};
pub use eventually::eventually;
pub use faults::EtcdLink;
pub use helm::Helm;
pub use kubectl::Kubectl;
pub use pki::{Authority, Pair, Shown};
pub use portforward::PortForward;
pub(crate) use runner::clean;
pub use runner::{Scenario, run};
