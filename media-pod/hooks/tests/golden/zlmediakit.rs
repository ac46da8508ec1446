//! ZLMediaKit's hooks against bodies captured from a real one: every captured case is made again from an event.

use crate::{event, request};
use headgate_control::HookEvent;
use headgate_hooks::dialect::{Speak as _, ZLMediaKit, headers};
use headgate_hooks::event::transport::{Carrier, Schema};
use headgate_hooks::event::{
    Client, Details, Event, HttpAccess, RecordedFile, Registered, RtpServer, RtpStopped, RtspAuth, ShellLogin, Source,
    TrackInfo,
};
use headgate_hub::Traffic;
use serde_json::Value;

struct Case {
    name: String,
    headers: Value,
    body: Value,
}

fn cases() -> Vec<Case> {
    let lines = include_str!("../fixtures/zlm_hooks.jsonl").lines();
    let records = lines.map(|line| serde_json::from_str::<Value>(line).expect("a JSON line"));
    let case = |record: Value| Case {
        name: record["case"].as_str().expect("a name").to_owned(),
        headers: record["headers"].clone(),
        body: record["body"].clone(),
    };
    records.map(case).collect()
}

fn string(body: &Value, key: &str) -> String {
    body[key].as_str().unwrap_or_default().to_owned()
}

fn number(body: &Value, key: &str) -> u64 {
    body[key].as_u64().unwrap_or_default()
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small positive numbers"
)]
fn thousandths(value: &Value) -> u64 {
    (value.as_f64().unwrap_or_default() * 1000.0).round() as u64
}

fn schema(name: &str) -> Schema {
    let all = [
        Schema::Rtmp,
        Schema::Rtsp,
        Schema::Ts,
        Schema::Fmp4,
        Schema::Hls,
        Schema::Rtc,
        Schema::Srt,
        Schema::Rtp,
    ];
    all.into_iter()
        .find(|schema| schema.as_str() == name)
        .unwrap_or_default()
}

fn carrier(name: &str) -> Carrier {
    let all = [
        Carrier::Rtmp,
        Carrier::Rtsp,
        Carrier::Http,
        Carrier::Hls,
        Carrier::Srt,
        Carrier::Rtp,
        Carrier::Tcp,
    ];
    all.into_iter()
        .find(|carrier| carrier.as_str() == name)
        .unwrap_or_default()
}

/// The event that made a captured body, told back from it.
fn told(kind: HookEvent, body: &Value) -> Event {
    let mut event = event(kind);
    event.stream.vhost = string(body, "vhost").into();
    event.stream.app = string(body, "app").into();
    event.stream.name = string(body, "stream").into();
    event.param = format!("?{}", string(body, "params")).into();
    event.client = Client {
        id: string(body, "id").into(),
        ip: string(body, "ip").parse().unwrap_or(event.client.ip),
        port: u16::try_from(number(body, "port")).expect("a port"),
        schema: schema(&string(body, "schema")),
        carrier: carrier(&string(body, "protocol")),
        ..event.client
    };
    let details = details(kind, body, &mut event);
    Event { details, ..event }
}

