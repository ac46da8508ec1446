//! What to do about one stream.

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
    /// Tell the publisher to end.
    Kick,
    /// Let the object go.
    Release,
    /// Take the object away: the stream ended by itself.
    End,
}

/// Decides. `server`: the server it belongs to is there. `unheard`: a pod that may have it has not been heard of.
pub fn decide(object: Option<&Known>, live: Option<&Live>, server: bool, unheard: bool) -> Todo {
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
                (false, _, _) => Todo::Show,
                (true, true, true) => Todo::Kick,
                (true, true, false) => Todo::Release,
                (true, false, _) => Todo::Wait,
            }
        }
        _ if unheard => Todo::Wait,
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
                decide(object.as_ref(), live.as_ref(), server, unheard),
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
        assert_eq!(decide(Some(&freed), None, true, false), Todo::Wait);
        assert_eq!(decide(Some(&freed), Some(&live("1")), true, false), Todo::Wait);
    }
}
