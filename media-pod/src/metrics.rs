//! Metrics of the process itself.

use prometheus::{IntGaugeVec, Opts, Registry};

/// Registers `headgate_build_info`.
pub fn register(registry: &Registry) -> Result<(), prometheus::Error> {
    let info = Opts::new("headgate_build_info", "Always 1; the label says which version runs.");
    let info = IntGaugeVec::new(info, &["version"])?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(info))
}
