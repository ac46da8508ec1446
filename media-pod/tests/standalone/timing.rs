//! `play.gopCache` and `play.maxLatencyMilliseconds` are what they say, on real sockets and over every output.

use crate::client::RtmpClient;
use crate::place::{Place, manifest};
use bytes::Bytes;
use headgate_codec::{Frame, Timestamp, Track};
use headgate_hub::{Connection, Format, FormatId, Packet, Player, Protocol, Start, StreamName};
use headgate_rtmp::client::Event;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::task::AbortOnDropHandle;

/// The sequence header of H.264 at 64x36.
const AVC: &[u8] = &[
    0x17, 0, 0, 0, 0, 1, 0x64, 0, 0x1f, 0xff, 0xe1, 0, 0x1a, 0x67, 0x64, 0, 0x1f, 0xac, 0xd9, 0x40, 0x50, 0x05, 0xbb,
    1, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3, 0xc0, 0xf1, 0x83, 0x19, 0x60, 1, 0, 6, 0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0,
    0xfd, 0xf8, 0xf8, 0,
];
const FRAME: Duration = Duration::from_millis(40);
/// From one key frame to the next, in pictures: two seconds.
const GOP: usize = 50;
const OUTPUTS: [&str; 7] = ["rtmp", ".flv", ".ts", ".mp4", "ws.flv", "ws.ts", "ws.mp4"];
/// What a busy machine may take on top of what is promised.
const SLACK: Duration = Duration::from_millis(400);
/// With so many viewers the merge window is what the setting says, not less.
const CROWD: usize = 500;
pub const MARK: &[u8] = b"picture-";

/// When each picture was sent, or seen first.
pub type Times = Arc<Mutex<Vec<(usize, Instant)>>>;

/// Each picture has its number in it, to be found in whatever it is wrapped in.
fn picture(number: usize) -> Bytes {
    let is_key = number.is_multiple_of(GOP);
    let mut body = vec![if is_key { 0x17 } else { 0x27 }, 1, 0, 0, 0, 0, 0, 0, 121];
    body.push(if is_key { 0x65 } else { 0x41 });
    body.extend_from_slice(MARK);
    body.extend_from_slice(format!("{number:06}").as_bytes());
    body.resize(9 + 121, 7);
    body.into()
}

/// The numbers of the pictures that begin in these bytes; what is left may be the beginning of one more.
fn found(bytes: &mut Vec<u8>) -> Vec<usize> {
    let (mut numbers, mut from) = (Vec::new(), 0);
    while let Some(at) = bytes[from..].windows(MARK.len()).position(|w| w == MARK) {
        let digits = from + at + MARK.len();
        let Some(number) = bytes.get(digits..digits + 6) else {
            break;
        };
        numbers.push(std::str::from_utf8(number).unwrap().parse().unwrap());
        from = digits + 6;
    }
    bytes.drain(..from);
    numbers
}

/// Twenty-five pictures a second, each at its time.
pub fn publish(mut publisher: RtmpClient, times: Times) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        publisher.send_video(0, Bytes::from_static(AVC)).await;
        let start = Instant::now();
        for number in 0.. {
            let due = FRAME * u32::try_from(number).unwrap();
            tokio::time::sleep(due.saturating_sub(start.elapsed())).await;
            times.lock().push((number, Instant::now()));
            let millis = u32::try_from(due.as_millis()).unwrap();
            publisher.send_video(millis, picture(number)).await;
        }
    }))
}

/// Notes the pictures as they come, for ever.
async fn watch(rtmp: u16, http: u16, output: &'static str, seen: Times) {
    if output == "rtmp" {
        let mut client = RtmpClient::play(rtmp, "cam").await.unwrap();
        while let Some(event) = client.event().await {
            if let Event::Video { payload, .. } = event {
                note(&mut payload.to_vec(), &seen);
            }
        }
        return;
    }
    let mut socket = TcpStream::connect(("127.0.0.1", http)).await.unwrap();
    let path = output.strip_prefix("ws").unwrap_or(output);
    let upgrade = if path == output {
        ""
    } else {
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    };
    let head = format!("GET /live/cam{path} HTTP/1.1\r\nHost: localhost\r\n{upgrade}\r\n");
    socket.write_all(head.as_bytes()).await.unwrap();
    let mut bytes = Vec::new();
    while socket.read_buf(&mut bytes).await.unwrap() > 0 {
        note(&mut bytes, &seen);
    }
}

fn note(bytes: &mut Vec<u8>, seen: &Times) {
    let now = Instant::now();
    seen.lock().extend(found(bytes).into_iter().map(|number| (number, now)));
}

/// A server that lets everybody in, with this besides.
pub async fn place(rest: &str) -> Place {
    let place = Place::start(&[]).await;
    let spec = format!(
        "listeners: [{{name: rtmp, protocol: RTMP, port: {}}}, {{name: http, protocol: HTTP, port: {}}}], publish: {{authentication: None}}, {rest}",
        place.rtmp, place.http
    );
    place
        .put_in_force("server", &manifest("MediaServer", "live", &spec))
        .await;
    place
}

