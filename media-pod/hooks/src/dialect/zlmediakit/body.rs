//! The bodies, event by event. The keys are sorted when they are written.

use headgate_control::HookEvent;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use super::super::decimal;
use super::Voice;
use crate::event::transport::{Carrier, Schema};
use crate::event::{Details, Event, Registered, Source, TrackInfo};

/// What ZLMediaKit counts in a keepalive. Receivers may want to find each; there is none of most of them here.
const OBJECTS: [&str; 16] = [
    "Buffer",
    "BufferLikeString",
    "BufferList",
    "BufferRaw",
    "Frame",
    "FrameImp",
    "MediaSource",
    "MultiMediaSourceMuxer",
    "RtmpPacket",
    "RtpPacket",
    "Socket",
    "TcpClient",
    "TcpServer",
    "TcpSession",
    "UdpServer",
    "UdpSession",
];

/// The whole body of an event.
pub(super) fn body(event: &Event, voice: &Voice<'_>) -> Map<String, Value> {
    let mut body = match event.kind {
        HookEvent::ServerStarted | HookEvent::ServerExited | HookEvent::ServerKeepalive => Map::new(),
        HookEvent::ShellLogin | HookEvent::HttpAccess => client(event),
        HookEvent::RtpServerTimeout => pick(stream(event), &["vhost", "app"]),
        HookEvent::StreamChanged
        | HookEvent::StreamNoneReader
        | HookEvent::RecordMp4
        | HookEvent::RecordTs
        | HookEvent::SendRtpStopped => stream(event),
        _ => session(event),
    };
    body.extend(object(own(event)));
    body.insert("mediaServerId".into(), voice.origin_of(event).pod.as_str().into());
    body.insert("hook_index".into(), voice.index.into());
    body
}

/// What only events of this kind have.
fn own(event: &Event) -> Value {
    match &event.details {
        Details::None if event.kind == HookEvent::Publish => origin(event.client.schema.push()),
        Details::Ended { player, .. } => {
            let traffic = event.traffic.unwrap_or_default();
            let total = traffic.sent.saturating_add(traffic.received);
            json!({"totalBytes": total, "duration": event.seconds(), "player": player})
        }
        Details::Changed { schema, registered } => changed(*schema, registered.as_deref(), event),
        Details::NoneReader { schema } => json!({"schema": schema.as_str()}),
        Details::HttpAccess(access) => {
            let headers = access
                .headers
                .iter()
                .map(|(k, v)| (format!("header.{k}"), v.as_str().into()));
            let mut body: Map<String, Value> = headers.collect();
            body.extend(object(json!({
                "path": access.path, "file_path": access.file_path, "is_dir": access.is_dir, "params": params(event),
            })));
            Value::Object(body)
        }
        Details::RtspAuth(auth) => json!({
            "user_name": auth.user, "realm": auth.realm, "must_no_encrypt": auth.must_no_encrypt,
        }),
        Details::ShellLogin(login) => json!({"user_name": login.user, "passwd": login.password}),
        Details::Recorded(file) => json!({
            "file_name": file.name, "file_path": file.path, "folder": file.folder, "file_size": file.size,
            "start_time": file.start_seconds, "time_len": single(file.milliseconds), "url": file.url,
        }),
        Details::ServerStarted { settings } => json!(settings),
        Details::ServerKeepalive { counters } => {
            let none = OBJECTS.iter().map(|name| ((*name).to_owned(), 0_u64));
            let mut data: BTreeMap<String, u64> = none.collect();
            data.extend(counters.clone());
            json!({"data": data})
        }
        Details::RtpServerTimeout(server) => json!({
            "local_port": server.local_port, "stream_id": server.stream_id, "tcp_mode": server.tcp_mode,
            "re_use_port": server.reuse_port, "ssrc": server.ssrc,
        }),
        Details::SendRtpStopped(stopped) => {
            let mut body = object(origin(stopped.source));
            body.extend(object(json!({
                "ssrc": stopped.ssrc, "originUrl": stopped.url, "msg": stopped.message, "err": stopped.error,
            })));
            Value::Object(body)
        }
        Details::None | Details::Dvr { .. } | Details::Hls(_) | Details::Recording(_) => Value::Null,
    }
}

