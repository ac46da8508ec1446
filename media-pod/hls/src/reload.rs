//! Requests that ask for a playlist of the future (RFC 8216bis §6.2.5.2).

/// What a request for a playlist says beyond its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `_HLS_msn`: the playlist must have this segment, or this part of it.
    pub segment: Option<u64>,
    /// `_HLS_part`.
    pub part: Option<u64>,
    /// `_HLS_skip`: old segments may be left out.
    pub skip: bool,
}

impl Directives {
    /// From a query without its question mark. `None` for numbers that are none, and for a part without its segment.
    pub fn parse(query: &str) -> Option<Self> {
        let mut directives = Self::default();
        for pair in query.split('&') {
            match pair.split_once('=').unwrap_or((pair, "")) {
                ("_HLS_msn", number) => directives.segment = Some(number.parse().ok()?),
                ("_HLS_part", number) => directives.part = Some(number.parse().ok()?),
                ("_HLS_skip", how) => directives.skip = matches!(how, "YES" | "v2"),
                _ => {}
            }
        }
        (directives.part.is_none() || directives.segment.is_some()).then_some(directives)
    }
}

/// What to do with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reload {
    /// Answer with the playlist as it is.
    Now,
    /// Ask again when the playlist has changed.
    Wait,
    /// It is about a time too far off: refuse it.
    TooFar,
}

/// Where a playlist ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    /// The segment that grows.
    pub(crate) growing: u64,
    /// Its parts that are whole.
    pub(crate) parts: u64,
    /// Parts of the segment before it.
    pub(crate) parts_before: u64,
    pub(crate) ended: bool,
}

/// More than so many segments behind the growing one is too far.
const AHEAD_MAX: u64 = 2;

pub(crate) fn decide(edge: Edge, directives: Directives) -> Reload {
    let Some(segment) = directives.segment else {
        return Reload::Now;
    };
    // A part behind the last of a segment means the first of the next segment.
    let is_behind = directives.part.is_some_and(|part| part >= edge.parts_before);
    let (segment, part) = if is_behind && segment.checked_add(1) == Some(edge.growing) {
        (edge.growing, Some(0))
    } else {
        (segment, directives.part)
    };
    let there = match part {
        _ if edge.ended || segment < edge.growing => true,
        Some(part) => segment == edge.growing && part < edge.parts,
        None => false,
    };
    if there {
        Reload::Now
    } else if segment > edge.growing.saturating_add(AHEAD_MAX) {
        Reload::TooFar
    } else {
        Reload::Wait
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_waits_for_what_is_next_and_for_nothing_far() {
        let edge = Edge {
            growing: 10,
            parts: 3,
            parts_before: 5,
            ended: false,
        };
        let before = Directives {
            segment: Some(9),
            part: Some(5),
            skip: false,
        };
        assert_eq!(
            decide(edge, before),
            Reload::Now,
            "taken for the first part of the next segment"
        );
        assert_eq!(decide(Edge { parts: 0, ..edge }, before), Reload::Wait);
        let cases = [
            ((None, None), Reload::Now),
            ((Some(9), None), Reload::Now),
            ((Some(9), Some(4)), Reload::Now),
            ((Some(8), Some(99)), Reload::Now),
            ((Some(10), None), Reload::Wait),
            ((Some(10), Some(2)), Reload::Now),
            ((Some(10), Some(3)), Reload::Wait),
            ((Some(12), Some(0)), Reload::Wait),
            ((Some(13), Some(0)), Reload::TooFar),
            ((Some(u64::MAX), None), Reload::TooFar),
        ];
        for ((segment, part), expected) in cases {
            let directives = Directives {
                segment,
                part,
                skip: false,
            };
            assert_eq!(decide(edge, directives), expected, "{segment:?} {part:?}");
            assert_eq!(decide(Edge { ended: true, ..edge }, directives), Reload::Now);
        }
    }

    #[test]
    fn directives_are_found_among_other_parameters() {
        let all = Directives {
            segment: Some(5),
            part: Some(1),
            skip: true,
        };
        assert_eq!(Directives::parse("t=1&_HLS_msn=5&_HLS_part=1&_HLS_skip=YES"), Some(all));
        assert_eq!(Directives::parse(""), Some(Directives::default()));
        for bad in ["_HLS_part=1", "_HLS_msn=x", "_HLS_msn=", "_HLS_msn=-1"] {
            assert_eq!(Directives::parse(bad), None, "{bad}");
        }
    }
}
