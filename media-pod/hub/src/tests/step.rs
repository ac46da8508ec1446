//! Viewers who are in step with a pass, fall out of it and come back.

use super::pass::Pipe;
use super::support::*;
use crate::*;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

const PATIENCE: Duration = Duration::from_secs(30);
const PLENTY: usize = 1 << 30;

async fn live(w: &World) -> Publisher {
    let mut publisher = publish(&w.hub, "x", "").await.unwrap();
    publisher.track(video_track());
    send(&mut publisher, "V0");
    publisher
}

async fn seat(w: &World, outlet: Arc<dyn Outlet>) -> Seated {
    let player = play(&w.hub, "x", "").await.unwrap();
    player.seat(outlet, vec![Bytes::from_static(b"head ")], PATIENCE)
}

#[tokio::test(start_paused = true)]
async fn what_a_viewer_was_sent_is_counted_to_the_byte_in_step_and_out_of_it() {
    let w = world();
    let mut publisher = live(&w).await;
    let pipes = [PLENTY, PLENTY, 30].map(Pipe::with_room);
    let mut seated = Vec::new();
    for pipe in &pipes {
        seated.push(seat(&w, Arc::clone(pipe) as _).await);
    }
    for n in 1..=20_usize {
        send(&mut publisher, &format!("v{}", n * 40));
        millis(40).await;
        match n {
            7 => seated[1].pause(true),
            9 => seated[1].pause(false),
            12 => pipes[2].make_room(PLENTY),
            _ => {}
        }
    }
    let ids: Vec<_> = seated.iter().map(|viewer| viewer.session().id).collect();
    assert!(w.hub.kick(ids[0], EndReason::Kicked), "in the middle of it");
    millis(1).await;
    let read = pipes.each_ref().map(|pipe| pipe.read().len() as u64);
    for viewer in seated {
        assert_eq!(viewer.leave(EndReason::PeerClosed).await, Vec::<Bytes>::new());
    }
    let media = read.map(|bytes| bytes - 5);
    assert_eq!(ids.iter().map(|id| w.diary.sent.lock()[id]).collect::<Vec<_>>(), media);
    let egress = w.metric("headgate_egress_bytes_total");
    let sum = media
        .iter()
        .fold(0.0, |sum, bytes| sum + f64::from(u32::try_from(*bytes).unwrap()));
    assert!((egress - sum).abs() < 0.5, "{egress} {media:?}");
    drop(publisher);
    w.hub.idle().await;
    assert_eq!(*w.diary.closed_with.lock(), read.iter().sum::<u64>());
}

/// A connection, as both ends see it.
async fn connected(listener: &TcpListener) -> (TcpStream, TcpStream) {
    let (ours, theirs) = tokio::join!(listener.accept(), TcpStream::connect(listener.local_addr().unwrap()));
    (ours.unwrap().0, theirs.unwrap())
}

#[tokio::test]
async fn of_many_sockets_each_gets_every_packet_once_while_others_come_and_go() {
    let w = world();
    let mut publisher = live(&w).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (mut stay, mut leave) = (Vec::new(), Vec::new());
    for n in 0..400_usize {
        let (ours, theirs) = connected(&listener).await;
        let seated = seat(&w, Arc::new(ours)).await;
        if n % 2 == 0 {
            stay.push((seated, theirs));
        } else {
            leave.push((seated, theirs));
        }
    }
    for n in 1..=60_usize {
        send(&mut publisher, &format!("v{n}"));
        // One without a word, one in order, and one that closes and is found out by the write.
        leave.pop();
        if let Some((seated, _theirs)) = leave.pop() {
            seated.leave(EndReason::Kicked).await;
        }
        if let Some((seated, theirs)) = leave.pop() {
            drop(theirs);
            tokio::spawn(async move { seated.over().await });
        }
        let (ours, theirs) = connected(&listener).await;
        stay.push((seat(&w, Arc::new(ours)).await, theirs));
        millis(5).await;
    }
    let last = "v60";
    for (_seated, theirs) in &mut stay {
        let mut text = String::new();
        while !text.ends_with(last) {
            let mut some = [0; 1024];
            let read = tokio::time::timeout(PATIENCE, theirs.read(&mut some)).await;
            let read = read.map_or(0, Result::unwrap);
            assert!(read > 0, "{text}");
            text.push_str(std::str::from_utf8(&some[..read]).unwrap());
        }
        let wanted = (1..=60).map(|n| format!("v{n}")).collect::<Vec<_>>().concat();
        assert_eq!(text, format!("head start(1 at 0)V0{wanted}"));
    }
    drop((publisher, stay, leave));
    w.hub.idle().await;
    w.assert_nothing_is_left();
}
