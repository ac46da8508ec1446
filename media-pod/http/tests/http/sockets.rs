//! The same media over WebSocket, with a client that knows just enough of it.

use crate::support::*;
use bytes::Bytes;
use headgate_flv::{Demuxer, TagReader};
use headgate_hub::{EndReason, Protocol};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn upgrade(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// The head of the answer.
async fn head(socket: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// The next message: its kind and content.
async fn message(socket: &mut TcpStream) -> (u8, Vec<u8>) {
    let (first, length) = (socket.read_u8().await.unwrap(), socket.read_u8().await.unwrap());
    let length = match length {
        126 => u64::from(socket.read_u16().await.unwrap()),
        127 => socket.read_u64().await.unwrap(),
        short => u64::from(short),
    };
    let mut content = vec![0; usize::try_from(length).unwrap()];
    socket.read_exact(&mut content).await.unwrap();
    (first, content)
}

/// A publisher's two seconds, sent before anyone watches: what is there is the last second.
async fn published(server: &Server, directory: &std::path::Path) -> headgate_hub::Publisher {
    let tags = tags(&clip(directory, "aac"));
    let mut publisher = server.publisher("__defaultVhost__", "x").await;
    let mut demuxer = Demuxer::default();
    for tag in &tags {
        feed(&mut publisher, &mut demuxer, tag);
    }
    publisher
}

/// Everything that comes before the close.
async fn watch(server: &Server, path: &str, protocol: Protocol) -> Vec<u8> {
    let mut socket = server.open(&upgrade(path)).await;
    let head = head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
    assert!(
        head.contains("sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{head}"
    );
    server.until_viewers(1).await;
    assert_eq!(server.hub.snapshot()[0].viewers.get(&protocol), Some(&1));
    // A ping with an empty mask comes back.
    socket.write_all(&[0x89, 0x82, 0, 0, 0, 0, b'h', b'i']).await.unwrap();
    let (mut media, mut ended) = (Vec::new(), false);
    loop {
        match message(&mut socket).await {
            (0x82, content) => media.extend(content),
            (0x8a, content) => {
                assert_eq!(content, b"hi");
                ended = true;
                let id = server.rules.seen.lock().clone().unwrap().id;
                assert!(server.hub.kick(id, EndReason::Kicked));
            }
            (0x88, code) => {
                assert_eq!(code, [3, 0xe8]);
                break;
            }
            other => panic!("{other:?}"),
        }
    }
    assert!(ended);
    server.until_viewers(0).await;
    media
}

#[tokio::test]
async fn every_container_comes_in_messages_that_end_with_a_close() {
    if !has_ffmpeg() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let server = server().await;
    let _publisher = published(&server, directory.path()).await;
    let flv = watch(&server, "/live/x.flv", Protocol::WsFlv).await;
    let frames = TagReader::new(Bytes::from(flv)).unwrap().map(Result::unwrap).count();
    assert!(frames > 60, "{frames}");
    let (mut demuxer, mut out) = (headgate_mpegts::Demuxer::default(), Vec::new());
    demuxer
        .push(&watch(&server, "/live/x.ts", Protocol::WsTs).await, &mut out)
        .unwrap();
    demuxer.finish(&mut out).unwrap();
    assert!(out.len() > 60, "{}", out.len());
    let (mut reader, mut out) = (headgate_fmp4::Reader::default(), Vec::new());
    reader
        .push(&watch(&server, "/live/x.live.mp4", Protocol::WsFmp4).await, &mut out)
        .unwrap();
    assert!(out.len() > 60, "{}", out.len());
}

#[tokio::test]
async fn a_client_that_closes_is_gone_at_once() {
    let server = server().await;
    let mut publisher = server.publisher("__defaultVhost__", "x").await;
    let track = headgate_codec::Track::plain(
        headgate_codec::TrackId::VIDEO,
        headgate_codec::Codec::Vp9,
        Bytes::from_static(&[1]),
    );
    publisher.track(track);
    publisher.frame(headgate_codec::Frame {
        track: headgate_codec::TrackId::VIDEO,
        kind: headgate_codec::TrackKind::Video,
        dts: headgate_codec::Timestamp::default(),
        pts: headgate_codec::Timestamp::default(),
        key: true,
        payload: Bytes::from_static(&[1]),
    });
    let mut socket = server.open(&upgrade("/live/x.flv")).await;
    server.until_viewers(1).await;
    head(&mut socket).await;
    socket.write_all(&[0x88, 0x80, 0, 0, 0, 0]).await.unwrap();
    let gone = tokio::time::timeout(Duration::from_millis(500), server.until_viewers(0)).await;
    assert!(gone.is_ok());
    let mut rest = Vec::new();
    socket.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(&[0x88, 2, 3, 0xe8]), "the close is answered");
}

#[tokio::test]
async fn a_handshake_that_is_broken_or_refused_is_answered_in_http() {
    let server = server().await;
    let answer = server
        .ask("GET /live/x.flv HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX: y\r\nY:")
        .await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let mut socket = server.open(&upgrade("/live/x.flv?refuse=KeyWrong")).await;
    let head = head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 403 "), "{head}");
}
