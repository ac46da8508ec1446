//! Measures what a publisher really sends: bits and video frames a second over the last few seconds.

use std::collections::VecDeque;
use std::time::Duration;

/// Whole seconds that a figure is the mean of.
const WINDOW_SECONDS: u64 = 4;

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    index: u64,
    bytes: u64,
    frames: u64,
}

/// Counts by the second, counted from the publisher's start.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    seconds: VecDeque<Second>,
}

/// Figures of one publisher.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Rates {
    pub(crate) bits_per_second: u64,
    pub(crate) frames_per_second: f64,
}

impl Meter {
    pub(crate) fn record(&mut self, age: Duration, bytes: u64, is_video: bool) {
        let index = age.as_secs();
        if self.seconds.back().is_none_or(|s| s.index != index) {
            self.seconds.push_back(Second {
                index,
                ..Second::default()
            });
        }
        while self.seconds.len() > 6 {
            self.seconds.pop_front();
        }
        if let Some(second) = self.seconds.back_mut() {
            second.bytes = second.bytes.saturating_add(bytes);
            second.frames = second.frames.saturating_add(u64::from(is_video));
        }
    }

    /// The mean over the last whole seconds; in the first second, over the time so far.
    pub(crate) fn rates(&self, age: Duration) -> Rates {
        let now = age.as_secs();
        let from = if now == 0 {
            0
        } else {
            now.saturating_sub(WINDOW_SECONDS)
        };
        let counted = self
            .seconds
            .iter()
            .filter(|s| s.index >= from && (s.index < now || now == 0));
        let (bytes, frames) = counted.fold((0_u64, 0_u64), |(bytes, frames), s| {
            (bytes.saturating_add(s.bytes), frames.saturating_add(s.frames))
        });
        let span = if now == 0 {
            age.max(Duration::from_millis(100))
        } else {
            Duration::from_secs(now.saturating_sub(from))
        };
        let bits = u128::from(bytes)
            .saturating_mul(8_000)
            .checked_div(span.as_millis())
            .unwrap_or(0);
        let frames = f64::from(u32::try_from(frames).unwrap_or(u32::MAX));
        Rates {
            bits_per_second: u64::try_from(bits).unwrap_or(u64::MAX),
            frames_per_second: frames / span.as_secs_f64(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fed(millis: u64) -> Meter {
        let mut meter = Meter::default();
        for at in (0..millis).step_by(40) {
            meter.record(Duration::from_millis(at), 5_000, true);
        }
        meter
    }

    #[test]
    fn a_steady_publisher_is_measured_as_it_is() {
        for millis in [2_000, 3_700, 60_000] {
            let rates = fed(millis).rates(Duration::from_millis(millis));
            assert_eq!(
                rates,
                Rates {
                    bits_per_second: 1_000_000,
                    frames_per_second: 25.0
                },
                "{millis}"
            );
        }
    }

    #[test]
    fn a_publisher_that_fell_silent_comes_to_nothing() {
        assert_eq!(fed(10_000).rates(Duration::from_secs(20)), Rates::default());
    }
}
