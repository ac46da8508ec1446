//! Who gets in, and how sessions end.

use super::support::*;
use crate::*;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_publisher_is_asked_about_once_and_told_of_once() {
    let w = world();
    let publisher = publish(&w.hub, "x", "").await.unwrap();
    assert!((w.metric("headgate_publishers") - 1.0).abs() < f64::EPSILON);
    publisher.finish(EndReason::Unpublished);
    assert_eq!(w.diary.take(), ["Publish live/x", "end Publish live/x Unpublished"]);
    w.hub.idle().await;
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_is_refused_before_the_gate_is_asked() {
    let w = world();
    let first = publish(&w.hub, "x", "").await.unwrap();
    assert_eq!(
        publish(&w.hub, "x", "").await.err().map(|r| r.reason),
        Some(Reason::NameBusy)
    );
    assert_eq!(w.diary.take(), ["Publish live/x"]);
    drop(first);
    assert!(publish(&w.hub, "x", "").await.is_ok());
    assert!((w.metric("headgate_sessions_refused_total") - 1.0).abs() < f64::EPSILON);
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn of_two_at_the_same_instant_exactly_one_gets_in() {
    let w = world();
    for param in ["?slow=100", "?slow=100&takeover"] {
        let (a, b) = tokio::join!(publish(&w.hub, "x", param), publish(&w.hub, "x", param));
        let busy = [&a, &b]
            .iter()
            .filter(|r| matches!(r, Err(r) if r.reason == Reason::NameBusy))
            .count();
        assert_eq!(([&a, &b].iter().filter(|r| r.is_ok()).count(), busy), (1, 1));
        drop((a, b));
    }
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_frees_the_name_and_no_end_is_told() {
    let w = world();
    for (param, reason) in [
        ("?deny", Reason::HookDenied),
        ("?wrong", Reason::KeyWrong),
        ("?noconnect", Reason::HookDenied),
    ] {
        assert_eq!(publish(&w.hub, "x", param).await.err().map(|r| r.reason), Some(reason));
        w.assert_nothing_is_left();
    }
    assert_eq!(w.diary.take(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_the_gate_is_asked_leaves_nothing() {
    let w = world();
    for (param, told) in [("?slow=200", true), ("?slow=200&deny", false)] {
        let gone = tokio::time::timeout(Duration::from_millis(50), publish(&w.hub, "x", param)).await;
        assert!(gone.is_err());
        assert!(w.hub.0.registry.lock().is_empty(), "the name is free at once");
        let next = publish(&w.hub, "x", "?slow=10").await;
        assert!(next.is_ok());
        drop(next);
        w.hub.idle().await;
        let expected = ["Publish live/x", "end Publish live/x PeerClosed"];
        assert_eq!(w.diary.take(), expected.repeat(if told { 2 } else { 1 }));
        w.assert_nothing_is_left();
    }
}

#[tokio::test(start_paused = true)]
async fn the_older_publisher_is_cut_only_once_the_newcomer_is_admitted() {
    let w = world();
    let old = publish(&w.hub, "x", "").await.unwrap();
    assert!(publish(&w.hub, "x", "?takeover&deny").await.is_err());
    assert_eq!(w.diary.take(), ["Publish live/x"]);
    let new = publish(&w.hub, "x", "?takeover&slow=100").await.unwrap();
    assert_eq!(old.kicked().await, EndReason::TakenOver);
    assert_eq!(w.diary.take(), ["Publish live/x", "end Publish live/x TakenOver"]);
    drop(old);
    assert_eq!(
        w.hub.snapshot()[0].publisher.as_ref().map(|p| p.session.id),
        Some(new.session().id)
    );
    drop(new);
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn limits_count_those_who_are_asked_about_and_not_the_one_who_is_displaced() {
    let w = world();
    w.hub.configure(Settings {
        publishers_max: Some(1),
        viewers_max: Some(1),
        ..Settings::default()
    });
    let (a, b) = tokio::join!(publish(&w.hub, "x", "?slow=9"), publish(&w.hub, "y", ""));
    assert_eq!(
        (a.is_ok(), b.err().map(|r| r.reason)),
        (true, Some(Reason::LimitReached))
    );
    assert!(publish(&w.hub, "x", "?takeover").await.is_ok());
    let viewer = play(&w.hub, "x", "").await.unwrap();
    assert_eq!(
        play(&w.hub, "x", "").await.err().map(|r| r.reason),
        Some(Reason::LimitReached)
    );
    drop((a, viewer));
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_key_lets_in_as_many_publishers_as_it_may() {
    let w = world();
    let a = publish(&w.hub, "x", "?key=k&max=1").await.unwrap();
    assert_eq!(
        publish(&w.hub, "y", "?key=k&max=1").await.err().map(|r| r.reason),
        Some(Reason::LimitReached)
    );
    assert!(publish(&w.hub, "y", "?key=other&max=1").await.is_ok());
    let again = publish(&w.hub, "x", "?key=k&max=1&takeover").await.unwrap();
    drop((a, again));
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_kick_ends_a_session_at_once_even_when_its_handle_is_stuck() {
    let w = world();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    let mut player = play(&w.hub, "x", "").await.unwrap();
    let (p, v) = (publisher.session().id, player.session().id);
    assert!(w.hub.kick(p, EndReason::Kicked) && w.hub.kick(v, EndReason::Kicked));
    assert!(!w.hub.kick(p, EndReason::Kicked), "a second kick finds nobody");
    assert!(publish(&w.hub, "x", "").await.is_ok(), "the name is free");
    publisher.track(video_track());
    send(&mut publisher, "V0 v40");
    assert_eq!(
        (publisher.kicked().await, read(&mut player).await),
        (EndReason::Kicked, Err(EndReason::Kicked))
    );
    drop((publisher, player));
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn after_the_end_of_all_nobody_gets_in_and_the_hub_is_idle() {
    let w = world();
    let publisher = publish(&w.hub, "x", "").await.unwrap();
    let hub = w.hub.clone();
    let asked = tokio::spawn(async move { publish(&hub, "y", "?slow=100").await.err().map(|r| r.reason) });
    millis(10).await;
    w.hub.end_all(EndReason::Shutdown);
    assert_eq!(publisher.kicked().await, EndReason::Shutdown);
    w.hub.idle().await;
    assert_eq!(asked.await.unwrap(), Some(Reason::Draining));
    assert_eq!(
        publish(&w.hub, "z", "").await.err().map(|r| r.reason),
        Some(Reason::Draining)
    );
    drop(publisher);
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_connection_is_asked_about_once_and_closed_after_its_last_session() {
    let w = world();
    let client = w.hub.open(connection(""));
    let first = client.publish(name("x"), String::new()).await.unwrap();
    first.finish(EndReason::Unpublished);
    let second = client.publish(name("x"), String::new()).await.unwrap();
    assert_eq!((*w.diary.connects.lock(), *w.diary.closes.lock()), (1, 0));
    drop(client);
    assert_eq!(*w.diary.closes.lock(), 0);
    drop(second);
    assert_eq!(*w.diary.closes.lock(), 1);
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_snapshot_shows_tracks_rates_and_viewers() {
    let w = world();
    let mut changed = w.hub.changed();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    assert!(changed.has_changed().unwrap());
    publisher.track(video_track());
    changed.borrow_and_update();
    publisher.track(video_track());
    assert!(!changed.has_changed().unwrap(), "a repeated track is no news");
    let _viewer = play(&w.hub, "x", "").await.unwrap();
    for n in 0..100 {
        publisher.frame(frame("V", n * 40, 5_000));
        millis(40).await;
    }
    let snapshot = w.hub.snapshot();
    let figures = snapshot[0].publisher.as_ref().unwrap();
    assert_eq!(
        (snapshot.len(), snapshot[0].tracks.len(), figures.bits_per_second),
        (1, 1, 1_000_000)
    );
    assert!((figures.frames_per_second - 25.0).abs() < 0.01);
    assert_eq!(snapshot[0].viewers.get(&Protocol::Rtmp), Some(&1));
}