fn details(kind: HookEvent, body: &Value, event: &mut Event) -> Details {
    match kind {
        HookEvent::FlowReport => {
            event.traffic = Some(Traffic {
                sent: 1,
                received: number(body, "totalBytes").saturating_sub(1),
            });
            if number(body, "totalBytes") == 0 {
                event.traffic = None;
            }
            let started = jiff::Timestamp::UNIX_EPOCH;
            let length = jiff::SignedDuration::from_secs(body["duration"].as_i64().expect("a length"));
            event.time = started.checked_add(length).expect("a time");
            Details::Ended {
                played_as: None,
                started,
                player: body["player"] == true,
                playable: false,
                without: Box::default(),
            }
        }
        HookEvent::StreamChanged => Details::Changed {
            schema: event.client.schema,
            registered: (body["regist"] == true).then(|| Box::new(registered(body, event))),
        },
        HookEvent::StreamNoneReader => Details::NoneReader {
            schema: event.client.schema,
        },
        HookEvent::HttpAccess => Details::HttpAccess(Box::new(HttpAccess {
            path: string(body, "path"),
            file_path: string(body, "file_path"),
            is_dir: body["is_dir"] == true,
            headers: body
                .as_object()
                .expect("an object")
                .iter()
                .filter_map(|(k, v)| Some((k.strip_prefix("header.")?.to_owned(), v.as_str()?.to_owned())))
                .collect(),
        })),
        HookEvent::RecordMp4 | HookEvent::RecordTs => Details::Recorded(Box::new(RecordedFile {
            name: string(body, "file_name"),
            path: string(body, "file_path"),
            folder: string(body, "folder"),
            size: number(body, "file_size"),
            start_seconds: body["start_time"].as_i64().expect("a time"),
            milliseconds: thousandths(&body["time_len"]),
            url: string(body, "url"),
        })),
        HookEvent::RtspAuth => Details::RtspAuth(Box::new(RtspAuth {
            user: string(body, "user_name"),
            realm: string(body, "realm"),
            must_no_encrypt: body["must_no_encrypt"] == true,
        })),
        HookEvent::RtpServerTimeout => Details::RtpServerTimeout(Box::new(RtpServer {
            local_port: u16::try_from(number(body, "local_port")).expect("a port"),
            stream_id: string(body, "stream_id"),
            tcp_mode: u8::try_from(number(body, "tcp_mode")).expect("a mode"),
            reuse_port: body["re_use_port"] == true,
            ssrc: u32::try_from(number(body, "ssrc")).expect("an ssrc"),
        })),
        HookEvent::ServerStarted => Details::ServerStarted {
            settings: body
                .as_object()
                .expect("an object")
                .iter()
                .filter(|(key, _)| key.contains('.'))
                .map(|(k, v)| (k.clone(), v.as_str().unwrap_or_default().to_owned()))
                .collect(),
        },
        _ => Details::None,
    }
}

fn registered(body: &Value, event: &mut Event) -> Registered {
    let socket = &body["originSock"];
    event.client.id = string(socket, "identifier").into();
    event.client.ip = string(socket, "peer_ip").parse().expect("an address");
    event.client.port = u16::try_from(number(socket, "peer_port")).expect("a port");
    let local = format!("{}:{}", string(socket, "local_ip"), number(socket, "local_port"));
    Registered {
        source: Source::RtmpPush,
        url: string(body, "originUrl"),
        created_seconds: body["createStamp"].as_i64().expect("a time"),
        alive_seconds: number(body, "aliveSecond"),
        bytes_per_second: number(body, "bytesSpeed"),
        total_bytes: number(body, "totalBytes"),
        readers: number(body, "readerCount"),
        total_readers: number(body, "totalReaderCount"),
        recording_mp4: body["isRecordingMP4"] == true,
        recording_hls: body["isRecordingHLS"] == true,
        local: local.parse().ok(),
        tracks: body["tracks"].as_array().expect("tracks").iter().map(track).collect(),
    }
}

fn track(track: &Value) -> TrackInfo {
    let small = |key: &str| u32::try_from(number(track, key)).expect("a small number");
    let codec = string(track, "codec_id_name");
    TrackInfo {
        codec: if codec == "mpeg4-generic" { "AAC".into() } else { codec },
        is_video: number(track, "codec_type") == 0,
        width: small("width"),
        height: small("height"),
        frames_per_1000_seconds: u32::try_from(thousandths(&track["fps"])).expect("a rate"),
        sample_rate: small("sample_rate"),
        channels: small("channels"),
        frames: number(track, "frames"),
        key_frames: number(track, "key_frames"),
    }
}

fn kind(body: &str) -> HookEvent {
    let all = HookEvent::ALL.iter().copied();
    let mut named = all.filter(|kind| body.split('.').next() == Some(kind.callback()));
    named.next().expect("an event")
}

#[test]
fn every_captured_body_is_made_again_and_its_keys_stand_sorted() {
    let cases = cases();
    assert_eq!(cases.len(), 31);
    for Case { name, body, .. } in cases {
        let event = told(kind(&name), &body);
        assert!(ZLMediaKit.tells(&event), "{name}");
        let ours = request(&ZLMediaKit, &event, number(&body, "hook_index")).body;
        let ours: Value = serde_json::from_slice(&ours).expect("JSON");
        assert_eq!(ours, body, "{name}");
        let keys: Vec<&String> = ours.as_object().expect("an object").keys().collect();
        assert!(keys.is_sorted(), "{name}: {keys:?}");
    }
}

