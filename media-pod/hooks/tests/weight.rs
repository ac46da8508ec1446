//! What the outbox costs: memory with a hundred thousand pending, and time on the media path.
#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::print_stdout,
    reason = "a test that panics fails, as it should"
)]

mod common;

use common::{Backend, endpoint, hang, publisher};
use headgate_hub::Traffic;
use std::time::{Duration, Instant};

fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("Linux");
    let pages: usize = statm.split(' ').nth(1).expect("a field").parse().expect("a number");
    pages * 4096
}

#[tokio::test]
async fn a_hundred_thousand_pending_take_64_mib_at_most() {
    let state = tempfile::tempdir().expect("a folder");
    let backend = Backend::new(|_, _| hang());
    let (hooks, _registry) = backend.pod(state.path(), &[endpoint("backend")]);
    // What the test itself needs is there before.
    let mut times = vec![Duration::MAX; 100_000];
    times.clear();
    let before = resident();
    for n in 0..100_000 {
        let session = publisher(&format!("s{}", n % 5000));
        let started = Instant::now();
        hooks.unpublish(&session, Traffic::default());
        times.push(started.elapsed());
        if n % 1000 == 0 {
            hooks.flush(Duration::ZERO).await;
        }
    }
    hooks.flush(Duration::ZERO).await;
    let more = (resident().saturating_sub(before)) / 1024 / 1024;
    times.sort_unstable();
    println!(
        "100,000 pending: {more} MiB more; append p50 {:?}, p99 {:?}, p99.9 {:?}",
        times[50_000], times[99_000], times[99_900]
    );
    assert_eq!(hooks.reports()[0].pending, 100_000);
    assert!(more <= 64, "{more} MiB");

    if cfg!(debug_assertions) {
        return;
    }
    let image = common::killed(state.path());
    let started = Instant::now();
    let (next, _registry) = backend.pod(image.path(), &[endpoint("backend")]);
    println!("recovered in {:?}", started.elapsed());
    assert_eq!(next.reports()[0].pending, 100_000);
}
