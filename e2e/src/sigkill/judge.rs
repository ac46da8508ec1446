//! What came of it: those who were let in, beside what the back end heard.

use super::crowd::Comer;
use super::inbox::Seen;
use std::collections::{HashMap, HashSet};

/// See the module.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Sessions that a client saw let in.
    pub(super) let_in: usize,
    /// Closing events that came, repeats among them.
    pub(super) came: usize,
    /// Of the sessions have no closing event.
    pub(super) lost: usize,
    /// Of their connections have none.
    pub(super) unclosed: usize,
    /// Ends that came under more than one id.
    pub(super) renamed: usize,
    /// Ends of what was never asked about.
    pub(super) unasked: usize,
    /// Streams whose publishers did not end in their order.
    pub(super) reordered: usize,
    /// Closing events that came again.
    pub(super) repeats: usize,
}

impl Verdict {
    pub(super) fn of(let_in: &[Comer], seen: &[Seen]) -> Self {
        let ends: Vec<&Seen> = seen.iter().filter(|seen| opening(&seen.action).is_some()).collect();
        let mut ids: HashMap<(&str, &str), HashSet<&str>> = HashMap::new();
        for end in &ends {
            ids.entry((&end.action, key(end))).or_default().insert(&end.id);
        }
        let asked: HashSet<(&str, &str)> = seen.iter().map(|seen| (seen.action.as_str(), key(seen))).collect();
        let clients: HashMap<&str, &str> = seen
            .iter()
            .filter(|seen| !seen.comer.is_empty())
            .map(|seen| (seen.comer.as_str(), seen.client.as_str()))
            .collect();
        let ended = |comer: &&Comer| {
            let end = if comer.publishes { "on_unpublish" } else { "on_stop" };
            ids.contains_key(&(end, comer.query.as_str()))
        };
        let closed = |comer: &&Comer| {
            let client = clients.get(comer.query.as_str());
            client.is_some_and(|client| ids.contains_key(&("on_close", client)))
        };
        let is_unasked =
            |(action, key): &&(&str, &str)| opening(action).is_some_and(|question| !asked.contains(&(question, *key)));
        Self {
            let_in: let_in.len(),
            came: ends.len(),
            lost: let_in.iter().filter(|comer| !ended(comer)).count(),
            unclosed: let_in.iter().filter(|comer| !closed(comer)).count(),
            renamed: ids.values().filter(|ids| ids.len() > 1).count(),
            unasked: ids.keys().filter(is_unasked).count(),
            reordered: reordered(let_in, &ends),
            repeats: ends.len().saturating_sub(ids.values().map(HashSet::len).sum()),
        }
    }

    /// Whether it is as promised, with so many repeats at most.
    pub(super) fn holds(&self, repeats: usize) -> bool {
        let flaws = [self.lost, self.unclosed, self.renamed, self.unasked, self.reordered];
        self.let_in > 0 && flaws == [0; 5] && self.repeats <= repeats
    }
}

/// What is asked before this is told; none for what tells of no end.
fn opening(action: &str) -> Option<&'static str> {
    match action {
        "on_unpublish" => Some("on_publish"),
        "on_stop" => Some("on_play"),
        "on_close" => Some("on_connect"),
        _ => None,
    }
}

/// What tells one of them from the others: the query of a session, the client of a connection.
fn key(seen: &Seen) -> &str {
    match seen.action.as_str() {
        "on_connect" | "on_close" => &seen.client,
        _ => &seen.comer,
    }
}

/// Streams whose publishers, as far as a client saw them let in, ended in another order than they came.
fn reordered(let_in: &[Comer], ends: &[&Seen]) -> usize {
    let mut came: HashMap<&str, Vec<&str>> = HashMap::new();
    for comer in let_in.iter().filter(|comer| comer.publishes) {
        came.entry(&comer.stream).or_default().push(&comer.query);
    }
    let in_order = |(stream, comers): &(&&str, &Vec<&str>)| {
        let known: HashSet<&str> = comers.iter().copied().collect();
        let mut seen = HashSet::new();
        let ended = ends
            .iter()
            .filter(|end| end.action == "on_unpublish" && end.stream == ***stream);
        let ended = ended.map(|end| end.comer.as_str());
        let ended: Vec<&str> = ended.filter(|n| known.contains(n) && seen.insert(*n)).collect();
        // One that is missing is lost, and no matter of order.
        let told: Vec<&str> = comers.iter().copied().filter(|n| seen.contains(n)).collect();
        told == ended
    };
    came.iter().filter(|stream| !in_order(stream)).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comer(n: usize) -> Comer {
        Comer {
            publishes: true,
            stream: "s".into(),
            query: format!("?n={n}"),
        }
    }

    fn seen(action: &str, n: usize, id: &str) -> Seen {
        let of_connection = action == "on_close";
        Seen {
            action: action.into(),
            stream: if of_connection { String::new() } else { "s".into() },
            comer: if of_connection {
                String::new()
            } else {
                format!("?n={n}")
            },
            client: format!("c{n}"),
            id: format!("{action}-{n}-{id}"),
        }
    }

    fn life(n: usize) -> Vec<Seen> {
        ["on_connect", "on_publish", "on_unpublish", "on_close"]
            .map(|action| seen(action, n, ""))
            .into()
    }

    #[test]
    fn who_was_let_in_and_ended_once_is_as_promised() {
        let all = [life(1), life(2)].concat();
        let verdict = Verdict::of(&[comer(1), comer(2)], &all);
        assert!(verdict.holds(0), "{verdict:?}");
        assert_eq!((verdict.let_in, verdict.came), (2, 4));
        assert!(!Verdict::of(&[], &[]).holds(0), "nothing was tried");
    }

    #[test]
    fn every_flaw_is_found() {
        let both = [comer(1), comer(2)];
        let good = [life(1), life(2)].concat();
        let without = |action: &str| {
            let rest = good
                .iter()
                .filter(|seen| !(seen.action == action && seen.client == "c2"));
            Verdict::of(&both, &rest.cloned().collect::<Vec<_>>())
        };
        assert_eq!(
            (without("on_unpublish").lost, without("on_unpublish").reordered),
            (1, 0)
        );
        assert_eq!(without("on_close").unclosed, 1);
        assert_eq!(without("on_publish").unasked, 1);
        let with = |more: Seen| Verdict::of(&both, &[good.clone(), vec![more]].concat());
        assert_eq!(with(seen("on_close", 1, "other")).renamed, 1);
        let again = with(seen("on_close", 1, ""));
        assert_eq!(again.repeats, 1);
        assert!(again.holds(1) && !again.holds(0));
        let swapped = Verdict::of(&both, &[life(2), life(1)].concat());
        assert_eq!(swapped.reordered, 1);
    }
}
