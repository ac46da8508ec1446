use super::*;
use crate::testing;

#[test]
fn a_sequence_grows_by_every_call_and_starts_at_the_clock() {
    let (one, later) = (Sequence::default(), Sequence::default());
    let numbers: Vec<u64> = (0..10_000).map(|_| one.next()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert!(later.next() > numbers.first().copied().unwrap_or(u64::MAX));
}

fn ended(player: bool, playable: bool) -> Event {
    let event = testing::event(HookEvent::Unpublish, "alice");
    let started = event.time;
    let time = started
        .checked_add(jiff::SignedDuration::from_secs(90))
        .unwrap_or(started);
    let details = Details::Ended {
        played_as: None,
        started,
        player,
        playable,
        without: Box::default(),
    };
    Event { time, details, ..event }
}

#[test]
fn the_end_of_a_publisher_is_also_that_of_what_could_be_played_and_of_its_flow() {
    let sequence = Sequence::default();
    let end = ended(false, true);
    let events = end.clone().with_kin(&sequence, |_| true);
    let kinds: Vec<HookEvent> = events.iter().map(|event| event.kind).collect();
    let (flow, changed) = (HookEvent::FlowReport, HookEvent::StreamChanged);
    assert_eq!(kinds, [flow, changed, changed, changed, changed, HookEvent::Unpublish]);
    assert!(events.is_sorted_by(|a, b| a.sequence < b.sequence));
    let again = end.with_kin(&sequence, |_| true);
    let ids = |events: &[Event]| events.iter().map(|event| event.id).collect::<Vec<_>>();
    assert_eq!(ids(&events), ids(&again), "whoever tells it");
    assert_eq!(
        ids(&events).into_iter().collect::<std::collections::HashSet<_>>().len(),
        6
    );
    assert_eq!(events.first().map(Event::seconds), Some(90));
}

#[test]
fn the_end_of_a_connection_is_nothing_else() {
    let close = testing::event(HookEvent::Close, "alice");
    assert_eq!(close.clone().with_kin(&Sequence::default(), |_| true), [close]);
}

#[test]
fn an_event_that_was_written_down_is_the_same_when_it_is_read() {
    for event in ended(false, true).with_kin(&Sequence::default(), |_| true) {
        let text = serde_json::to_string(&event).unwrap_or_default();
        assert_eq!(serde_json::from_str::<Event>(&text).ok(), Some(event));
    }
}

#[test]
fn what_nobody_wants_is_not_made() {
    let sequence = Sequence::default();
    let end = ended(false, true);
    assert_eq!(end.clone().with_kin(&sequence, |_| false), std::slice::from_ref(&end));
    let flow = end.with_kin(&sequence, |kind| kind == HookEvent::FlowReport);
    assert_eq!(flow.len(), 2);
}
