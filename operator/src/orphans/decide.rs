//! What becomes of the sessions of a pod that is gone. Pure.

use std::time::Duration;

/// What a pod says while it ends is waited for.
const GRACE: Duration = Duration::from_secs(3);
/// A pod that has said something within this time lives, whatever the API server thinks: it says every few seconds that it does.
const ALIVE: Duration = Duration::from_secs(7);
/// And this is how long it may go on without its object.
const LINGER: Duration = Duration::from_secs(12);
/// Between two looks at a pod that lives on.
const LOOK: Duration = Duration::from_secs(1);

/// How long to wait before a pod that has been gone for so long leaves orphans; `None` when it is time. `silence`: how long its
/// ledger's stream has been silent; `None` when there is none.
pub fn wait(gone: Duration, silence: Option<Duration>) -> Option<Duration> {
    let left = GRACE.saturating_sub(gone);
    if !left.is_zero() {
        return Some(left);
    }
    let speaks = silence.is_some_and(|s| s < ALIVE);
    (speaks && gone < LINGER).then_some(LOOK)
}

/// What is known of the session that a Stream names.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Session {
    /// Somebody must be told of its end, and there is what that takes.
    pub sealed: bool,
    /// Its pod is gone.
    pub gone: bool,
    /// A pod that is there has it.
    pub live: bool,
    /// Its pod may still speak.
    pub early: bool,
    /// Its pod said that it had closed it.
    pub closed: bool,
    /// It waits for its adopter.
    pub waiting: bool,
    /// Its adopter is done with it, or nobody needs to be told.
    pub settled: bool,
}

/// What becomes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Not lost: its pod takes care of it, or nobody needs to be told.
    Own,
    /// Too early to say.
    Open,
    /// Nobody will close it: another pod must.
    Orphan,
    /// Another pod is about to.
    Adopted,
    /// Done.
    Closed,
}

impl Session {
    /// Decides.
    pub fn fate(self) -> Fate {
        match self {
            Self { sealed: false, .. } | Self { gone: false, .. } | Self { live: true, .. } => Fate::Own,
            Self { settled: true, .. } => Fate::Closed,
            Self { waiting: true, .. } => Fate::Adopted,
            Self { closed: true, .. } => Fate::Closed,
            Self { early: true, .. } => Fate::Open,
            _ => Fate::Orphan,
        }
    }
}

/// A pod that may close sessions for another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heir {
    /// Its name.
    pub name: String,
    /// It is heard of now.
    pub heard: bool,
    /// Ready, not on its way out, and of an image that can.
    pub able: bool,
}

/// Who closes a session. `current` does as long as it is heard of: it may have begun. Else the first by name that is able; else
/// the one that was to, if it is there at all.
pub fn adopter(current: Option<&str>, heirs: &[Heir]) -> Option<String> {
    let current = current.and_then(|name| heirs.iter().find(|h| h.name == name));
    let able = heirs.iter().filter(|h| h.able).min_by(|a, b| a.name.cmp(&b.name));
    let heir = current.filter(|h| h.heard).or(able).or(current);
    heir.map(|h| h.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn when_a_pod_that_is_gone_leaves_orphans() {
        let s = Duration::from_secs;
        let cases = [
            ("just gone, its node long lost", 0, None, Some(s(3))),
            ("gone a moment ago", 2, None, Some(s(1))),
            ("gone and silent", 3, None, None),
            ("gone, the stream hangs", 3, Some(s(8)), None),
            ("deleted by force and still speaking", 3, Some(s(1)), Some(s(1))),
            ("still speaking", 11, Some(s(6)), Some(s(1))),
            ("still speaking after it had every chance", 12, Some(s(0)), None),
        ];
        for (name, gone, silence, expected) in cases {
            assert_eq!(wait(s(gone), silence), expected, "{name}");
        }
    }

    #[test]
    fn what_becomes_of_a_session() {
        let lost = Session {
            sealed: true,
            gone: true,
            ..Session::default()
        };
        let cases = [
            ("its pod is there", Session { gone: false, ..lost }, Fate::Own),
            ("nobody needs to be told", Session { sealed: false, ..lost }, Fate::Own),
            (
                "its pod has another uid by an older operator's word, and has it",
                Session { live: true, ..lost },
                Fate::Own,
            ),
            ("its pod may still speak", Session { early: true, ..lost }, Fate::Open),
            (
                "its pod closed it before it went",
                Session { closed: true, ..lost },
                Fate::Closed,
            ),
            (
                "closed, and its pod may still speak",
                Session {
                    closed: true,
                    early: true,
                    ..lost
                },
                Fate::Closed,
            ),
            ("nobody closes it", lost, Fate::Orphan),
            ("handed over", Session { waiting: true, ..lost }, Fate::Adopted),
            ("its adopter is done", Session { settled: true, ..lost }, Fate::Closed),
        ];
        for (name, session, expected) in cases {
            assert_eq!(session.fate(), expected, "{name}");
        }
    }

    #[test]
    fn who_adopts() {
        let heir = |name: &str, heard, able| Heir {
            name: name.into(),
            heard,
            able,
        };
        let cases = [
            ("nobody is there", None, vec![], None),
            (
                "nobody is ready yet",
                None,
                vec![heir("live-1", true, false), heir("live-2", false, false)],
                None,
            ),
            (
                "the first by name",
                None,
                vec![heir("live-2", true, true), heir("live-1", true, true)],
                Some("live-1"),
            ),
            (
                "who drains is passed over",
                None,
                vec![heir("live-1", true, false), heir("live-2", true, true)],
                Some("live-2"),
            ),
            (
                "it stays with who has it",
                Some("live-2"),
                vec![heir("live-1", true, true), heir("live-2", true, true)],
                Some("live-2"),
            ),
            (
                "also when that one drains",
                Some("live-2"),
                vec![heir("live-1", true, true), heir("live-2", true, false)],
                Some("live-2"),
            ),
            (
                "until it is not heard of",
                Some("live-2"),
                vec![heir("live-1", true, true), heir("live-2", false, false)],
                Some("live-1"),
            ),
            (
                "and nobody else is able",
                Some("live-2"),
                vec![heir("live-1", true, false), heir("live-2", false, false)],
                Some("live-2"),
            ),
            (
                "until it is gone",
                Some("live-2"),
                vec![heir("live-1", true, true)],
                Some("live-1"),
            ),
            ("gone without another", Some("live-2"), vec![], None),
        ];
        for (name, current, heirs, expected) in cases {
            assert_eq!(adopter(current, &heirs).as_deref(), expected, "{name}");
        }
    }
}
