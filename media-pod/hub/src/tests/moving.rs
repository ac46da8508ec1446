//! A hub on its way out.

use super::support::*;
use crate::*;
use futures::FutureExt;

#[tokio::test(start_paused = true)]
async fn newcomers_are_refused_and_who_is_in_or_asked_about_stays() {
    let w = world();
    let client = w.hub.open(connection(""));
    let publisher = client.publish(name("x"), String::new()).await.unwrap();
    let viewer = play(&w.hub, "x", "").await.unwrap();
    let hub = w.hub.clone();
    let asked = tokio::spawn(async move { play(&hub, "x", "?slow=100").await });
    millis(10).await;
    w.hub.let_in(Newcomers::None);
    let asked = asked.await.unwrap();
    assert!(asked.is_ok(), "the back end had been asked");
    let refused = [
        publish(&w.hub, "y", "").await.err(),
        client.publish(name("y"), String::new()).await.err(),
        play(&w.hub, "x", "").await.err(),
    ];
    assert!(
        refused.iter().flatten().all(|r| r.reason == Reason::Draining) && refused.iter().all(Option::is_some),
        "{refused:?}"
    );
    assert_eq!(w.hub.sessions().len(), 3);
    w.hub.let_in(Newcomers::All);
    assert!(play(&w.hub, "x", "").await.is_ok());
    drop((publisher, viewer, asked, client));
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn players_may_still_come_where_publishers_may_not() {
    let w = world();
    let publisher = publish(&w.hub, "x", "").await.unwrap();
    w.hub.let_in(Newcomers::Players);
    let refused = publish(&w.hub, "y", "").await.err().map(|r| r.reason);
    assert_eq!(refused, Some(Reason::Draining));
    let viewer = play(&w.hub, "x", "").await.unwrap();
    drop((publisher, viewer));
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn publishers_hear_that_they_should_leave_and_go_on() {
    let w = world();
    let publisher = publish(&w.hub, "x", "").await.unwrap();
    assert!(publisher.asked_to_leave().now_or_never().is_none());
    w.hub.ask_publishers_to_leave(true);
    publisher.asked_to_leave().await;
    let late = publish(&w.hub, "y", "").await.unwrap();
    late.asked_to_leave().await;
    assert!(publisher.kicked().now_or_never().is_none(), "it is live");
    w.hub.ask_publishers_to_leave(false);
    assert!(publisher.asked_to_leave().now_or_never().is_none());
    drop((publisher, late));
    w.assert_nothing_is_left();
}
