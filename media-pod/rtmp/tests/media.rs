//! What goes in comes out, over real sockets: frame by frame, with the same bytes and times, in the form that each player understands.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test may fail by panic"
)]

mod support;

use bytes::Bytes;
use futures::future::{BoxFuture, ready};
use headgate_hub::{Connection, EndReason, Gate, Permit, Refusal, Request, Session, Traffic};
use headgate_rtmp::amf0::{Value, write_all};
use headgate_rtmp::client::{Event, Purpose};
use headgate_rtmp::serve::Options;
use std::sync::{Arc, Mutex};
use support::{Peer, SEQUENCE_HEADER, Server, frame, video_of};

/// Audio and video alike.
fn media_of(event: Event) -> Option<(bool, u32, Bytes)> {
    match event {
        Event::Video { timestamp, payload } => Some((true, timestamp, payload)),
        Event::Audio { timestamp, payload } => Some((false, timestamp, payload)),
        _ => None,
    }
}

#[tokio::test]
async fn what_goes_in_comes_out_with_its_times() {
    let server = Server::start(Options::default()).await;
    let mut player = Peer::started(&server, Purpose::Play, "alice").await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    // Across the time at which headers grow by four bytes, and longer than a chunk.
    let mut sent = vec![(0x00ff_fff0, Bytes::from_static(SEQUENCE_HEADER))];
    sent.extend((0..20_u32).map(|n| (0x00ff_fff0 + n * 3, frame(n == 0, 50_000 + 1_000 * n as usize))));
    for (timestamp, payload) in &sent {
        publisher.session.video(*timestamp, payload.clone());
    }
    publisher.send().await;
    let mut got = Vec::new();
    while got.len() < sent.len() {
        got.extend(video_of(player.next().await.unwrap()));
    }
    assert!(
        got == sent,
        "times: {:x?}",
        got.iter().map(|(t, p)| (*t, p.len())).collect::<Vec<_>>()
    );
}

/// AudioSpecificConfig, 44.1 kHz stereo, and a frame.
const AAC: [&[u8]; 2] = [&[0xaf, 0, 0x12, 0x10], &[0xaf, 1, 0x21, 0x10, 5]];

#[tokio::test]
async fn times_that_start_anywhere_wrap_and_jump_come_out_as_they_went_in() {
    let server = Server::start(Options::default()).await;
    let mut player = Peer::started(&server, Purpose::Play, "alice").await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let start = u32::MAX - 100;
    let mut sent = vec![
        (true, start, Bytes::from_static(SEQUENCE_HEADER)),
        (false, start, Bytes::from_static(AAC[0])),
    ];
    // Over the end of 32 bits, an hour on, and back to the beginning.
    for base in [start, start.wrapping_add(3_600_000), 0] {
        for n in 0..10_u32 {
            let time = base.wrapping_add(n * 40);
            sent.push((true, time, frame(n == 0, 3_000)));
            sent.push((false, time.wrapping_add(7), Bytes::from_static(AAC[1])));
        }
    }
    for (is_video, time, payload) in &sent {
        if *is_video {
            publisher.session.video(*time, payload.clone());
        } else {
            publisher.session.audio(*time, payload.clone());
        }
    }
    publisher.send().await;
    let mut got = Vec::new();
    while got.len() < sent.len() {
        got.extend(media_of(player.next().await.unwrap()));
    }
    assert!(
        got == sent,
        "{:?}",
        got.iter().map(|(v, t, p)| (*v, *t, p.len())).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn sound_alone_plays_and_pictures_may_come_late() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let mut player = Peer::started(&server, Purpose::Play, "alice").await;
    publisher.session.audio(0, Bytes::from_static(AAC[0]));
    publisher.session.audio(0, Bytes::from_static(AAC[1]));
    publisher.send().await;
    assert_eq!(player.next_of(media_of).await.2, AAC[0]);
    assert_eq!(player.next_of(media_of).await.2, AAC[1]);
    publisher.session.video(40, Bytes::from_static(SEQUENCE_HEADER));
    publisher.session.video(40, frame(true, 100));
    publisher.send().await;
    assert_eq!(player.next_of(media_of).await.2, SEQUENCE_HEADER);
    assert_eq!(player.next_of(media_of).await.2, frame(true, 100));
    // Other parameter sets: told at once, then the key frame that needs them.
    let mut other = SEQUENCE_HEADER.to_vec();
    other[7] = 0x1e;
    publisher.session.video(80, other.clone().into());
    publisher.session.video(80, frame(true, 200));
    publisher.send().await;
    assert_eq!(player.next_of(media_of).await.2, other);
    assert_eq!(player.next_of(media_of).await.2, frame(true, 200));
}

#[tokio::test]
async fn a_player_that_goes_on_after_a_pause_starts_at_a_key_frame() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let mut player = Peer::started(&server, Purpose::Play, "alice").await;
    publisher.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
    publisher.session.video(0, frame(true, 100));
    publisher.send().await;
    player.next_of(video_of).await;
    player.next_of(video_of).await;
    let pause = |on| vec![Value::Null, Value::Boolean(on), 0.0.into()];
    let notice = |code: &'static str| move |e: Event| (e == Event::Status(code.into())).then_some(());
    player.command("pause", pause(true)).await.unwrap();
    player.next_of(notice("NetStream.Pause.Notify")).await;
    for (time, key) in [(40, false), (80, true), (120, false)] {
        publisher.session.video(time, frame(key, 200 + time as usize));
    }
    publisher.send().await;
    // Another one has seen it all: so has the paused one's connection.
    let mut other = Peer::started(&server, Purpose::Play, "alice").await;
    while other.next_of(video_of).await.0 != 120 {}
    player.command("pause", pause(false)).await.unwrap();
    player.next_of(notice("NetStream.Unpause.Notify")).await;
    assert_eq!(
        player.next_of(video_of).await,
        (80, Bytes::from_static(SEQUENCE_HEADER))
    );
    assert_eq!(player.next_of(video_of).await, (80, frame(true, 280)));
    assert_eq!(player.next_of(video_of).await, (120, frame(false, 320)));
}

