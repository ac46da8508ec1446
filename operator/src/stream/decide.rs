//! What to do about one stream.

use crate::orphans::Left;

/// What its object says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Somebody deleted it.
    pub deleting: bool,
    /// It carries our finalizer.
    pub held: bool,
    /// The session that its status showed last.
    pub session: Option<String>,
}

/// What its pod says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Live {
    /// The publisher's session.
    pub session: String,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Todo {
    /// Nothing is known for sure yet, or nothing is to be done.
    Wait,
    /// Make the object.
    Make,
    /// Say how the stream is.
    Show,
    /// The same, and put our finalizer on again, which was taken off while there was no operator.
    Hold,
    /// Tell the publisher to end.
    Kick,
    /// Let the object go.
    Release,
    /// Say that its pod is gone; the object stays until another pod has closed its session.
    Lost,
    /// Take the object away: the stream ended by itself.
    End,
}

/// Decides. `server`: the server it belongs to is there. `unheard`: a pod that may have it has not been heard of. `left`: what becomes of
/// the session that the object names, where its pod is gone.
pub fn decide(object: Option<&Known>, live: Option<&Live>, server: bool, unheard: bool, left: Left) -> Todo {
    let Some(object) = object else {
        return if live.is_some() && server {
            Todo::Make
        } else {
            Todo::Wait
        };
    };
    match live {
        Some(live) if server => {
            // Another session is another stream: the deletion was not meant for it.
            let same = object.session.as_ref().is_none_or(|s| *s == live.session);
            match (object.deleting, object.held, same) {
                // What the object says of the old session is all that may be left of it.
                (_, _, false) if left == Left::Unseen => Todo::Wait,
                (false, true, _) => Todo::Show,
                (false, false, _) => Todo::Hold,
                (true, true, true) => Todo::Kick,
                (true, true, false) => Todo::Release,
                (true, false, _) => Todo::Wait,
            }
        }
        _ if unheard => Todo::Wait,
        _ if server && left != Left::No => Todo::Lost,
        _ if !object.deleting => Todo::End,
        _ if object.held => Todo::Release,
        _ => Todo::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(deleting: bool, session: Option<&str>) -> Known {
        Known {
            deleting,
            held: true,
            session: session.map(Into::into),
        }
    }

    fn live(session: &str) -> Live {
        Live {
            session: session.into(),
        }
    }

    #[test]
    fn a_table_of_cases() {
        let cases = [
            ("went live", None, Some(live("1")), true, false, Todo::Make),
            (
                "went live on a server that goes",
                None,
                Some(live("1")),
                false,
                false,
                Todo::Wait,
            ),
            (
                "goes on",
                Some(object(false, Some("1"))),
                Some(live("1")),
                true,
                false,
                Todo::Show,
            ),
            (
                "published anew before its object went",
                Some(object(false, Some("1"))),
                Some(live("2")),
                true,
                false,
                Todo::Show,
            ),
            ("ended", Some(object(false, Some("1"))), None, true, false, Todo::End),
            (
                "ended, or the pod has not said so yet",
                Some(object(false, Some("1"))),
                None,
                true,
                true,
                Todo::Wait,
            ),
            (
                "its server is gone",
                Some(object(false, Some("1"))),
                None,
                false,
                false,
                Todo::End,
            ),
            (
                "deleted while live",
                Some(object(true, Some("1"))),
                Some(live("1")),
                true,
                false,
                Todo::Kick,
            ),
            (
                "deleted before its first status",
                Some(object(true, None)),
                Some(live("1")),
                true,
                false,
                Todo::Kick,
            ),
            (
                "kicked and gone",
                Some(object(true, Some("1"))),
                None,
                true,
                false,
                Todo::Release,
            ),
            (
                "kicked and back at once",
                Some(object(true, Some("1"))),
                Some(live("2")),
                true,
                false,
                Todo::Release,
            ),
            (
                "deleted, pod not heard of yet",
                Some(object(true, Some("1"))),
                None,
                true,
                true,
                Todo::Wait,
            ),
            (
                "deleted with its server",
                Some(object(true, Some("1"))),
                Some(live("1")),
                false,
                false,
                Todo::Release,
            ),
        ];
        for (name, object, live, server, unheard, expected) in cases {
            assert_eq!(
                decide(object.as_ref(), live.as_ref(), server, unheard, Left::No),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn an_object_that_others_hold_is_left_to_them() {
        let freed = Known {
            deleting: true,
            held: false,
            session: Some("1".into()),
        };
        assert_eq!(decide(Some(&freed), None, true, false, Left::No), Todo::Wait);
        assert_eq!(
            decide(Some(&freed), Some(&live("1")), true, false, Left::No),
            Todo::Wait
        );
    }

    #[test]
    fn a_live_stream_that_lost_its_finalizer_gets_it_again() {
        let freed = Known {
            deleting: false,
            held: false,
            session: Some("1".into()),
        };
        let decided = |live: Option<Live>| decide(Some(&freed), live.as_ref(), true, false, Left::No);
        assert_eq!(
            (decided(Some(live("1"))), decided(Some(live("2")))),
            (Todo::Hold, Todo::Hold)
        );
        assert_eq!(decided(None), Todo::End);
    }

    #[test]
    fn a_stream_that_lost_its_pod_stays_until_its_session_is_closed() {
        use Left::{Adopted, No, Unseen};
        let cases = [
            ("nobody has looked yet", Unseen, false, None, true, Todo::Lost),
            ("another pod closes it", Adopted, false, None, true, Todo::Lost),
            ("it is closed", No, false, None, true, Todo::End),
            ("its server is gone", Adopted, false, None, false, Todo::End),
            ("somebody deletes it", Adopted, true, None, true, Todo::Lost),
            ("deleted, and it is closed", No, true, None, true, Todo::Release),
            ("deleted with its server", Unseen, true, None, false, Todo::Release),
            (
                "published anew before anybody looked",
                Unseen,
                false,
                Some("2"),
                true,
                Todo::Wait,
            ),
            (
                "published anew, the old session handed over",
                Adopted,
                false,
                Some("2"),
                true,
                Todo::Show,
            ),
            (
                "deleted and published anew before anybody looked",
                Unseen,
                true,
                Some("2"),
                true,
                Todo::Wait,
            ),
        ];
        for (name, left, deleting, session, server, expected) in cases {
            let (object, live) = (object(deleting, Some("1")), session.map(live));
            assert_eq!(
                decide(Some(&object), live.as_ref(), server, false, left),
                expected,
                "{name}"
            );
        }
    }
}
