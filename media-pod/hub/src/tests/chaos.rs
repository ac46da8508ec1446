//! Publishers and players that come, go, stall, are kicked and die in any order leave nothing behind.

use super::pass::Pipe;
use super::support::{self, *};
use crate::*;
use proptest::prelude::*;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use uuid::Uuid;

/// A publisher elsewhere, older than any here.
const OTHER: Uuid = Uuid::from_u128(1);

#[derive(Clone, Debug)]
enum Op {
    Publish { name: u8, how: u8 },
    Play { name: u8, how: u8 },
    Seat { name: u8, how: u8, room: u8 },
    Frames { who: prop::sample::Index, count: u8 },
    Stall { who: prop::sample::Index },
    Finish { who: prop::sample::Index },
    Die { who: prop::sample::Index },
    Kick { who: prop::sample::Index },
    Configure { gop_cache: bool, limit: u8 },
    Wait { millis: u16 },
    Claim { name: u8, takeover: bool },
    Evict { name: u8 },
}

fn op() -> impl Strategy<Value = Op> {
    let who = any::<prop::sample::Index>;
    prop_oneof![
        4 => (0..3_u8, 0..8_u8).prop_map(|(name, how)| Op::Publish { name, how }),
        4 => (0..3_u8, 0..8_u8).prop_map(|(name, how)| Op::Play { name, how }),
        4 => (0..3_u8, 0..8_u8, any::<u8>()).prop_map(|(name, how, room)| Op::Seat { name, how, room }),
        4 => (who(), 1..100_u8).prop_map(|(who, count)| Op::Frames { who, count }),
        1 => who().prop_map(|who| Op::Stall { who }),
        2 => who().prop_map(|who| Op::Finish { who }),
        2 => who().prop_map(|who| Op::Die { who }),
        2 => who().prop_map(|who| Op::Kick { who }),
        1 => (any::<bool>(), 1..6_u8).prop_map(|(gop_cache, limit)| Op::Configure { gop_cache, limit }),
        1 => (0..3_u8, any::<bool>()).prop_map(|(name, takeover)| Op::Claim { name, takeover }),
        1 => (0..3_u8).prop_map(|name| Op::Evict { name }),
        3 => (0..12_000_u16).prop_map(|millis| Op::Wait { millis }),
    ]
}

/// The first four wait for their answer, so that others come in between.
fn param(how: u8) -> &'static str {
    [
        "?slow=120",
        "?slow=120&takeover",
        "?slow=3000",
        "?slow=50&deny",
        "",
        "?takeover",
        "?deny",
        "?noconnect",
    ][usize::from(how)]
}

enum Order {
    Frames(u8),
    Stall,
    Finish,
}

async fn publisher(hub: Hub, stream: String, param: &'static str, mut orders: mpsc::Receiver<Order>) {
    let Ok(mut publisher) = publish(&hub, &stream, param).await else {
        return;
    };
    publisher.track(video_track());
    publisher.track(audio_track());
    let mut time = 0;
    loop {
        tokio::select! {
            _ = publisher.kicked() => return,
            order = orders.recv() => match order {
                Some(Order::Frames(count)) => for n in 0..i64::from(count) {
                    publisher.frame(frame(["V", "v", "a", "v"][usize::from(count.wrapping_add(u8::try_from(n).unwrap()) % 4)], time, 500));
                    time += 20;
                },
                Some(Order::Stall) => {}
                Some(Order::Finish) => return publisher.finish(EndReason::Unpublished),
                None => return,
            }
        }
    }
}

async fn player(hub: Hub, stream: String, param: &'static str, mut orders: mpsc::Receiver<Order>) {
    let Ok(mut player) = play(&hub, &stream, param).await else {
        return;
    };
    let mut out = Vec::new();
    loop {
        tokio::select! {
            next = player.next(&mut out, 8) => if next.is_err() { return },
            order = orders.recv() => match order {
                Some(Order::Stall) => { player.stalled().await; }
                Some(Order::Finish) | None => return player.finish(EndReason::PeerClosed),
                Some(Order::Frames(_)) => {}
            }
        }
        out.clear();
    }
}

/// In a pass, with a socket that takes little or much.
async fn seated(hub: Hub, stream: String, param: &'static str, room: usize, mut orders: mpsc::Receiver<Order>) {
    let Ok(player) = play(&hub, &stream, param).await else {
        return;
    };
    let pipe = Pipe::with_room(room);
    let seated = player.seat(Arc::clone(&pipe) as _, Vec::new(), Duration::from_secs(3));
    let reason = loop {
        tokio::select! {
            reason = seated.over() => break reason,
            order = orders.recv() => match order {
                Some(Order::Stall) => pipe.make_room(0),
                Some(Order::Frames(count)) => pipe.make_room(usize::from(count) * 50),
                Some(Order::Finish) | None => break EndReason::PeerClosed,
            }
        }
        pipe.read();
    };
    seated.leave(reason).await;
}

#[derive(Default)]
struct Crowd(Vec<(mpsc::Sender<Order>, AbortHandle)>);