#[tokio::test]
async fn words_go_to_who_is_there_and_metadata_to_who_comes_later_too() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let mut player = Peer::started(&server, Purpose::Play, "alice").await;
    let title = Value::object([("title", "a".into())]);
    publisher.data(0, "onMetaData", title.clone()).await;
    publisher.session.video(0, Bytes::from_static(SEQUENCE_HEADER));
    publisher.session.video(0, frame(true, 100));
    publisher.send().await;
    publisher.data(20, "onTextData", "hello".into()).await;
    publisher.session.video(40, frame(false, 100));
    publisher.send().await;
    let data_of = |e: Event| if let Event::Data(data) = e { Some(data) } else { None };
    let metadata = write_all(&["onMetaData".into(), title]);
    assert_eq!(player.next_of(data_of).await, metadata);
    assert_eq!(
        player.next_of(data_of).await,
        write_all(&["onTextData".into(), "hello".into()])
    );
    let mut late = Peer::started(&server, Purpose::Play, "alice").await;
    assert_eq!(late.next_of(data_of).await, metadata);
    assert_eq!(late.next_of(video_of).await.1, SEQUENCE_HEADER);
}

/// HEVC's record without parameter sets, which is enough to be passed on.
const HVCC: &[u8] = &[
    1, 1, 0x60, 0, 0, 0, 0x90, 0, 0, 0, 0, 0, 0x3f, 0xf0, 0, 0xfc, 0xfd, 0xf8, 0xf8, 0, 0, 0x0f, 0,
];

#[tokio::test]
async fn each_player_gets_hevc_under_the_name_that_it_knows() {
    let server = Server::start(Options::default()).await;
    let old = [
        [&[0x1c, 0, 0, 0, 0], HVCC].concat(),
        [&[0x1c, 1, 0, 0, 80][..], &[0, 0, 0, 2, 0x26, 1]].concat(),
    ];
    let new = [
        [&b"\x90hvc1"[..], HVCC].concat(),
        [&b"\x91hvc1\0\0\x50"[..], &[0, 0, 0, 2, 0x26, 1]].concat(),
    ];
    for (stream, published, plain) in [("old", &old, &old), ("new", &new, &new)] {
        let mut publisher = Peer::started(&server, Purpose::Publish, stream).await;
        let mut simple = Peer::started(&server, Purpose::Play, stream).await;
        let mut enhanced = Peer::enhanced(&server, Purpose::Play, stream).await;
        for body in published {
            publisher.session.video(0, body.clone().into());
        }
        publisher.send().await;
        for n in 0..2 {
            assert_eq!(simple.next_of(video_of).await.1, plain[n], "{stream}");
            assert_eq!(enhanced.next_of(video_of).await.1, new[n], "{stream}");
        }
    }
}

