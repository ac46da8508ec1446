//! Media time in ticks of 90 kHz: exact for milliseconds (RTMP, FLV) and for MPEG-TS and RTP alike.

use std::time::Duration;

/// A point in a stream's own time, in ticks of 1/90000 s. It may start anywhere and may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Ticks in a second.
    pub const TICKS_PER_SECOND: i64 = 90_000;
    const TICKS_PER_MILLI: i64 = 90;

    /// From ticks of 1/90000 s.
    pub const fn from_ticks(ticks: i64) -> Self {
        Self(ticks)
    }

    /// In ticks of 1/90000 s.
    pub const fn ticks(self) -> i64 {
        self.0
    }

    /// From milliseconds; exact unless it saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis.saturating_mul(Self::TICKS_PER_MILLI))
    }

    /// In milliseconds, rounded down; gives back what [`Timestamp::from_millis`] was given.
    pub const fn as_millis(self) -> i64 {
        self.0.div_euclid(Self::TICKS_PER_MILLI)
    }

    /// In milliseconds modulo 2^32, as FLV and RTMP carry it.
    pub const fn as_wrapped_millis(self) -> u32 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the low 32 bits are what the wire carries"
        )]
        {
            self.as_millis() as u32
        }
    }

    /// This point moved by some milliseconds.
    #[must_use]
    pub const fn plus_millis(self, millis: i64) -> Self {
        Self(self.0.saturating_add(Self::from_millis(millis).0))
    }

    /// This point moved by some nanoseconds, as far as ticks are fine enough.
    #[must_use]
    pub const fn plus_nanos(self, nanos: u32) -> Self {
        let ticks = (nanos as i64).saturating_mul(9) / 100_000;
        Self(self.0.saturating_add(ticks))
    }

    /// How long after `earlier` this is; zero when it is before.
    pub fn since(self, earlier: Self) -> Duration {
        let ticks = u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0);
        Duration::from_nanos(ticks.saturating_mul(100_000) / 9)
    }

    /// How far this is from `other`, whichever is first.
    pub fn apart(self, other: Self) -> Duration {
        self.since(other).max(other.since(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_milliseconds_survive_both_ways() {
        for millis in [0, 1, -1, 23, 40, 4_294_967_295, 4_294_967_296, -86_400_000] {
            assert_eq!(Timestamp::from_millis(millis).as_millis(), millis);
        }
    }

    #[test]
    fn the_wire_carries_the_low_32_bits() {
        assert_eq!(Timestamp::from_millis(4_294_967_297).as_wrapped_millis(), 1);
        assert_eq!(Timestamp::from_millis(-1).as_wrapped_millis(), u32::MAX);
    }

    #[test]
    fn the_distance_is_never_negative() {
        let (a, b) = (Timestamp::from_millis(1000), Timestamp::from_millis(1500));
        assert_eq!(b.since(a), Duration::from_millis(500));
        assert_eq!(a.since(b), Duration::ZERO);
        assert_eq!(
            (a.apart(b), b.apart(a)),
            (Duration::from_millis(500), Duration::from_millis(500))
        );
    }
}
