//! What a back end that hangs does to streams that are live: frames lost, and the time from a publisher to its players.

use super::failed;
use super::measure::{Times, real};
use super::people::{endpoint, server};
use super::receiver::Receiver;
use crate::benches::results::Figure;
use crate::error::{Context as _, Error, Result};
use bytes::{BufMut as _, Bytes, BytesMut};
use futures::future::BoxFuture;
use headgate_codec::{Codec, Frame, Timestamp, Track, TrackId, TrackKind};
use headgate_control::{Dialect, HookEvent};
use headgate_hooks::{Hooks, Place, Storage};
use headgate_hub::{
    Connection, EndReason, Format, FormatId, Gate, Hub, Metrics, Packet, Permit, Player, Protocol, Refusal, Request,
    Session, SessionKind, Start, StreamName, Traffic, client_id,
};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// Each way is measured so often, one after the other, so that both see the same machine.
const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(2);
/// Sessions that come and go meanwhile, of each kind, a second.
const NEWCOMERS: u32 = 50;
const PLAYERS: usize = 4;
const FRAME_EVERY: Duration = Duration::from_millis(5);
const FRAME: usize = 1000;

/// Frames from a publisher to players, beside sessions about which a back end is asked and told: one that answers, and one that hangs.
pub async fn measure(receiver: &Receiver) -> Result<Vec<Figure>> {
    let state = super::folder()?;
    let registry = prometheus::Registry::new();
    let (place, storage) = (
        Place {
            allow_loopback: true,
            ..Place::default()
        },
        Storage {
            state: Some(state.path()),
            seal: None,
        },
    );
    let hooks = Hooks::new(&registry, "benchmark", &place, &storage).map_err(failed("making hooks"))?;
    let metrics = Metrics::register(&registry).map_err(failed("making a hub"))?;
    let hub = Hub::new(Arc::new(Asked(hooks.clone())), metrics);
    let point_to = |path: &str| {
        let url = receiver.url(path);
        let asked = endpoint("asked", &url, Dialect::Srs, &[HookEvent::Publish]);
        let told = endpoint("told", &url, Dialect::Srs, &[HookEvent::Unpublish, HookEvent::Stop]);
        hooks.reconfigure(&server(), &[asked, told]);
    };
    point_to("/yes");
    let (epoch, on) = (Instant::now(), Arc::new(AtomicBool::new(true)));
    let publishing = tokio::spawn(publish(hub.clone(), epoch, Arc::clone(&on)));
    let (mut answers, mut hangs, mut lost) = (Times::default(), Times::default(), 0);
    for round in 0..ROUNDS.saturating_mul(2) {
        let (path, times) = if round.is_multiple_of(2) {
            ("/yes", &mut answers)
        } else {
            ("/hang", &mut hangs)
        };
        point_to(path);
        let (seen, gaps) = watch(&hub, epoch).await?;
        times.0.extend(seen);
        lost = gaps.saturating_add(lost);
    }
    on.store(false, Ordering::Relaxed);
    publishing.await.map_err(failed("the publisher"))??;
    let (answers, hangs) = (answers.sorted(), hangs.sorted());
    Ok(vec![
        Figure::new("frame to player, back end answers, p50", answers.p50() * 1000.0, "µs"),
        Figure::new("frame to player, back end answers, p99", answers.p99() * 1000.0, "µs"),
        Figure::new("frame to player, back end hangs, p50", hangs.p50() * 1000.0, "µs"),
        Figure::new("frame to player, back end hangs, p99", hangs.p99() * 1000.0, "µs"),
        Figure::new("ratio of the two, p99", hangs.p99() / answers.p99(), "x").goal(1.05),
        Figure::new("frames lost meanwhile", real(lost), "").goal(0.0),
    ])
}

/// Sends frames that carry their number and time, until it is over.
async fn publish(hub: Hub, epoch: Instant, on: Arc<AtomicBool>) -> Result<()> {
    let client = hub.open(connection("live"));
    let mut publisher = client
        .publish(name("live"), String::new())
        .await
        .map_err(failed("publishing"))?;
    publisher.track(track());
    let mut number = 0_u64;
    while on.load(Ordering::Relaxed) {
        let since = epoch.elapsed();
        let mut payload = BytesMut::with_capacity(FRAME);
        payload.put_u64(number);
        payload.put_u64(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        payload.resize(FRAME, 0);
        let at = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(0));
        publisher.frame(Frame {
            track: TrackId::AUDIO,
            kind: TrackKind::Audio,
            dts: at,
            pts: at,
            key: true,
            payload: payload.freeze(),
        });
        number = number.saturating_add(1);
        tokio::time::sleep(FRAME_EVERY).await;
    }
    Ok(())
}

