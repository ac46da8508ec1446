//! The `data` of each event, as types, from which its schema is made.

use headgate_control::{Dialect, HookEvent};
use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::super::decimal;
use crate::event::{self, Details, Event};

/// What was asked for, and by whom.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Asked {
    /// A UUID. The same in all events of one publish or play; those of a connection share one of their own.
    session: String,
    /// Virtual host; `__defaultVhost__` where none was named.
    vhost: String,
    /// App.
    app: String,
    /// Stream, without key and ending.
    stream: String,
    /// The query of the client's URL without stream keys, or empty.
    query: String,
    /// Who asked.
    client: Client,
}

/// A client.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Client {
    /// 8 characters, one a connection.
    id: String,
    /// Its address.
    ip: String,
    /// Its port.
    port: u16,
    /// What it speaks: `rtmp`, `http`, `ws`, `hls`, `rtsp`, `rtc`, `srt` and their forms over TLS.
    protocol: String,
    /// What it sends or takes: `rtmp` (FLV too), `ts`, `fmp4`, `hls`, `rtsp`, `rtc`, `srt`.
    schema: String,
    /// The URL that it connected to, without the stream.
    tc_url: String,
    /// The page that it says it is on, or empty.
    page_url: String,
}

/// What is over.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Ended {
    #[serde(flatten)]
    asked: Asked,
    /// Bytes to the client: of a connection all, of a session those of media.
    bytes_sent: u64,
    /// Bytes from the client.
    bytes_received: u64,
    /// How long it was; 0 of a connection.
    seconds: u64,
}

/// A stream that can be played, or no longer.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct StreamChanged {
    #[serde(flatten)]
    asked: Asked,
    /// It can be played.
    live: bool,
    /// What is in it; empty when it cannot.
    tracks: Vec<Track>,
}

/// One track. What is not known is not there.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Track {
    /// `H264`, `AAC` and so on.
    codec: String,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    width: Option<u32>,
    /// Pixels.
    #[serde(skip_serializing_if = "Option::is_none")]
    height: Option<u32>,
    /// As the stream claims it.
    #[serde(skip_serializing_if = "Option::is_none")]
    frames_per_second: Option<f64>,
    /// Hertz.
    #[serde(skip_serializing_if = "Option::is_none")]
    sample_rate: Option<u32>,
    /// Of sound.
    #[serde(skip_serializing_if = "Option::is_none")]
    channels: Option<u32>,
}

/// A file that is asked for.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct HttpAccess {
    #[serde(flatten)]
    asked: Asked,
    /// Of the URL.
    path: String,
    /// It is a folder.
    is_directory: bool,
    /// The headers of the request.
    headers: BTreeMap<String, String>,
}

/// An RTSP player that named itself.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RtspAuth {
    #[serde(flatten)]
    asked: Asked,
    /// As whom.
    user: String,
    /// Where.
    realm: String,
    /// The password is needed in clear.
    needs_password: bool,
}

/// A segment of HLS.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Hls {
    #[serde(flatten)]
    asked: Asked,
    /// How long it plays, in seconds.
    duration: f64,
    /// Its path below the HTTP root.
    url: String,
    /// Of the playlist.
    playlist_url: String,
    /// Counts the segments.
    number: u64,
}

/// A recording.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Recording {
    #[serde(flatten)]
    asked: Asked,
    /// Names the recording.
    #[serde(rename = "recording")]
    id: String,
    /// What came of it; at its end only.
    #[serde(skip_serializing_if = "Option::is_none")]
    artifact: Option<Artifact>,
}

/// What came of a recording.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Artifact {
    /// It can be fetched.
    is_ready: bool,
    /// On disk.
    path: String,
    /// To fetch it.
    url: String,
}

/// A media process.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct Server {
    /// What it is set to, by section and name; of a start only.
    #[serde(skip_serializing_if = "Option::is_none")]
    settings: Option<BTreeMap<String, String>>,
    /// How many there are of what; of a keepalive only.
    #[serde(skip_serializing_if = "Option::is_none")]
    counters: Option<BTreeMap<String, u64>>,
}

/// An RTP port at which nothing came.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct RtpServerTimeout {
    #[serde(flatten)]
    asked: Asked,
    /// The port.
    local_port: u16,
    /// The SSRC that was expected.
    ssrc: u32,
}

/// RTP that was sent to somebody and stopped.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct SendRtpStopped {
    #[serde(flatten)]
    asked: Asked,
    /// Of the RTP.
    ssrc: String,
    /// Why.
    message: String,
}

