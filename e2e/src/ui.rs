//! What a person sees: one line a step, with its time; a long step says in between that it still runs.

use std::fmt::Display;
use std::future::Future;
use std::io::Write as _;
use std::pin::pin;
use std::time::{Duration, Instant};

use crate::error::Result;

/// A step that takes longer than this says what it is doing, and again after each such time.
const STILL_RUNNING: Duration = Duration::from_secs(10);

/// Prints one line. A closed standard output is no reason to stop a run.
pub fn say(line: impl Display) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

/// Prints one line to standard error.
pub fn complain(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Seconds as they are shown: `0.8 s`, `12.3 s`, `4 min 20 s`.
pub fn seconds(time: Duration) -> String {
    match time.as_secs() {
        0..100 => format!("{:.1} s", time.as_secs_f64()),
        long => format!("{} min {} s", long / 60, long % 60),
    }
}

/// Runs `work` as a step: a line when it is done, and a line now and then while it takes long.
pub async fn step<T>(what: impl Display, work: impl Future<Output = Result<T>>) -> Result<T> {
    let begun = Instant::now();
    let mut work = pin!(work);
    loop {
        match tokio::time::timeout(STILL_RUNNING, &mut work).await {
            Ok(Ok(value)) => {
                say(format_args!("  {what}  {}", seconds(begun.elapsed())));
                return Ok(value);
            }
            Ok(Err(cause)) => {
                say(format_args!("  {what}  FAILED after {}", seconds(begun.elapsed())));
                return Err(cause);
            }
            Err(_) => say(format_args!("  … {what}: {} so far", seconds(begun.elapsed()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_as_a_person_reads_them() {
        assert_eq!(seconds(Duration::from_millis(820)), "0.8 s");
        assert_eq!(seconds(Duration::from_secs(260)), "4 min 20 s");
    }
}