/// A viewer for each output.
fn viewers(place: &Place, tasks: &mut JoinSet<()>) -> Vec<(&'static str, Times)> {
    let watching = OUTPUTS.map(|output| {
        let seen = Times::default();
        tasks.spawn(watch(place.rtmp, place.http, output, Arc::clone(&seen)));
        (output, seen)
    });
    watching.to_vec()
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_gop_cache_every_output_begins_with_the_next_key_frame_and_with_it_at_once() {
    for gop_cache in [false, true] {
        let place = place(&format!("play: {{gopCache: {gop_cache}, maxLatencyMilliseconds: 0}}")).await;
        let (sent, mut tasks) = (Times::default(), JoinSet::new());
        let _publisher = publish(RtmpClient::publish(place.rtmp, "cam").await.unwrap(), Arc::clone(&sent));
        // Between two key frames, and far from both.
        tokio::time::sleep(FRAME * 15).await;
        let came = Instant::now();
        let watching = viewers(&place, &mut tasks);
        tokio::time::sleep(FRAME * 50).await;
        for (output, seen) in watching {
            let first = seen.lock().first().copied();
            let (number, at) = first.unwrap_or_else(|| panic!("nothing over {output}"));
            if gop_cache {
                assert_eq!(number, 0, "{output}");
                assert!(at - came < SLACK, "{output}: {:?}", at - came);
            } else {
                assert_eq!(number, GOP, "{output}");
                let (_, sent) = sent.lock()[GOP];
                assert!(at >= sent && at - sent < SLACK, "{output}: {:?}", at - sent);
            }
        }
    }
}

/// Nothing comes out of it.
struct Nothing;

impl Format for Nothing {
    fn id(&self) -> FormatId {
        FormatId("nothing")
    }

    fn start(&self, _: &Start<'_>) -> Bytes {
        Bytes::new()
    }

    fn config(&self, _: &Track, _: Timestamp) -> Bytes {
        Bytes::new()
    }

    fn frame(&self, _: &Track, _: &Frame) -> Packet {
        Packet::default()
    }
}

/// Viewers of a stream without sockets, which count.
async fn crowd(place: &Place, stream: &str) -> Vec<Player> {
    let name = StreamName::parse("__defaultVhost__", "live", stream).unwrap();
    let mut players = Vec::new();
    for _ in 0..CROWD {
        let client = place.pod.hub().open(Connection {
            client_id: headgate_hub::client_id(),
            protocol: Protocol::HttpFlv,
            peer: "127.0.0.1:1".parse().unwrap(),
            vhost: "__defaultVhost__".into(),
            app: "live".into(),
            stream: stream.into(),
            param: String::new(),
            tc_url: String::new(),
            page_url: String::new(),
            started: jiff::Timestamp::now(),
        });
        let player = client.play(name.clone(), String::new(), Arc::new(Nothing)).await;
        players.push(player.unwrap());
    }
    players
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_are_held_back_as_long_as_the_setting_says_and_no_longer() {
    // A stream that few watch is held back before it is taken in, and not behind that.
    for (setting, crowded) in [(0, "cam"), (300, "cam"), (1000, "cam"), (300, "elsewhere")] {
        let place = place(&format!("play: {{maxLatencyMilliseconds: {setting}}}")).await;
        let _crowd = crowd(&place, crowded).await;
        let (sent, mut tasks) = (Times::default(), JoinSet::new());
        let _publisher = publish(RtmpClient::publish(place.rtmp, "cam").await.unwrap(), Arc::clone(&sent));
        tokio::time::sleep(FRAME * 5).await;
        let watching = viewers(&place, &mut tasks);
        tokio::time::sleep(Duration::from_secs(4)).await;
        let (sent, window) = (sent.lock().clone(), Duration::from_millis(setting));
        for (output, seen) in watching {
            // What a viewer begins with is older.
            let seen = seen.lock();
            let late = seen.iter().filter(|(number, _)| *number > 30);
            let delays: Vec<Duration> = late.map(|(number, at)| *at - sent[*number].1).collect();
            assert!(
                delays.len() >= 25,
                "{setting} ms over {output}, the crowd at {crowded}: {} pictures",
                delays.len()
            );
            let longest = *delays.iter().max().unwrap();
            assert!(
                longest <= window + SLACK,
                "{setting} ms over {output}, the crowd at {crowded}: {longest:?}"
            );
            let mean = delays.iter().sum::<Duration>() / u32::try_from(delays.len()).unwrap();
            let wanted = window / 4..=window * 3 / 4 + SLACK / 2;
            assert!(
                wanted.contains(&mean),
                "{setting} ms over {output}, the crowd at {crowded}: {mean:?} as a mean"
            );
        }
    }
}