#[test]
fn headers_are_those_of_zlmediakit_and_the_vhost_is_there_when_the_body_has_one() {
    for Case {
        name,
        headers: theirs,
        body,
    } in cases()
    {
        let event = told(kind(&name), &body);
        let request = request(&ZLMediaKit, &event, 0);
        let ours = headers(&ZLMediaKit, &event, &request, 1, jiff::Timestamp::UNIX_EPOCH);
        let get = |name: &str| ours.get(name).and_then(|value| value.to_str().ok());
        for header in ["Connection", "Content-Type", "X-VHOST"] {
            assert_eq!(get(header), theirs[header].as_str(), "{name}: {header}");
        }
        assert!(
            get("User-Agent").unwrap_or_default().starts_with("ZLMediaKit("),
            "{name}"
        );
    }
}

#[test]
fn a_body_is_written_as_zlmediakit_writes_it() {
    let mut play = event(HookEvent::Play);
    play.client.carrier = Carrier::Http;
    let text = "{\n\t\"app\" : \"live\",\n\t\"hook_index\" : 25,\n\t\"id\" : \"3ul1iu70\",\n\t\"ip\" : \"127.0.0.1\",\n\t\"mediaServerId\" : \"pod-0\",\n\t\"params\" : \"token=abc&x=1\",\n\t\"port\" : 52332,\n\t\"protocol\" : \"http\",\n\t\"schema\" : \"rtmp\",\n\t\"stream\" : \"livestream\",\n\t\"vhost\" : \"__defaultVhost__\"\n}\n";
    assert_eq!(request(&ZLMediaKit, &play, 25).body, text.as_bytes());
}

/// Those of which there is no capture, by their documented fields.
#[test]
fn the_rest_has_the_fields_that_are_documented() {
    let stream = ["app", "params", "stream", "vhost"];
    let client = ["id", "ip", "port"];
    let spoken = ["protocol", "schema"];
    let login = Details::ShellLogin(Box::new(ShellLogin {
        user: "u".into(),
        password: "p".into(),
    }));
    let stopped = Details::SendRtpStopped(Box::new(RtpStopped {
        ssrc: "1".into(),
        source: Source::RtmpPush,
        url: "rtmp://x".into(),
        message: "timeout".into(),
        error: 2,
    }));
    let alive = Details::ServerKeepalive {
        counters: [("Socket".to_owned(), 3)].into(),
    };
    let none = || Details::None;
    let table: [(HookEvent, Details, Vec<&str>); 6] = [
        (
            HookEvent::StreamNotFound,
            none(),
            [&stream[..], &client, &spoken].concat(),
        ),
        (HookEvent::RtspRealm, none(), [&stream[..], &client, &spoken].concat()),
        (
            HookEvent::ShellLogin,
            login,
            [&client[..], &["passwd", "user_name"]].concat(),
        ),
        (HookEvent::ServerExited, none(), vec![]),
        (HookEvent::ServerKeepalive, alive, vec!["data"]),
        (
            HookEvent::SendRtpStopped,
            stopped,
            [
                &stream[..],
                &["err", "msg", "originType", "originTypeStr", "originUrl", "ssrc"],
            ]
            .concat(),
        ),
    ];
    for (kind, details, mut keys) in table {
        let event = Event { details, ..event(kind) };
        let body: Value = serde_json::from_slice(&request(&ZLMediaKit, &event, 7).body).expect("JSON");
        keys.extend(["hook_index", "mediaServerId"]);
        keys.sort_unstable();
        let ours: Vec<&String> = body.as_object().expect("an object").keys().collect();
        assert_eq!(ours, keys, "{kind}");
        assert_eq!(
            (&body["hook_index"], &body["mediaServerId"]),
            (&7.into(), &"pod-0".into())
        );
    }
}

#[test]
fn who_waits_over_webrtc_or_srt_waits_for_what_it_is_made_from() {
    for (has, waits) in [
        (Schema::Rtc, "rtsp"),
        (Schema::Srt, "ts"),
        (Schema::Hls, "hls"),
        (Schema::Rtmp, "rtmp"),
    ] {
        let mut event = event(HookEvent::StreamNotFound);
        event.client.schema = has;
        let body: Value = serde_json::from_slice(&request(&ZLMediaKit, &event, 0).body).expect("JSON");
        assert_eq!(body["schema"], waits);
    }
}

#[test]
fn what_another_pod_left_behind_is_told_in_its_name() {
    let mut event = event(HookEvent::StreamChanged);
    event.details = Details::Changed {
        schema: Schema::Rtmp,
        registered: None,
    };
    event.origin = Some(Box::new(headgate_hooks::Origin {
        pod: "live-7".into(),
        ..crate::origin()
    }));
    let body: Value = serde_json::from_slice(&request(&ZLMediaKit, &event, 0).body).expect("JSON");
    assert_eq!(body["mediaServerId"], "live-7");
}
