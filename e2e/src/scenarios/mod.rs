//! The scenarios, a file each. Each is given a namespace of its own and can be read on its own.
//!
//! A scenario is an `async fn run(&Context) -> Result<()>` with an `ABOUT` line; it is entered in [`all`].

mod cluster_works;

use crate::harness::Scenario;

/// Every scenario, in the order in which they run.
pub fn all() -> Vec<Scenario> {
    vec![Scenario {
        name: "cluster_works",
        about: cluster_works::ABOUT,
        needs_images: false,
        run: |context| Box::pin(cluster_works::run(context)),
    }]
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
