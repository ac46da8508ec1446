//! Streams from elsewhere, streams for elsewhere, and names that are asked for elsewhere.

use super::support::*;
use crate::*;
use bytes::Bytes;
use futures::future::BoxFuture;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use uuid::Uuid;

/// Other pods that keep what they are asked.
#[derive(Default)]
struct Others {
    edges: Mutex<Vec<Edge>>,
    claims: Mutex<Vec<Uuid>>,
    evictions: Mutex<Vec<Uuid>>,
    busy: Mutex<bool>,
    slow: Mutex<Duration>,
}

impl Elsewhere for Others {
    fn claim<'a>(&'a self, session: &'a Arc<Session>, _: bool) -> BoxFuture<'a, Answer> {
        Box::pin(async move {
            self.claims.lock().push(session.id);
            let slow = *self.slow.lock();
            tokio::time::sleep(slow).await;
            if *self.busy.lock() { Answer::Taken } else { Answer::Free }
        })
    }

    fn established<'a>(&'a self, session: &'a Arc<Session>) -> BoxFuture<'a, ()> {
        self.evictions.lock().push(session.id);
        Box::pin(std::future::ready(()))
    }

    fn wanted(&self, edge: Edge) {
        self.edges.lock().push(edge);
    }
}

impl Others {
    fn edge(&self) -> Edge {
        let mut edges = self.edges.lock();
        assert_eq!(edges.len(), 1, "edges that are wanted");
        edges.remove(0)
    }
}

fn among() -> (World, Arc<Others>) {
    let others = Arc::new(Others::default());
    (world_among(Arc::clone(&others) as Arc<_>), others)
}

fn origin() -> Origin {
    Origin {
        session: Uuid::now_v7(),
        pod: "live-1".into(),
    }
}

fn feed(edge: &Edge, words: &str) {
    for word in words.split_whitespace() {
        edge.frame(frame(&word[..1], word[1..].parse().unwrap(), 100));
    }
}

