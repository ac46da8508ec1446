//! What can be set while streams run.

use std::time::Duration;

/// Behaviour and bounds of a hub. New values are in force for what happens from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// A viewer starts at the newest key frame that is there, instead of waiting for the next.
    pub gop_cache: bool,
    /// How long output may be held back, so that several frames go out in one write. Few viewers wait less: see [`Settings::window`].
    pub merge_window: Duration,
    /// Publishers at one time.
    pub publishers_max: Option<usize>,
    /// Viewers at one time.
    pub viewers_max: Option<usize>,
    /// Media of one publisher, in bytes a second: see [`crate::Publisher::pace`].
    pub ingest_max: Option<u64>,
    /// From the admission of a publisher to its first media.
    pub first_media_max: Duration,
    /// Between two pieces of a publisher's media.
    pub silence_max: Duration,
    /// How long a viewer waits for a stream that is not there: at the start, and after its publisher has gone.
    pub linger: Duration,
    /// How long a stream is brought from elsewhere after its last viewer has left.
    pub edge_linger: Duration,
    /// How far a viewer may fall behind before it skips to the newest key frame.
    pub lag_max: Duration,
    /// Skips in a row, without having caught up in between, after which a viewer is cut.
    pub skips_max: u32,
    /// How long one write to a viewer may take before it is cut.
    pub stall_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            gop_cache: true,
            merge_window: Duration::from_millis(100),
            publishers_max: None,
            viewers_max: None,
            ingest_max: None,
            first_media_max: Duration::from_secs(20),
            silence_max: Duration::from_secs(10),
            linger: Duration::from_secs(10),
            edge_linger: Duration::from_secs(5),
            lag_max: Duration::from_secs(5),
            skips_max: 10,
            stall_max: Duration::from_secs(30),
        }
    }
}

impl Settings {
    /// The window in force with so many viewers: grows with them up to the setting, which it reaches at 500, because waiting pays only where there
    /// are many writes. Under 5 ms it is nothing, so that a few viewers see each frame at once.
    pub fn window(&self, viewers: usize) -> Duration {
        const MANY: u32 = 500;
        const NOTHING: Duration = Duration::from_millis(5);
        let viewers = u32::try_from(viewers).unwrap_or(u32::MAX).min(MANY);
        let window = self
            .merge_window
            .saturating_mul(viewers)
            .checked_div(MANY)
            .unwrap_or_default();
        if window < NOTHING { Duration::ZERO } else { window }
    }

    /// How long what the publisher of a stream sends may wait in its connection, so that it is taken in together, with so many viewers here and in
    /// all. Nobody who watches waits longer for that, since what is taken in goes out at once. Over many viewers the last of the window is worth more
    /// than what this spares: they are written to less often when it begins with the first that comes.
    pub fn ingest_hold(&self, here: usize, all: usize) -> Duration {
        const FEW: usize = 32;
        const MOST: Duration = Duration::from_millis(350);
        let hold = match here {
            0 => self.merge_window,
            few if few < FEW => self.window(all),
            _ => Duration::ZERO,
        };
        hold.min(MOST)
    }

    /// How long what publishers send may wait so that many are heard together: small beside the window, and nothing where that is so small that
    /// frames go out as they come.
    pub fn ingest_pause(&self) -> Duration {
        const MOST: Duration = Duration::from_millis(5);
        const LEAST: Duration = Duration::from_millis(1);
        let pause = self.merge_window.checked_div(20).unwrap_or_default().min(MOST);
        if pause < LEAST { Duration::ZERO } else { pause }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_publisher_waits_where_few_or_none_of_its_own_watch_and_the_window_is_in_force() {
        let settings = Settings::default();
        let millis = |(here, all)| settings.ingest_hold(here, all).as_millis();
        let cases = [
            (0, 0),
            (0, 1000),
            (1, 1),
            (1, 250),
            (31, 1000),
            (32, 1000),
            (1000, 1000),
        ];
        assert_eq!(cases.map(millis), [100, 100, 0, 50, 100, 0, 0]);
        let long = Settings {
            merge_window: Duration::from_secs(1),
            ..settings
        };
        assert_eq!(long.ingest_hold(0, 0).as_millis(), 350);
    }

    #[test]
    fn the_window_grows_with_the_viewers_up_to_the_setting() {
        let settings = Settings::default();
        let millis = |viewers| settings.window(viewers).as_millis();
        assert_eq!([1, 24, 25, 250, 500, 100_000].map(millis), [0, 0, 5, 50, 100, 100]);
        let settings = Settings {
            merge_window: Duration::ZERO,
            ..settings
        };
        assert_eq!(settings.window(10_000), Duration::ZERO);
    }

    #[test]
    fn publishers_wait_for_each_other_a_twentieth_of_the_window_and_five_milliseconds_at_most() {
        let pause = |millis| {
            let merge_window = Duration::from_millis(millis);
            let settings = Settings {
                merge_window,
                ..Settings::default()
            };
            settings.ingest_pause().as_millis()
        };
        assert_eq!([0, 10, 40, 100, 350, 1000].map(pause), [0, 0, 2, 5, 5, 5]);
    }
}
