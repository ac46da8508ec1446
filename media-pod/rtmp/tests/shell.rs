//! The shell over real sockets: every rule that ends a connection, and what is said then.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panic"
)]

mod support;

use bytes::Bytes;
use headgate_hub::{EndReason, Newcomers, Settings};
use headgate_rtmp::amf0::Value;
use headgate_rtmp::client::{Event, Purpose};
use headgate_rtmp::serve::Options;
use std::time::Duration;
use support::{Peer, SEQUENCE_HEADER, SOON, Server, frame, video_of};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

#[tokio::test]
async fn a_player_that_stops_reading_is_cut_and_nobody_else_notices() {
    let options = Options {
        stall_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let server = Server::start(options).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let _stuck = Peer::started(&server, Purpose::Play, "alice").await;
    let mut good = Peer::started(&server, Purpose::Play, "alice").await;
    assert_eq!(server.viewers(), 2);
    publisher.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
    for n in 0..100 {
        publisher.session.video(n, frame(true, 200_000));
        publisher.send().await;
        while video_of(good.next().await.unwrap()).is_none_or(|(time, body)| time != n || body.len() < 1000) {}
    }
    server.until("the stuck player is cut", |s| s.viewers() == 1).await;
    assert_eq!(server.publishers(), ["live/alice"]);
}

#[tokio::test]
async fn chatter_keeps_nobody_alive() {
    let options = Options {
        handshake_timeout: Duration::from_millis(300),
        ..Options::default()
    };
    let server = Server::start(options).await;
    let mut peer = Peer::started(&server, Purpose::Play, "alice").await;
    peer.command("closeStream", vec![Value::Null]).await.unwrap();
    server.until("the play is over", |s| s.viewers() == 0).await;
    sleep(Duration::from_millis(400)).await;
    peer.command("pause", vec![Value::Null, Value::Boolean(true)])
        .await
        .unwrap();
    let answer = peer.next().await;
    assert!(answer.is_some(), "a connection that has had its stream has longer");

    let mut idle = TcpStream::connect(server.addr).await.unwrap();
    let chat = async {
        loop {
            if idle.write_all(&[3]).await.is_err() || idle.read(&mut [0; 8]).await.unwrap_or(0) == 0 {
                return;
            }
        }
    };
    assert!(
        timeout(SOON, chat).await.is_ok(),
        "a peer that never says what it wants is closed"
    );
}

#[tokio::test]
async fn a_publisher_that_falls_silent_is_ended() {
    let server = Server::start(Options::default()).await;
    server.hub.configure(Settings {
        first_media_max: Duration::from_millis(300),
        silence_max: Duration::from_millis(200),
        ..Settings::default()
    });
    for packets in [0, 1] {
        let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
        for _ in 0..packets {
            publisher.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
        }
        publisher.rest().await;
        server.until("its session is over", |s| s.publishers().is_empty()).await;
    }
}

#[tokio::test]
async fn a_kicked_publisher_and_a_kicked_player_are_told() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let session = server.hub.snapshot()[0].publisher.as_ref().unwrap().session.id;
    assert!(server.hub.kick(session, EndReason::Kicked));
    let said = publisher.rest().await;
    assert!(
        said.iter()
            .any(|e| matches!(e, Event::Refused { description, .. } if description.starts_with("Kicked"))),
        "{said:?}"
    );

    let mut player = Peer::started(&server, Purpose::Play, "alice").await;
    server.hub.end_all(EndReason::Kicked);
    let said = player.rest().await;
    assert!(said.contains(&Event::Status("NetStream.Play.Stop".into())), "{said:?}");
}

#[tokio::test]
async fn one_connection_publishes_one_stream_after_the_other() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    publisher.session.unpublish();
    publisher.send().await;
    server.until("alice is over", |s| s.publishers().is_empty()).await;
    let bob = vec![Value::Null, "bob".into(), "live".into()];
    publisher.command("publish", bob).await.unwrap();
    while publisher.next().await.unwrap() != Event::Started {}
    assert_eq!(server.publishers(), ["live/bob"]);
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_its_sessions() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    server.task.abort();
    publisher.rest().await;
    timeout(SOON, server.hub.idle()).await.unwrap();
    assert!(!server.shutdown.is_cancelled());
}

