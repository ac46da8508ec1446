//! Which failures of back ends users were told of, so that each is told once and an old one never again.

use crate::events::Note;
use headgate_api::LastFailure;
use headgate_control::HookFailure;
use jiff::Timestamp;
use parking_lot::Mutex;
use std::collections::HashMap;

const REMEMBERED: usize = 10_000;

/// Time of the last failure told, by the endpoint's UID.
#[derive(Debug, Default)]
pub struct Told(Mutex<HashMap<String, Timestamp>>);

impl Told {
    /// What to tell of `failure`, if it is news. `shown` is what the status has said before: after a start of the operator it tells
    /// an old failure from a new one.
    pub fn news(&self, uid: &str, failure: &HookFailure, shown: Option<&LastFailure>) -> Option<Note> {
        let mut told = self.0.lock();
        if told.len() >= REMEMBERED {
            told.clear();
        }
        let last = told.insert(uid.to_owned(), failure.time);
        let is_old = match last {
            Some(last) => failure.time <= last,
            None => shown.is_some_and(|s| *s == said(failure)),
        };
        (!is_old).then(|| Note {
            warning: true,
            reason: failure.reason.clone(),
            message: format!("{}: {}", failure.event, failure.message),
            action: "CallBackEnd",
        })
    }
}

/// As the status says it.
pub fn said(failure: &HookFailure) -> LastFailure {
    let cut = |text: &str, max| text.chars().take(max).collect();
    LastFailure {
        event: cut(&failure.event, 64),
        reason: cut(&failure.reason, 64),
        message: cut(&failure.message, 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(second: i64) -> HookFailure {
        HookFailure {
            event: "on_publish".into(),
            reason: "HookDenied".into(),
            message: "code 1".into(),
            time: Timestamp::from_second(second).unwrap(),
        }
    }

    #[test]
    fn a_failure_is_told_once() {
        let told = Told::default();
        let note = told.news("u", &failure(1), None).unwrap();
        assert_eq!(
            (note.reason.as_str(), note.message.as_str()),
            ("HookDenied", "on_publish: code 1")
        );
        assert_eq!(told.news("u", &failure(1), None), None);
        assert!(told.news("u", &failure(2), None).is_some());
    }

    #[test]
    fn a_failure_that_the_status_shows_already_is_not_told_again_by_the_next_operator() {
        let told = Told::default();
        assert_eq!(told.news("u", &failure(1), Some(&said(&failure(1)))), None);
        assert!(told.news("u", &failure(2), Some(&said(&failure(1)))).is_some());
    }
}
