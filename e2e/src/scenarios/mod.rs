//! The scenarios, a file each. Each is given a namespace of its own and can be read on its own.
//!
//! A scenario is an `async fn run(&Context) -> Result<()>` with an `ABOUT` line; it is entered in [`all`].

mod clocks;
mod closing_events;
mod cluster_works;
mod crashes;
mod definitions;
mod drain;
mod faults;
mod five_dialects;
pub mod fleet;
mod goodbye;
mod invalid_manifests;
mod live_edits;
mod live_streams;
mod metrics;
mod one_namespace;
mod operator_upgrade;
mod publish_and_play;
mod quickstart;
mod refusals;
mod rollout;
mod secured_hooks;
mod several_pods;
pub mod site;
mod tls;

use crate::harness::Scenario;

/// A scenario under the name of its module.
macro_rules! scenario {
    ($module:ident, needs_images: $images:literal) => {
        Scenario {
            name: stringify!($module),
            about: $module::ABOUT,
            needs_images: $images,
            run: |context| Box::pin($module::run(context)),
        }
    };
}

/// Every scenario, in the order in which they run.
pub fn all() -> Vec<Scenario> {
    vec![
        scenario!(cluster_works, needs_images: false),
        scenario!(quickstart, needs_images: true),
        scenario!(publish_and_play, needs_images: true),
        scenario!(live_streams, needs_images: true),
        scenario!(refusals, needs_images: true),
        scenario!(live_edits, needs_images: true),
        scenario!(tls, needs_images: true),
        scenario!(secured_hooks, needs_images: true),
        scenario!(operator_upgrade, needs_images: true),
        scenario!(definitions, needs_images: true),
        scenario!(one_namespace, needs_images: true),
        scenario!(several_pods, needs_images: true),
        scenario!(rollout, needs_images: true),
        scenario!(drain, needs_images: true),
        scenario!(closing_events, needs_images: true),
        scenario!(five_dialects, needs_images: true),
        scenario!(faults, needs_images: true),
        scenario!(clocks, needs_images: true),
        scenario!(crashes, needs_images: true),
        scenario!(goodbye, needs_images: true),
        scenario!(metrics, needs_images: true),
        scenario!(invalid_manifests, needs_images: true),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique() {
        let mut names: Vec<_> = all().into_iter().map(|scenario| scenario.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all().len());
    }
}