/// The data of an event.
pub(super) fn of(event: &Event) -> Value {
    match &event.details {
        Details::Changed { registered, .. } => value(&StreamChanged {
            asked: asked(event),
            live: registered.is_some(),
            tracks: registered
                .iter()
                .flat_map(|stream| stream.tracks.iter().map(track))
                .collect(),
        }),
        Details::HttpAccess(access) => value(&HttpAccess {
            asked: asked(event),
            path: access.path.clone(),
            is_directory: access.is_dir,
            headers: access.headers.iter().cloned().collect(),
        }),
        Details::RtspAuth(auth) => value(&RtspAuth {
            asked: asked(event),
            user: auth.user.clone(),
            realm: auth.realm.clone(),
            needs_password: auth.must_no_encrypt,
        }),
        Details::Hls(segment) => value(&Hls {
            asked: asked(event),
            duration: decimal(segment.milliseconds),
            url: segment.url.clone(),
            playlist_url: segment.m3u8_url.clone(),
            number: segment.seq_no,
        }),
        Details::Recording(recording) => value(&Recording {
            asked: asked(event),
            id: recording.uuid.clone(),
            artifact: recording.artifact.as_ref().map(|artifact| Artifact {
                is_ready: artifact.code == 0,
                path: artifact.path.clone(),
                url: artifact.url.clone(),
            }),
        }),
        Details::RtpServerTimeout(server) => value(&RtpServerTimeout {
            asked: asked(event),
            local_port: server.local_port,
            ssrc: server.ssrc,
        }),
        Details::SendRtpStopped(stopped) => value(&SendRtpStopped {
            asked: asked(event),
            ssrc: stopped.ssrc.clone(),
            message: stopped.message.clone(),
        }),
        Details::ServerStarted { settings } => server(Some(settings.clone()), None),
        Details::ServerKeepalive { counters } => server(None, Some(counters.clone())),
        _ if event.kind.is_of_server() => server(None, None),
        _ => match event.traffic {
            Some(traffic) => value(&Ended {
                asked: asked(event),
                bytes_sent: traffic.sent,
                bytes_received: traffic.received,
                seconds: event.seconds(),
            }),
            None => value(&asked(event)),
        },
    }
}

/// The JSON Schema of every CloudEvent that is sent: by `type`, with the data of each.
pub fn schema() -> Value {
    let mut generator = SchemaSettings::draft2020_12().into_generator();
    let told = HookEvent::ALL.iter().filter(|kind| Dialect::CloudEvents.has(**kind));
    let events: Vec<Value> = told
        .map(|kind| {
            let data = data_schema(*kind, &mut generator);
            json!({"properties": {"type": {"const": kind.cloud_event()}, "data": data}})
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "CloudEvents of Headgate",
        "description": "Generated from media-pod/hooks: INSTA_UPDATE=always cargo test -p headgate-hooks --test golden",
        "type": "object",
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "description": "The same in each attempt and at each endpoint."},
            "source": {"type": "string", "description": "/headgate/NAMESPACE/SERVER; standalone /headgate/SERVER."},
            "subject": {"type": "string", "description": "VHOST/APP/STREAM; not in events of the server."},
            "time": {"type": "string", "format": "date-time", "description": "When it happened."},
            "datacontenttype": {"const": "application/json"},
            "sequence": {"type": "string", "description": "A number that grows from event to event of a stream."},
            "pod": {"type": "string", "description": "Where it happened."}
        },
        "required": ["specversion", "id", "source", "type", "time", "data"],
        "oneOf": events,
        "$defs": generator.take_definitions(true),
    })
}

fn data_schema(kind: HookEvent, generator: &mut SchemaGenerator) -> Schema {
    match kind {
        HookEvent::Close | HookEvent::Unpublish | HookEvent::Stop => generator.subschema_for::<Ended>(),
        HookEvent::StreamChanged => generator.subschema_for::<StreamChanged>(),
        HookEvent::HttpAccess => generator.subschema_for::<HttpAccess>(),
        HookEvent::RtspAuth => generator.subschema_for::<RtspAuth>(),
        HookEvent::Hls => generator.subschema_for::<Hls>(),
        HookEvent::RecordBegin | HookEvent::RecordEnd => generator.subschema_for::<Recording>(),
        HookEvent::ServerStarted | HookEvent::ServerExited | HookEvent::ServerKeepalive => {
            generator.subschema_for::<Server>()
        }
        HookEvent::RtpServerTimeout => generator.subschema_for::<RtpServerTimeout>(),
        HookEvent::SendRtpStopped => generator.subschema_for::<SendRtpStopped>(),
        _ => generator.subschema_for::<Asked>(),
    }
}

fn asked(event: &Event) -> Asked {
    let (stream, client) = (&event.stream, &event.client);
    Asked {
        session: event.session.to_string(),
        vhost: stream.vhost.to_string(),
        app: stream.app.to_string(),
        stream: stream.name.to_string(),
        query: event.param.strip_prefix('?').unwrap_or(&event.param).to_owned(),
        client: Client {
            id: client.id.to_string(),
            ip: client.ip.to_string(),
            port: client.port,
            protocol: client.carrier.as_str().to_owned(),
            schema: client.schema.as_str().to_owned(),
            tc_url: client.tc_url.to_string(),
            page_url: client.page_url.to_string(),
        },
    }
}

fn track(track: &event::TrackInfo) -> Track {
    let rate = u64::from(track.frames_per_1000_seconds);
    Track {
        codec: track.codec.clone(),
        width: known(track.width),
        height: known(track.height),
        frames_per_second: (rate > 0).then(|| decimal(rate)),
        sample_rate: known(track.sample_rate),
        channels: known(track.channels),
    }
}

fn server(settings: Option<BTreeMap<String, String>>, counters: Option<BTreeMap<String, u64>>) -> Value {
    value(&Server { settings, counters })
}

/// What is 0 is not known.
fn known(number: u32) -> Option<u32> {
    (number > 0).then_some(number)
}

fn value(data: &impl Serialize) -> Value {
    serde_json::to_value(data).unwrap_or_default()
}