#[tokio::test(start_paused = true)]
async fn one_edge_serves_all_viewers_and_is_nobodys_session() {
    let (w, others) = among();
    let mut first = play(&w.hub, "x", "").await.unwrap();
    let edge = others.edge();
    let mut second = play(&w.hub, "x", "").await.unwrap();
    assert!(others.edges.lock().is_empty());
    assert!(edge.begin(origin()));
    edge.track(video_track());
    edge.metadata(Bytes::from_static(b"meta"));
    feed(&edge, "V0 v40");
    assert_eq!(read(&mut first).await.unwrap(), "start(1 at 0) V0 v40");
    assert_eq!(read(&mut second).await.unwrap(), "start(1 at 0) V0 v40");
    let snapshot = w.hub.snapshot();
    assert!(snapshot[0].publisher.is_none());
    assert_eq!(snapshot[0].origin.as_ref().map(|o| &*o.pod), Some("live-1"));
    assert_eq!(snapshot[0].viewers.get(&Protocol::Rtmp), Some(&2));
    assert!(w.metric("headgate_publishers").abs() < f64::EPSILON);
    assert!(
        w.hub.found(&name("x")).is_none() && w.hub.tap(&name("x"), &readable()).is_none(),
        "no circles"
    );
    assert_eq!(w.diary.take(), ["Play live/x", "Play live/x"]);
    drop((first, second, edge));
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn an_edge_is_over_some_seconds_after_its_last_viewer() {
    let (w, others) = among();
    let viewer = play(&w.hub, "x", "").await.unwrap();
    let edge = others.edge();
    let over = |for_: u64| timeout(Duration::from_millis(for_), edge.over());
    assert!(over(60_000).await.is_err());
    drop(viewer);
    assert!(over(4_000).await.is_err());
    let viewer = play(&w.hub, "x", "").await.unwrap();
    assert!(others.edges.lock().is_empty(), "it is still the same");
    assert!(over(20_000).await.is_err());
    drop(viewer);
    assert!(over(5_100).await.is_ok());
    let _viewer = play(&w.hub, "x", "").await.unwrap();
    assert!(!edge.begin(origin()), "over is over");
    drop(edge);
    others.edge();
}

#[tokio::test(start_paused = true)]
async fn viewers_stay_while_sources_come_and_go() {
    let (w, others) = among();
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    let edge = others.edge();
    for (round, start) in ["start", "resumed", "resumed"].into_iter().enumerate() {
        assert!(edge.begin(origin()));
        edge.track(video_track());
        feed(&edge, "V0 v40");
        assert_eq!(
            read(&mut viewer).await.unwrap(),
            format!("{start}(1 at 0) V0 v40"),
            "{round}"
        );
        edge.end();
        feed(&edge, "V80");
        millis(8_000).await;
    }
    assert_eq!(read(&mut viewer).await, Err(EndReason::StreamEnded));
}

#[tokio::test(start_paused = true)]
async fn a_publisher_that_comes_displaces_the_edge_and_one_that_goes_makes_another() {
    let (w, others) = among();
    let mut viewer = play(&w.hub, "x", "").await.unwrap();
    let edge = others.edge();
    edge.begin(origin());
    edge.track(video_track());
    feed(&edge, "V0");
    read(&mut viewer).await.unwrap();
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    timeout(Duration::from_millis(1), edge.over()).await.unwrap();
    feed(&edge, "v40");
    edge.end();
    drop(edge);
    publisher.track(video_track());
    send(&mut publisher, "V7");
    assert_eq!(read(&mut viewer).await.unwrap(), "resumed(1 at 7) V7");
    drop(publisher);
    let edge = others.edge();
    assert!(edge.begin(origin()));
    drop((viewer, edge));
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn the_end_of_all_ends_edges_and_wants_no_more() {
    let (w, others) = among();
    let viewers = [
        play(&w.hub, "x", "").await.unwrap(),
        play(&w.hub, "x", "").await.unwrap(),
    ];
    let edge = others.edge();
    w.hub.end_all(EndReason::Shutdown);
    edge.over().await;
    drop((viewers, edge));
    w.hub.idle().await;
    assert!(others.edges.lock().is_empty());
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_name_that_is_taken_elsewhere_is_refused_before_the_gate_is_asked() {
    let (w, others) = among();
    *others.busy.lock() = true;
    let refused = publish(&w.hub, "x", "").await.err().unwrap();
    assert_eq!((refused.reason, w.diary.take().len()), (Reason::NameBusy, 0));
    w.assert_nothing_is_left();
    *others.busy.lock() = false;
    let publisher = publish(&w.hub, "x", "").await.unwrap();
    assert!(others.evictions.lock().is_empty(), "only who takes over evicts");
    drop(publisher);
    let publisher = publish(&w.hub, "x", "?takeover").await.unwrap();
    millis(1).await;
    assert_eq!(*others.evictions.lock(), [publisher.session().id]);
}

#[tokio::test(start_paused = true)]
async fn one_who_is_beaten_while_it_asks_is_refused_and_one_who_is_in_can_be_evicted() {
    let (w, others) = among();
    *others.slow.lock() = Duration::from_millis(100);
    let (lower, higher) = (Uuid::nil(), Uuid::max());
    let beaten = async {
        millis(50).await;
        assert_eq!(w.hub.contend(&name("x"), higher, true), Answer::Taken);
        assert_eq!(w.hub.contend(&name("x"), lower, true), Answer::Free);
    };
    let (asked, ()) = tokio::join!(publish(&w.hub, "x", "?takeover"), beaten);
    assert_eq!(asked.err().map(|r| r.reason), Some(Reason::NameBusy));
    let publisher = publish(&w.hub, "x", "?takeover").await.unwrap();
    assert_eq!(w.hub.contend(&name("x"), lower, false), Answer::Taken);
    assert!(!w.hub.evict(&name("x"), lower), "it did not ask to take over");
    assert_eq!(w.hub.contend(&name("x"), lower, true), Answer::Free);
    assert!(!w.hub.evict(&name("x"), publisher.session().id), "not by itself");
    assert!(w.hub.evict(&name("x"), lower));
    assert_eq!(publisher.kicked().await, EndReason::TakenOver);
    assert_eq!(w.diary.take(), ["Publish live/x", "end Publish live/x TakenOver"]);
}

fn readable() -> Arc<dyn Format> {
    Arc::new(Readable)
}

async fn taken(tap: &mut Tap) -> Option<String> {
    let mut out = Vec::new();
    if !tap.next(&mut out, 100).await {
        return None;
    }
    let words: Vec<String> = out.iter().map(|b| String::from_utf8_lossy(b).into_owned()).collect();
    Some(words.join(" "))
}

#[tokio::test(start_paused = true)]
async fn a_tap_takes_all_from_the_newest_key_frame_to_the_last_frame_and_is_no_viewer() {
    let w = world();
    assert!(w.hub.tap(&name("x"), &readable()).is_none());
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(video_track());
    send(&mut publisher, "V0 v40 V80 v120");
    let mut tap = w.hub.tap(&name("x"), &readable()).unwrap();
    assert_eq!(tap.publisher(), publisher.session().id);
    assert_eq!(taken(&mut tap).await.unwrap(), "start(1 at 80) V80 v120");
    assert!(w.hub.snapshot()[0].viewers.is_empty());
    send(&mut publisher, "v160");
    drop(publisher);
    assert_eq!(taken(&mut tap).await.unwrap(), "v160");
    assert_eq!(taken(&mut tap).await, None);
    drop(tap);
    w.assert_nothing_is_left();
}

#[tokio::test(start_paused = true)]
async fn a_tap_ends_when_another_publisher_takes_over() {
    let w = world();
    let _old = publish(&w.hub, "x", "").await.unwrap();
    let mut tap = w.hub.tap(&name("x"), &readable()).unwrap();
    let _new = publish(&w.hub, "x", "?takeover").await.unwrap();
    assert_eq!(taken(&mut tap).await, None);
}