fn changed(schema: Schema, registered: Option<&Registered>, event: &Event) -> Value {
    let Some(stream) = registered else {
        return json!({"schema": schema.as_str(), "regist": false});
    };
    let mut body = object(json!({
        "schema": schema.as_str(), "regist": true, "createStamp": stream.created_seconds,
        "aliveSecond": stream.alive_seconds, "bytesSpeed": stream.bytes_per_second, "totalBytes": stream.total_bytes,
        "readerCount": stream.readers, "totalReaderCount": stream.total_readers, "originUrl": stream.url,
        "isRecordingMP4": stream.recording_mp4, "isRecordingHLS": stream.recording_hls,
        "originSock": socket(stream, event), "tracks": stream.tracks.iter().map(track).collect::<Vec<_>>(),
    }));
    body.extend(object(origin(stream.source)));
    Value::Object(body)
}

/// The publisher's connection; what of this end is not known is empty.
fn socket(stream: &Registered, event: &Event) -> Value {
    let client = &event.client;
    json!({
        "identifier": client.id, "peer_ip": client.ip, "peer_port": client.port,
        "local_ip": stream.local.map(|local| local.ip().to_string()).unwrap_or_default(),
        "local_port": stream.local.map_or(0, |local| local.port()),
    })
}

fn track(track: &TrackInfo) -> Value {
    let (id, name) = codec(&track.codec);
    let mut body = object(json!({
        "codec_id": id, "codec_id_name": name, "codec_type": i32::from(!track.is_video), "ready": true,
        "frames": track.frames, "duration": 0, "loss": -1.0,
    }));
    body.extend(object(if track.is_video {
        json!({
            "width": track.width, "height": track.height, "fps": single(track.frames_per_1000_seconds.into()),
            "key_frames": track.key_frames, "gop_size": 0, "gop_interval_ms": 0,
        })
    } else {
        json!({"sample_rate": track.sample_rate, "channels": track.channels, "sample_bit": 16})
    }));
    Value::Object(body)
}

/// ZLMediaKit's number and name of a codec; -1 for one that it does not know.
fn codec(name: &str) -> (i32, &str) {
    match name {
        "H264" => (0, "H264"),
        "H265" => (1, "H265"),
        "AAC" => (2, "mpeg4-generic"),
        "G711A" => (3, "PCMA"),
        "G711U" => (4, "PCMU"),
        "Opus" => (5, "opus"),
        "VP8" => (7, "VP8"),
        "VP9" => (8, "VP9"),
        "AV1" => (9, "AV1"),
        "MP3" => (14, "MP3"),
        other => (-1, other),
    }
}

fn origin(source: Source) -> Value {
    let number = match source {
        Source::Unknown => 0,
        Source::RtmpPush => 1,
        Source::RtspPush => 2,
        Source::RtpPush => 3,
        Source::Pull => 4,
        Source::FfmpegPull => 5,
        Source::Mp4Vod => 6,
        Source::DeviceChn => 7,
        Source::RtcPush => 8,
        Source::SrtPush => 9,
    };
    json!({"originType": number, "originTypeStr": <&str>::from(source)})
}

/// Stream, client, and how it speaks.
fn session(event: &Event) -> Map<String, Value> {
    let Schemas { schema, carrier } = schemas(event);
    let mut body = stream(event);
    body.extend(client(event));
    body.extend(object(json!({"schema": schema.as_str(), "protocol": carrier.as_str()})));
    body
}

struct Schemas {
    schema: Schema,
    carrier: Carrier,
}

/// Who waits for a stream over WebRTC or SRT waits for the schema that it is made from.
fn schemas(event: &Event) -> Schemas {
    let client = &event.client;
    let schema = match (event.kind, client.schema) {
        (HookEvent::StreamNotFound, Schema::Rtc) => Schema::Rtsp,
        (HookEvent::StreamNotFound, Schema::Srt) => Schema::Ts,
        (HookEvent::StreamNotFound, Schema::HlsFmp4) => Schema::Hls,
        (_, schema) => schema,
    };
    Schemas {
        schema,
        carrier: client.carrier,
    }
}

fn stream(event: &Event) -> Map<String, Value> {
    let stream = &event.stream;
    object(json!({
        "vhost": &*stream.vhost, "app": &*stream.app, "stream": &*stream.name, "params": params(event),
    }))
}

fn client(event: &Event) -> Map<String, Value> {
    let client = &event.client;
    object(json!({"ip": client.ip, "port": client.port, "id": client.id}))
}

/// Thousandths as the number of single precision that ZLMediaKit has.
fn single(thousandths: u64) -> f64 {
    decimal::<f32>(thousandths).into()
}

/// Without the question mark.
fn params(event: &Event) -> &str {
    event.param.strip_prefix('?').unwrap_or(&event.param)
}

fn pick(mut body: Map<String, Value>, keys: &[&str]) -> Map<String, Value> {
    body.retain(|key, _| keys.contains(&key.as_str()));
    body
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
