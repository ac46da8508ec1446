//! Streams that are pushed to a real RTMP server on this machine.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may fail by panic")]

use bytes::Bytes;
use headgate_codec::{AudioInfo, Codec, Frame, Timestamp, Track, TrackId, TrackKind};
use headgate_flv::Form;
use headgate_hub::{Connection, Forward, Hub, Metrics, OpenGate, Player, Protocol, Publisher, StreamName, client_id};
use headgate_relay::{Lookup, Push, PushLimits, PushMetrics};
use headgate_rtmp::format::RtmpFormat;
use headgate_rtmp::serve::{Options, serve};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(10);

fn hub() -> Hub {
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    Hub::new(Arc::new(OpenGate), metrics)
}

fn client(hub: &Hub) -> headgate_hub::Client {
    hub.open(Connection {
        client_id: client_id(),
        protocol: Protocol::Rtmp,
        peer: SocketAddr::from(([127, 0, 0, 1], 1)),
        vhost: "v".into(),
        app: "live".into(),
        stream: "alice".into(),
        param: String::new(),
        tc_url: String::new(),
        page_url: String::new(),
        started: jiff::Timestamp::now(),
    })
}

fn name(vhost: &str, stream: &str) -> StreamName {
    StreamName::parse(vhost, "live", stream).unwrap()
}

struct Target {
    hub: Hub,
    addr: SocketAddr,
    shutdown: CancellationToken,
    task: tokio::task::JoinHandle<()>,
}

impl Target {
    async fn at(addr: SocketAddr) -> Self {
        let (hub, shutdown) = (hub(), CancellationToken::new());
        let listener = TcpListener::bind(addr).await.unwrap();
        let addr = listener.local_addr().unwrap();
        let task = tokio::spawn(serve(listener, hub.clone(), Options::default(), shutdown.clone()));
        Self {
            hub,
            addr,
            shutdown,
            task,
        }
    }

    async fn stop(self) -> SocketAddr {
        self.shutdown.cancel();
        self.task.await.unwrap();
        self.addr
    }

    async fn until_published(&self, is: bool) {
        let name = name("__defaultVhost__", "copy");
        until("the copy comes or goes", || self.hub.found(&name).is_some() == is).await;
    }

    async fn player(&self) -> Player {
        let format = Arc::new(RtmpFormat(Form::default()));
        let name = name("__defaultVhost__", "copy");
        client(&self.hub).play(name, String::new(), format).await.unwrap()
    }
}

async fn until(what: &str, is: impl Fn() -> bool) {
    let wait = async {
        while !is() {
            sleep(Duration::from_millis(5)).await;
        }
    };
    assert!(timeout(SOON, wait).await.is_ok(), "{what}");
}

/// Knows one name, and counts how often it is asked.
fn lookup(asked: &Arc<AtomicUsize>) -> Lookup {
    let asked = Arc::clone(asked);
    Arc::new(move |host, port| {
        asked.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            match host.as_str() {
                "target.test" => Ok(vec![SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)]),
                _ => Err(io::Error::other(
                    "address 169.254.169.254 is not one that may be dialled",
                )),
            }
        })
    })
}

fn limits() -> PushLimits {
    PushLimits {
        pause: [Duration::from_millis(20), Duration::from_millis(100)],
        ..PushLimits::default()
    }
}

struct Origin {
    hub: Hub,
    push: Push,
    registry: prometheus::Registry,
    asked: Arc<AtomicUsize>,
}

impl Origin {
    fn new(limits: PushLimits) -> Self {
        let (hub, registry, asked) = (hub(), prometheus::Registry::new(), Arc::default());
        let metrics = PushMetrics::register(&registry).unwrap();
        let push = Push::new(hub.clone(), lookup(&asked), limits, metrics, CancellationToken::new());
        Self {
            hub,
            push,
            registry,
            asked,
        }
    }

    async fn publisher(&self) -> Publisher {
        client(&self.hub)
            .publish(name("v", "alice"), String::new())
            .await
            .unwrap()
    }

    fn metric(&self, name: &str) -> f64 {
        let families = self.registry.gather();
        let family = families.iter().find(|f| f.name() == name).unwrap();
        let metric = &family.get_metric()[0];
        metric.get_gauge().get_value() + metric.get_counter().get_value()
    }
}

