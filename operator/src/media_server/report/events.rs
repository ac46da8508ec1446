//! What is told once, when it happens: that pods begin to drain, that a deadline cuts somebody, that a node was given up.

use crate::events::Note;
use crate::media_server::apply::Applied;
use crate::media_server::choose::Why;
use crate::media_server::plan::{Mark, Removal};
use kube::ResourceExt;

/// The notes, few however many pods there are.
pub fn notes(applied: &Applied) -> Vec<Note> {
    let Some(work) = &applied.work else {
        return Vec::new();
    };
    let lost = work.delete.iter().filter(|r| r.why == Why::Lost);
    let cut = work.delete.iter().filter(|r| r.why != Why::Lost && r.publishers > 0);
    [begins(&work.marks), over(cut), gone(lost)]
        .into_iter()
        .flatten()
        .collect()
}

fn begins(marks: &[Mark]) -> Option<Note> {
    let all: Vec<_> = marks
        .iter()
        .filter_map(|m| Some((m.pod.name_any(), m.begins?)))
        .collect();
    let (_, (why, until)) = all.first()?;
    let names: Vec<&str> = all.iter().map(|(name, _)| name.as_str()).collect();
    let because = match why {
        Why::Outdated => "its template is not the server's any more",
        Why::Cordoned => "its node is to be emptied",
        _ => "there are more pods than wanted",
    };
    Some(Note {
        warning: false,
        reason: "DrainStarted".into(),
        message: format!(
            "pod {} drains: {because}; publishers may go on until {until}, see spec.drain.deadlineSeconds",
            names.join(", ")
        ),
        action: "Drain",
    })
}

fn over<'a>(removals: impl Iterator<Item = &'a Removal>) -> Option<Note> {
    let all: Vec<&Removal> = removals.collect();
    let publishers: usize = all.iter().map(|r| r.publishers).sum();
    let names: Vec<String> = all.iter().map(|r| r.pod.name_any()).collect();
    (!all.is_empty()).then(|| Note {
        warning: true,
        reason: "DrainDeadlineOver".into(),
        message: format!(
            "pod {} ends with {publishers} publishers left, who must publish anew; raise spec.drain.deadlineSeconds to give them longer",
            names.join(", ")
        ),
        action: "Drain",
    })
}

fn gone<'a>(removals: impl Iterator<Item = &'a Removal>) -> Option<Note> {
    let names: Vec<String> = removals.map(|r| r.pod.name_any()).collect();
    (!names.is_empty()).then(|| Note {
        warning: true,
        reason: "NodeLost".into(),
        message: format!(
            "pod {} was on a node that is gone or out of service: others are made, and its publishers must publish anew",
            names.join(", ")
        ),
        action: "Replace",
    })
}