#[tokio::test]
async fn a_player_that_is_sent_elsewhere_gets_all_that_was_begun_and_hears_why() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let mut player = Peer::new(&server, Purpose::Play, "alice").await;
    player.session = player.session.that_reconnects();
    while player.next().await.unwrap() != Event::Started {}
    publisher.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
    for n in 0..50 {
        publisher.session.video(n, frame(true, 200_000));
        publisher.send().await;
    }
    // By now more waits for the player than its socket holds.
    sleep(Duration::from_millis(200)).await;
    let sessions = server.hub.sessions();
    let session = sessions
        .iter()
        .find(|s| s.kind == headgate_hub::SessionKind::Play)
        .unwrap();
    assert!(server.hub.kick(session.id, EndReason::Draining));
    let said = player.rest().await;
    let codes: Vec<_> = said
        .iter()
        .filter_map(|event| {
            if let Event::Status(code) = event {
                Some(code.as_str())
            } else {
                None
            }
        })
        .collect();
    assert_eq!(
        codes.get(codes.len() - 3..).unwrap(),
        [
            "NetStream.Play.UnpublishNotify",
            "NetStream.Play.Stop",
            "NetConnection.Connect.ReconnectRequest"
        ]
    );
    assert!(said.into_iter().filter_map(video_of).count() > 1, "and pictures before");
}

#[tokio::test]
async fn a_publisher_that_sends_words_and_no_media_is_ended() {
    let server = Server::start(Options::default()).await;
    server.hub.configure(Settings {
        first_media_max: Duration::from_millis(300),
        ..Settings::default()
    });
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let talk = async {
        while !server.publishers().is_empty() {
            publisher.data(0, "onMetaData", Value::object([])).await;
            sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(timeout(SOON, talk).await.is_ok());
}

#[tokio::test]
async fn a_server_on_its_way_out_refuses_the_connection_itself() {
    let server = Server::start(Options::default()).await;
    server.hub.let_in(Newcomers::None);
    let mut peer = Peer::new(&server, Purpose::Play, "alice").await;
    let said = peer.rest().await;
    let [Event::Refused { code, description }] = &said[..] else {
        panic!("{said:?}")
    };
    assert_eq!(code, "NetConnection.Connect.Rejected");
    assert!(description.starts_with("Draining"), "{description}");
}

#[tokio::test]
async fn garbage_and_floods_cost_their_own_connection_and_no_other() {
    let server = Server::start(Options::default()).await;
    let mut good = Peer::started(&server, Purpose::Publish, "alice").await;
    good.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
    good.send().await;
    // No RTMP; RTMP and then nonsense; a length that is beyond the limit; a message that never ends in chunks of one byte.
    let handshake = [&[3][..], &[0; 3072]].concat();
    let huge = [&handshake[..], &[4, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0]].concat();
    let tiny = [
        &handshake[..],
        &[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 0, 0, 1],
        &[4, 0, 0, 0, 0x7f, 0xff, 0xff, 9, 1, 0, 0, 0, 1],
    ]
    .concat();
    for attack in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        &[&handshake[..], &[0xff; 64]].concat(),
        &huge,
        &tiny,
    ] {
        let mut bad = TcpStream::connect(server.addr).await.unwrap();
        bad.write_all(attack).await.unwrap();
        let flood = async {
            let (mut sink, more) = ([0; 4096], [0xc4, 1].repeat(2048));
            loop {
                tokio::select! {
                    read = bad.read(&mut sink) => if read.unwrap_or(0) == 0 { return },
                    // Past the limits, but not for ever.
                    () = sleep(Duration::from_millis(1)) => if bad.write_all(&more).await.is_err() { return },
                }
            }
        };
        let patience = if attack.len() == tiny.len() {
            Duration::from_millis(200)
        } else {
            SOON
        };
        let ended = timeout(patience, flood).await.is_ok();
        assert!(ended || attack.len() == tiny.len());
    }
    assert_eq!(server.publishers(), ["live/alice"]);
}
