//! Viewers that write down what they see, and a publisher of pictures.

use crate::client::RtmpClient;
use bytes::Bytes;
use headgate_flv::{TagKind, TagStream};
use headgate_rtmp::client::Event;
use std::time::Duration;
use tokio::time::timeout;

/// Kind, time and body of a picture or a sound.
pub type Seen = (char, u32, Bytes);

const AVC: &[u8] = &[
    0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 0x1a, 0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb,
    1, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0xc0, 0xf1, 0x83, 0x19, 0x60, 1, 0, 6, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    0xfd, 0xf8, 0xf8, 0,
];

/// Sends the sequence header of H.264 at 64x36.
pub async fn announce(publisher: &mut RtmpClient) {
    publisher.send_video(0, Bytes::from_static(AVC)).await;
}

/// Pictures from `from` on, 40 ms apart, a key frame each second. Each has its number in it.
pub async fn pictures(publisher: &mut RtmpClient, from: u32, count: u32) {
    for n in from..from + count {
        let first = if n % 25 == 0 { 0x17 } else { 0x27 };
        let mut body = vec![first, 1, 0, 0, 80, 0, 0, 3, 232];
        body.extend_from_slice(&n.to_be_bytes());
        body.resize(9 + 1000, 7);
        publisher.send_video(n * 40, body.into()).await;
    }
}

/// One viewer.
pub enum Viewer {
    Rtmp(Box<RtmpClient>),
    Http(reqwest::Response, TagStream),
}

impl Viewer {
    pub async fn rtmp(port: u16, stream: &str) -> Self {
        Self::Rtmp(Box::new(RtmpClient::play(port, stream).await.unwrap()))
    }

    /// Returns once the first bytes of the stream are there.
    pub async fn http(port: u16, stream: &str) -> Self {
        let url = format!("http://127.0.0.1:{port}/live/{stream}.flv");
        let response = reqwest::get(url).await.unwrap();
        assert_eq!(response.status(), 200);
        Self::Http(response, TagStream::default())
    }

    /// The next frame; sequence headers are passed over.
    pub async fn next(&mut self) -> Option<Seen> {
        loop {
            let seen = timeout(Duration::from_secs(10), self.any())
                .await
                .expect("nothing to see")?;
            let is_config = seen.2.get(1) == Some(&0);
            if !is_config {
                return Some(seen);
            }
        }
    }

    /// The numbers of the next pictures.
    pub async fn numbers(&mut self, count: usize) -> Vec<u32> {
        let mut numbers = Vec::new();
        while numbers.len() < count {
            let (kind, _, body) = self.next().await.expect("the stream went on");
            if kind == 'v' {
                numbers.push(u32::from_be_bytes(body[9..13].try_into().unwrap()));
            }
        }
        numbers
    }

    /// All frames up to a picture of this number.
    pub async fn until(&mut self, last: u32) -> Vec<Seen> {
        let mut all = Vec::new();
        loop {
            let seen = self.next().await.expect("the stream went on");
            let is_last = seen.0 == 'v' && seen.2[9..13] == last.to_be_bytes();
            all.push(seen);
            if is_last {
                return all;
            }
        }
    }

    async fn any(&mut self) -> Option<Seen> {
        match self {
            Self::Rtmp(client) => loop {
                match client.event().await? {
                    Event::Video { timestamp, payload } => return Some(('v', timestamp, payload)),
                    Event::Audio { timestamp, payload } => return Some(('a', timestamp, payload)),
                    _ => {}
                }
            },
            Self::Http(response, tags) => loop {
                match tags.next_tag().unwrap() {
                    Some(tag) if tag.kind == TagKind::Video => return Some(('v', tag.timestamp_millis, tag.body)),
                    Some(tag) if tag.kind == TagKind::Audio => return Some(('a', tag.timestamp_millis, tag.body)),
                    Some(_) => {}
                    None => tags.push(&response.chunk().await.ok()??),
                }
            },
        }
    }
}