/// G.711, whose every frame can be heard by itself.
fn feed(publisher: &mut Publisher, from: i64) {
    let info = AudioInfo {
        sample_rate: 8_000,
        channels: 1,
    };
    publisher.metadata(Bytes::from_static(b"\x02\0\x0aonMetaData\x08\0\0\0\0\0\0\x09"));
    publisher.track(Track::sound(TrackId::AUDIO, Codec::G711a, info));
    for at in 0..5 {
        let dts = Timestamp::from_millis(from.saturating_add(at * 1_000));
        publisher.frame(Frame {
            track: TrackId::AUDIO,
            kind: TrackKind::Audio,
            dts,
            pts: dts,
            key: true,
            payload: Bytes::from(vec![u8::try_from(at).unwrap(); 70_000]),
        });
    }
}

#[tokio::test]
async fn a_stream_is_pushed_from_its_beginning_to_its_end_and_over_a_restart_of_the_target() {
    let target = Target::at(SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let origin = Origin::new(limits());
    let mut publisher = origin.publisher().await;
    let url = format!("rtmp://target.test:{}/live/copy?key=k", target.addr.port());
    origin.push.forward(publisher.session(), &[url]).unwrap();
    target.until_published(true).await;
    let mut player = target.player().await;
    until("the push is live", || origin.metric("headgate_pushes_live") > 0.0).await;
    feed(&mut publisher, 0);
    let (mut got, mut local) = (Vec::new(), Vec::new());
    let mut here = client(&origin.hub)
        .play(name("v", "alice"), String::new(), Arc::new(RtmpFormat(Form::default())))
        .await
        .unwrap();
    // The last frame is where both can start.
    timeout(SOON, here.next(&mut local, 64)).await.unwrap().unwrap();
    while got.last() != local.last() {
        timeout(SOON, player.next(&mut got, 64)).await.unwrap().unwrap();
    }

    let addr = target.stop().await;
    until("it is noticed", || origin.metric("headgate_push_failures_total") > 0.0).await;
    let target = Target::at(addr).await;
    target.until_published(true).await;
    publisher.finish(headgate_hub::EndReason::Unpublished);
    target.until_published(false).await;
    until("nothing is left", || origin.metric("headgate_pushes") == 0.0).await;
    assert!(origin.metric("headgate_push_bytes_total") > 300_000.0);
    target.stop().await;
}

#[tokio::test]
async fn what_may_not_be_dialled_is_not_and_ends_with_its_stream() {
    let origin = Origin::new(limits());
    let publisher = origin.publisher().await;
    let urls = ["rtmp://metadata.test/live/x".to_owned()];
    origin.push.forward(publisher.session(), &urls).unwrap();
    until("it is tried again", || {
        origin.metric("headgate_push_failures_total") > 2.0
    })
    .await;
    assert_eq!(origin.metric("headgate_pushes_live"), 0.0);
    drop(publisher);
    until("nothing is left", || origin.metric("headgate_pushes") == 0.0).await;
    let asked = origin.asked.load(Ordering::Relaxed);
    sleep(Duration::from_millis(200)).await;
    assert_eq!(
        origin.asked.load(Ordering::Relaxed),
        asked,
        "nobody asks for it any more"
    );
}

#[tokio::test]
async fn bad_targets_and_too_many_are_refused_together() {
    let origin = Origin::new(PushLimits {
        targets: 2,
        pushes: 3,
        ..limits()
    });
    let publisher = origin.publisher().await;
    let url = |n: i32| format!("rtmp://target.test:1/live/secret{n}");
    let refused = |urls: &[String]| {
        let refusal = origin.push.forward(publisher.session(), urls).unwrap_err();
        assert!(!refusal.to_string().contains("secret"), "{refusal}");
        refusal.to_string()
    };
    assert!(refused(&[url(1), "http://target.test/secret".into()]).contains("neither rtmp:// nor rtmps://"));
    assert!(refused(&[url(1), url(2), url(3)]).contains("3 URLs"));
    assert_eq!(origin.metric("headgate_pushes"), 0.0, "nothing is pushed then");
    // The same twice is one.
    origin.push.forward(publisher.session(), &[url(1), url(1)]).unwrap();
    assert_eq!(origin.metric("headgate_pushes"), 1.0);
    origin.push.forward(publisher.session(), &[url(2), url(3)]).unwrap();
    assert!(refused(&[url(4)]).starts_with("LimitReached"));
}