/// One round: how long frames took, and how many did not come, while others come and go.
async fn watch(hub: &Hub, epoch: Instant) -> Result<(Vec<Duration>, u64)> {
    let begun = Instant::now();
    let mut players = JoinSet::new();
    for _ in 0..PLAYERS {
        let player = join(hub, "live").await.context("a player of the live stream")?;
        players.spawn(read(player, epoch, begun));
    }
    let mut newcomers = JoinSet::new();
    let every = Duration::from_secs(1).checked_div(NEWCOMERS).unwrap_or_default();
    for number in 0_u32.. {
        if begun.elapsed() >= ROUND {
            break;
        }
        let (publishers, viewers) = (hub.clone(), hub.clone());
        newcomers.spawn(async move {
            let client = publishers.open(connection("x"));
            drop(client.publish(name(&format!("x{number}")), String::new()).await);
        });
        newcomers.spawn(async move { drop(join(&viewers, "live").await) });
        tokio::time::sleep(every).await;
    }
    newcomers.shutdown().await;
    let (mut times, mut lost) = (Vec::new(), 0_u64);
    for (seen, gaps) in players.join_all().await {
        if seen.is_empty() {
            return Err(Error::new("a player saw nothing".to_owned()));
        }
        times.extend(seen);
        lost = lost.saturating_add(gaps);
    }
    Ok((times, lost))
}

async fn join(hub: &Hub, stream: &str) -> Result<Player> {
    let client = hub.open(connection(stream));
    client
        .play(name(stream), String::new(), Arc::new(Plain))
        .await
        .map_err(failed("playing"))
}

/// What comes after the first moment, in which there is what was kept for it.
async fn read(mut player: Player, epoch: Instant, round: Instant) -> (Vec<Duration>, u64) {
    let (begun, mut packets) = (epoch.elapsed(), Vec::new());
    let (mut times, mut last, mut lost) = (Vec::new(), None, 0_u64);
    while round.elapsed() < ROUND {
        packets.clear();
        if player.next(&mut packets, 64).await.is_err() {
            break;
        }
        let now = epoch.elapsed();
        for (number, sent) in packets.iter().filter_map(marks) {
            let gap = last.map_or(0, |last: u64| number.saturating_sub(last.saturating_add(1)));
            lost = lost.saturating_add(gap);
            last = Some(number);
            if sent > begun {
                times.push(now.saturating_sub(sent));
            }
        }
    }
    (times, lost)
}

fn marks(packet: &Bytes) -> Option<(u64, Duration)> {
    let number = packet.get(..8)?.try_into().ok()?;
    let sent = packet.get(8..16)?.try_into().ok()?;
    Some((
        u64::from_be_bytes(number),
        Duration::from_nanos(u64::from_be_bytes(sent)),
    ))
}

fn name(stream: &str) -> StreamName {
    StreamName {
        vhost: "__defaultVhost__".into(),
        app: "live".into(),
        stream: stream.into(),
    }
}

fn track() -> Track {
    Track::plain(TrackId::AUDIO, Codec::Aac, Bytes::from_static(&[0x12, 0x10]))
}

fn connection(stream: &str) -> Connection {
    Connection {
        client_id: client_id(),
        protocol: Protocol::Rtmp,
        peer: ([127, 0, 0, 1], 50_000).into(),
        vhost: "__defaultVhost__".into(),
        app: "live".into(),
        stream: stream.into(),
        param: String::new(),
        tc_url: "rtmp://127.0.0.1/live".into(),
        page_url: String::new(),
        started: jiff::Timestamp::now(),
    }
}

/// Payloads as they are.
struct Plain;

impl Format for Plain {
    fn id(&self) -> FormatId {
        FormatId("plain")
    }

    fn start(&self, _: &Start<'_>) -> Bytes {
        Bytes::new()
    }

    fn config(&self, _: &Track, _: Timestamp) -> Bytes {
        Bytes::new()
    }

    fn frame(&self, _: &Track, frame: &Frame) -> Packet {
        frame.payload.clone().into()
    }
}

/// Hooks and nothing else.
struct Asked(Hooks);

impl Gate for Asked {
    fn check(&self, request: &Request) -> std::result::Result<Permit, Refusal> {
        Ok(Permit::as_asked(request))
    }

    fn connect<'a>(&'a self, connection: &'a Arc<Connection>) -> BoxFuture<'a, std::result::Result<(), Refusal>> {
        Box::pin(self.0.connect(connection))
    }

    fn admit<'a>(&'a self, session: &'a Arc<Session>) -> BoxFuture<'a, std::result::Result<(), Refusal>> {
        match session.kind {
            SessionKind::Publish => Box::pin(self.0.publish(session)),
            SessionKind::Play => Box::pin(self.0.play(session)),
        }
    }

    fn ended(&self, session: &Arc<Session>, _: EndReason, traffic: Traffic) {
        match session.kind {
            SessionKind::Publish => self.0.unpublish(session, traffic),
            SessionKind::Play => self.0.stop(session, traffic),
        }
    }

    fn closed(&self, connection: &Arc<Connection>, traffic: Traffic) {
        self.0.close(connection, traffic);
    }
}
