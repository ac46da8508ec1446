//! Waits for something to become true, and says what was seen last when it does not.

use std::time::{Duration, Instant};

use crate::error::{Error, Result};

/// How often it looks.
const INTERVAL: Duration = Duration::from_millis(100);

/// Tries `probe` until it succeeds and returns what it returned. Its error says what was seen instead.
pub async fn eventually<T>(limit: Duration, what: &str, probe: impl AsyncFn() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    let mut before = String::new();
    loop {
        let left = limit.saturating_sub(begun.elapsed()).max(INTERVAL);
        let seen = match tokio::time::timeout(left, probe()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(seen)) => seen.to_string(),
            Err(_) => format!("the last look did not end; before it: {before}"),
        };
        if begun.elapsed() >= limit {
            return Err(Error::new(format!(
                "not within {} s: {what}; last seen: {seen}",
                limit.as_secs_f32()
            )));
        }
        before = seen;
        tokio::time::sleep(INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test]
    async fn it_returns_what_was_seen_at_last() {
        let tries = Cell::new(0);
        let probe = async || {
            tries.set(tries.get() + 1);
            if tries.get() < 3 {
                Err(Error::new("too early"))
            } else {
                Ok(tries.get())
            }
        };
        assert_eq!(eventually(Duration::from_secs(5), "three", probe).await.unwrap(), 3);
    }

    #[tokio::test]
    async fn it_says_what_was_seen_instead() {
        let probe = async || Err::<(), _>(Error::new("still red"));
        let error = eventually(Duration::from_millis(20), "the light is green", probe)
            .await
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "not within 0.02 s: the light is green; last seen: still red"
        );
    }

    #[tokio::test]
    async fn a_probe_that_hangs_is_cut() {
        let probe = async || {
            std::future::pending::<()>().await;
            Ok(())
        };
        assert!(eventually(Duration::from_millis(20), "an answer", probe).await.is_err());
    }
}