#[tokio::test]
async fn players_who_know_several_tracks_get_them_and_others_the_first() {
    let server = Server::start(Options::default()).await;
    let mut publisher = Peer::enhanced(&server, Purpose::Publish, "alice").await;
    let mut simple = Peer::started(&server, Purpose::Play, "alice").await;
    let mut enhanced = Peer::enhanced(&server, Purpose::Play, "alice").await;
    // AV1 twice, in one message each: sequence headers, then frames.
    publisher.session.video(
        0,
        Bytes::from_static(b"\x96\x10av01\x00\0\0\x04\x81\x05\x0c\x00\x01\0\0\x04\x81\x01\x0c\x00"),
    );
    publisher
        .session
        .video(0, Bytes::from_static(b"\x96\x11av01\x00\0\0\x02ab\x01\0\0\x02cd"));
    publisher.send().await;
    let first: [&[u8]; 2] = [b"\x90av01\x81\x05\x0c\x00", b"\x91av01ab"];
    for body in first {
        assert_eq!(simple.next_of(video_of).await.1, body);
    }
    let all: [&[u8]; 4] = [
        first[0],
        b"\x96\x00av01\x01\x81\x01\x0c\x00",
        first[1],
        b"\x96\x01av01\x01cd",
    ];
    for body in all {
        assert_eq!(enhanced.next_of(video_of).await.1, body);
    }
}

/// Writes down what it hears.
#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Notes {
    fn note(&self, what: &str, id: impl std::fmt::Display) {
        self.0.lock().unwrap().push(format!("{what} {id}"));
    }
}

impl Gate for Notes {
    fn check(&self, request: &Request) -> Result<Permit, Refusal> {
        Ok(Permit::as_asked(request))
    }

    fn connect<'a>(&'a self, _: &'a Arc<Connection>) -> BoxFuture<'a, Result<(), Refusal>> {
        self.note("connect", "");
        Box::pin(ready(Ok(())))
    }

    fn admit<'a>(&'a self, session: &'a Arc<Session>) -> BoxFuture<'a, Result<(), Refusal>> {
        self.note("publish", &session.name.stream);
        Box::pin(ready(Ok(())))
    }

    fn ended(&self, session: &Arc<Session>, _: EndReason, _: Traffic) {
        self.note("unpublish", &session.name.stream);
    }

    fn closed(&self, _: &Arc<Connection>, _: Traffic) {
        self.note("close", "");
    }
}

#[tokio::test]
async fn each_publish_on_one_connection_is_a_session_of_its_own() {
    let notes = Arc::new(Notes::default());
    let server = Server::behind(Arc::clone(&notes) as Arc<_>, Options::default()).await;
    let mut publisher = Peer::started(&server, Purpose::Publish, "alice").await;
    let first = server.hub.sessions()[0].id;
    for (goodbye, next) in [("FCUnpublish", "alice"), ("closeStream", "bob")] {
        publisher
            .command(goodbye, vec![Value::Null, "alice".into()])
            .await
            .unwrap();
        for (name, value) in [
            ("releaseStream", next.into()),
            ("FCPublish", next.into()),
            ("createStream", Value::Null),
        ] {
            publisher.command(name, vec![Value::Null, value]).await.unwrap();
        }
        let publish = vec![Value::Null, next.into(), "live".into()];
        publisher.command("publish", publish).await.unwrap();
        while publisher.next().await.unwrap() != Event::Started {}
    }
    assert_ne!(server.hub.sessions()[0].id, first);
    drop(publisher);
    server.hub.idle().await;
    let expected = [
        "connect ",
        "publish alice",
        "unpublish alice",
        "publish alice",
        "unpublish alice",
        "publish bob",
        "unpublish bob",
        "close ",
    ];
    assert_eq!(*notes.0.lock().unwrap(), expected);
}