impl Crowd {
    fn come(&mut self, run: impl FnOnce(mpsc::Receiver<Order>) -> tokio::task::JoinHandle<()>) {
        let (sender, receiver) = mpsc::channel(64);
        self.0.push((sender, run(receiver).abort_handle()));
    }

    fn order(&self, who: prop::sample::Index, order: Order) {
        if !self.0.is_empty() {
            let _ = self.0[who.index(self.0.len())].0.try_send(order);
        }
    }
}

async fn act(w: &World, crowd: &mut Crowd, op: Op) {
    let hub = w.hub.clone();
    match op {
        Op::Publish { name, how } => {
            crowd.come(|orders| tokio::spawn(publisher(hub, format!("s{name}"), param(how), orders)));
        }
        Op::Play { name, how } => {
            crowd.come(|orders| tokio::spawn(player(hub, format!("s{name}"), param(how), orders)));
        }
        Op::Seat { name, how, room } => {
            let room = usize::from(room) * 20;
            crowd.come(|orders| tokio::spawn(seated(hub, format!("s{name}"), param(how), room, orders)));
        }
        Op::Frames { who, count } => crowd.order(who, Order::Frames(count)),
        Op::Stall { who } => crowd.order(who, Order::Stall),
        Op::Finish { who } => crowd.order(who, Order::Finish),
        Op::Die { who } if !crowd.0.is_empty() => crowd.0[who.index(crowd.0.len())].1.abort(),
        Op::Die { .. } => {}
        Op::Kick { who } => {
            let mut ids: Vec<Uuid> = w.hub.0.registry.lock().all().iter().map(|l| l.session.id).collect();
            ids.sort();
            if !ids.is_empty() {
                hub.kick(ids[who.index(ids.len())], EndReason::Kicked);
            }
        }
        Op::Configure { gop_cache, limit } => hub.configure(Settings {
            gop_cache,
            publishers_max: Some(limit.into()),
            viewers_max: Some(limit.into()),
            skips_max: 2,
            ..Settings::default()
        }),
        Op::Claim { name, takeover } => {
            hub.contend(&support::name(&format!("s{name}")), OTHER, takeover);
        }
        Op::Evict { name } => {
            hub.evict(&support::name(&format!("s{name}")), OTHER);
        }
        Op::Wait { millis } => tokio::time::sleep(Duration::from_millis(millis.into())).await,
    }
    tokio::task::yield_now().await;
    assert_one_publisher_a_name(w);
}

fn assert_one_publisher_a_name(w: &World) {
    let lives = w.hub.0.registry.lock().all();
    let publishers: Vec<_> = lives
        .iter()
        .filter(|l| l.session.kind == SessionKind::Publish)
        .map(|l| &l.session.name)
        .collect();
    let names: HashSet<_> = publishers.iter().collect();
    assert_eq!(names.len(), publishers.len());
}

async fn run(ops: Vec<Op>, shut_down: bool, alone: bool) {
    let w = if alone { world() } else { world_among(Arc::new(Feeder)) };
    let mut crowd = Crowd::default();
    for op in ops {
        act(&w, &mut crowd, op).await;
    }
    if shut_down {
        w.hub.end_all(EndReason::Shutdown);
    } else {
        crowd.0.iter().for_each(|(_, task)| task.abort());
    }
    tokio::time::timeout(Duration::from_mins(1), w.hub.idle())
        .await
        .expect("the hub becomes idle");
    drop(crowd);
    tokio::time::sleep(Duration::from_mins(1)).await;
    w.assert_nothing_is_left();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn nothing_is_left_behind(ops in prop::collection::vec(op(), 1..60), shut_down in any::<bool>(), alone in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(ops, shut_down, alone));
    }
}

/// The same on several threads and the real clock, where what happens at once really does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nothing_is_left_behind_when_all_happens_at_once() {
    let w = world();
    let mut tasks = tokio::task::JoinSet::new();
    for n in 0..64_u64 {
        let hub = w.hub.clone();
        tasks.spawn(async move {
            for round in 0..100_u64 {
                let (stream, how) = (
                    format!("s{}", n % 3),
                    ["", "?takeover", "?slow=1&takeover"][usize::try_from(round % 3).unwrap()],
                );
                if n % 2 == 0 {
                    let patience = Duration::from_micros(100 * (round % 30));
                    if let Ok(Ok(mut publisher)) = tokio::time::timeout(patience, publish(&hub, &stream, how)).await {
                        publisher.track(video_track());
                        send(&mut publisher, "V0 v1 v2");
                        tokio::task::yield_now().await;
                        hub.kick(publisher.session().id, EndReason::Kicked);
                    }
                } else if let Ok(mut player) = play(&hub, &stream, "").await {
                    let mut out = Vec::new();
                    let _ = tokio::time::timeout(Duration::from_millis(1), player.next(&mut out, 2)).await;
                }
            }
        });
    }
    tasks.join_all().await;
    w.hub.idle().await;
    w.assert_nothing_is_left();
    assert!(w.diary.admitted.lock().len() > 1000);
}
