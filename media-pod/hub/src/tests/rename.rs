//! Streams that have other names than their publishers asked for.

use super::support::*;
use crate::*;

#[tokio::test(start_paused = true)]
async fn a_stream_is_played_under_the_name_that_the_gate_gave_and_under_no_other() {
    let w = world();
    let mut publisher = publish(&w.hub, "secret", "?as=room").await.unwrap();
    assert_eq!(publisher.session().name, name("secret"), "who it is stays");
    publisher.track(video_track());
    send(&mut publisher, "V0 v40");
    let mut player = play(&w.hub, "room", "").await.unwrap();
    assert_eq!(read(&mut player).await.unwrap(), "start(1 at 0) V0 v40");
    let streams: Vec<_> = w
        .hub
        .snapshot()
        .into_iter()
        .map(|s| (s.name, s.publisher.is_some()))
        .collect();
    assert_eq!(streams, [(name("room"), true)]);
    assert_eq!(
        (w.hub.found(&name("room")).is_some(), w.hub.found(&name("secret"))),
        (true, None)
    );
    drop((publisher, player));
    w.hub.idle().await;
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn the_name_that_it_asked_for_is_free_and_the_other_is_taken() {
    let w = world();
    let first = publish(&w.hub, "secret", "?as=room").await.unwrap();
    let again = publish(&w.hub, "secret", "").await.unwrap();
    let reason = |outcome: Result<Publisher, Refusal>| outcome.err().map(|refusal| refusal.reason);
    assert_eq!(reason(publish(&w.hub, "room", "").await), Some(Reason::NameBusy));
    assert_eq!(
        reason(publish(&w.hub, "other", "?as=room").await),
        Some(Reason::NameBusy)
    );
    let lines = w.diary.take();
    assert_eq!(
        lines,
        [
            "Publish live/secret",
            "Publish live/secret",
            "Publish live/other",
            "end Publish live/other RenameFailed"
        ],
        "who was let in and cannot have the name has its end"
    );
    drop((first, again));
    assert!(publish(&w.hub, "room", "").await.is_ok());
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_takeover_is_of_the_name_that_the_stream_has() {
    let w = world();
    let _first = publish(&w.hub, "a", "?as=room").await.unwrap();
    let second = publish(&w.hub, "b", "?as=room&takeover").await.unwrap();
    assert_eq!(w.diary.take()[2..], ["end Publish live/a TakenOver"]);
    assert_eq!(w.hub.found(&name("room")), Some(second.session().id));
}

#[tokio::test(start_paused = true)]
async fn a_name_that_cannot_be_is_refused() {
    let w = world();
    let refusal = publish(&w.hub, "x", "?as=a/b").await.err().unwrap();
    assert_eq!(refusal.reason, Reason::BadRequest);
    assert_eq!(w.diary.take(), ["Publish live/x", "end Publish live/x RenameFailed"]);
    w.assert_nothing_is_left();
}
