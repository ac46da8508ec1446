//! [`Event`]: what happened, typed once, with the superset of what any dialect tells. Plain data, that can be written down.

mod details;
mod parts;
mod registered;
mod segment;
mod sequence;
pub mod transport;

pub use details::{
    Artifact, Details, HlsSegment, HttpAccess, RecordedFile, Recording, Registered, RtpServer, RtpStopped, RtspAuth,
    ShellLogin, Source, TrackInfo,
};

pub use parts::{Client, Stream};
pub use segment::NewSegment;
pub use sequence::Sequence;

use headgate_codec::Track;
use headgate_control::HookEvent;
use headgate_hub::{Connection, FileRequest, Session, SessionKind, Traffic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

use crate::admission::closing_of;
use crate::identity::{self, Origin};
use crate::wire;
use transport::{PLAYED, Schema};

/// One thing that a back end is asked or told. As JSON it is what the log, the ledger and a hand-over keep of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Stable over retries. UUIDv7; of a closing event UUIDv5 over the session, so that whoever sends it names it the same.
    pub id: Uuid,
    /// What happened.
    pub kind: HookEvent,
    /// When.
    pub time: Timestamp,
    /// Grows within a stream from event to event, over restarts too; gaps mean nothing.
    pub sequence: u64,
    /// The session it is about; of a connection an id derived from it; of a server nil.
    pub session: Uuid,
    /// The stream it is about; of a server empty.
    pub stream: Stream,
    /// `?k=v` as the client sent it, less any stream key; or empty.
    pub param: Box<str>,
    /// The client.
    pub client: Client,
    /// Bytes to and from the client; closing events only.
    #[serde(default, with = "wire::traffic")]
    pub traffic: Option<Traffic>,
    /// What only events of this kind have.
    #[serde(default, skip_serializing_if = "Details::is_none")]
    pub details: Details,
    /// Where it happened; `None` is the process that tells of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<Box<Origin>>,
}

impl Event {
    /// An event about a session. `traffic` makes it a closing one.
    pub fn of_session(kind: HookEvent, session: &Session, traffic: Option<Traffic>, sequence: &Sequence) -> Self {
        let time = Timestamp::now();
        let ended = Details::Ended {
            started: session.started,
            player: session.kind == SessionKind::Play,
            playable: false,
            without: Box::default(),
            played_as: None,
        };
        Self {
            id: id(kind, session.id, traffic),
            kind,
            time,
            sequence: sequence.next(),
            session: session.id,
            stream: Stream::from(&session.name),
            param: session.param.as_str().into(),
            client: Client::of(&session.connection),
            traffic,
            details: if traffic.is_some() { ended } else { Details::None },
            origin: None,
        }
    }

    /// An event about a connection. `traffic` makes it a closing one.
    pub fn of_connection(kind: HookEvent, client: &Connection, traffic: Option<Traffic>, sequence: &Sequence) -> Self {
        let session = identity::connection_session(&client.client_id, client.started.as_microsecond());
        Self {
            id: id(kind, session, traffic),
            kind,
            time: Timestamp::now(),
            sequence: sequence.next(),
            session,
            stream: Stream {
                vhost: client.vhost.as_str().into(),
                app: client.app.as_str().into(),
                name: client.stream.as_str().into(),
            },
            param: client.param.as_str().into(),
            client: Client::of(client),
            traffic,
            details: Details::None,
            origin: None,
        }
    }

    /// A file is asked for.
    pub fn of_file(request: &FileRequest, sequence: &Sequence) -> Self {
        let access = HttpAccess {
            path: request.path.clone(),
            file_path: request.path.clone(),
            is_dir: request.path.ends_with('/'),
            headers: request.headers.clone(),
        };
        Self {
            details: Details::HttpAccess(Box::new(access)),
            ..Self::of_connection(HookEvent::HttpAccess, &request.connection, None, sequence)
        }
    }

    /// An event about a server.
    pub fn of_server(kind: HookEvent, details: Details, sequence: &Sequence) -> Self {
        Self {
            id: Uuid::now_v7(),
            kind,
            time: Timestamp::now(),
            sequence: sequence.next(),
            session: Uuid::nil(),
            stream: Stream::default(),
            param: Box::default(),
            client: Client::nobody(),
            traffic: None,
            details,
            origin: None,
        }
    }

    /// A publisher's stream can be played by `schema` from now on. Its id follows from both, so that a repeat has the same.
    /// `segmented` says whether it is to be had as HLS.
    pub fn registered(
        publisher: &Session,
        (schema, segmented): (Schema, bool),
        tracks: &[Track],
        sequence: &Sequence,
    ) -> Self {
        let event = Self::of_session(HookEvent::StreamChanged, publisher, None, sequence);
        let registered = Some(Box::new(Registered {
            recording_hls: segmented,
            ..Registered::of(publisher, tracks, event.time)
        }));
        Self {
            id: identity::closing_id(publisher.id, &change(schema, true)),
            details: Details::Changed { schema, registered },
            ..event
        }
    }

    /// Nobody plays a publisher's stream.
    pub fn none_reader(publisher: &Session, sequence: &Sequence) -> Self {
        let schema = transport::of(publisher.connection.protocol).0;
        Self {
            details: Details::NoneReader { schema },
            ..Self::of_session(HookEvent::StreamNoneReader, publisher, None, sequence)
        }
    }

    /// A segment of a publisher's stream is whole. Its id follows from both, so that a repeat has the same.
    pub fn of_segment(kind: HookEvent, publisher: &Session, segment: &NewSegment, sequence: &Sequence) -> Self {
        let details = match kind {
            HookEvent::RecordTs => Details::Recorded(Box::new(segment.as_recorded())),
            _ => Details::Hls(Box::new(segment.as_hls())),
        };
        let name: &str = kind.into();
        Self {
            id: identity::closing_id(publisher.id, &format!("{name}/{}", segment.path)),
            details,
            ..Self::of_session(kind, publisher, None, sequence)
        }
    }

    /// The end of a publisher, whose stream could be played until now, or never could.
    /// `without` are the schemas by which it was not to be had, `played_as` is its name where that was not the session's.
    pub fn unpublished(
        session: &Session,
        traffic: Traffic,
        (playable, without, played_as): (bool, Vec<Schema>, Option<Arc<str>>),
        sequence: &Sequence,
    ) -> Self {
        let details = Details::Ended {
            started: session.started,
            player: false,
            playable,
            without: without.into(),
            played_as,
        };
        Self {
            details,
            ..Self::of_session(HookEvent::Unpublish, session, Some(traffic), sequence)
        }
    }

    /// The end of what `opening` asked for, to one who may believe that it is in. `None` for what needs no end.
    pub(crate) fn taken_back(opening: &Self, sequence: &Sequence) -> Option<Self> {
        let kind = closing_of(opening.kind)?;
        let ended = Details::Ended {
            started: opening.time,
            player: kind == HookEvent::Stop,
            playable: false,
            without: Box::default(),
            played_as: None,
        };
        Some(Self {
            id: identity::closing_id(opening.session, kind.into()),
            kind,
            time: Timestamp::now(),
            sequence: sequence.next(),
            traffic: Some(Traffic::default()),
            details: if kind == HookEvent::Close { Details::None } else { ended },
            ..opening.clone()
        })
    }

    /// The event and what follows from it, in the order in which they are told: the end of a session is also that of what could be played, and
    /// says what it carried. Whoever makes an end known makes all of these known that are `wanted`, each under an id that follows from the session.
    pub fn with_kin(self, sequence: &Sequence, wanted: impl Fn(HookEvent) -> bool) -> Vec<Self> {
        let Details::Ended {
            playable,
            ref without,
            ref played_as,
            ..
        } = self.details
        else {
            return vec![self];
        };
        let (without, played_as) = (without.clone(), played_as.clone());
        let mut kin = Vec::new();
        if wanted(HookEvent::FlowReport) {
            kin.push(self.kin(HookEvent::FlowReport, HookEvent::FlowReport.into(), sequence));
        }
        let gone = playable && wanted(HookEvent::StreamChanged);
        for schema in PLAYED.into_iter().filter(|schema| gone && !without.contains(schema)) {
            let registered = None;
            let gone = Self {
                details: Details::Changed { schema, registered },
                traffic: None,
                ..self.kin(HookEvent::StreamChanged, &change(schema, false), sequence)
            };
            kin.push(gone.under(played_as.as_ref()));
        }
        // What comes last has the last number.
        let last = if kin.is_empty() { self.sequence } else { sequence.next() };
        kin.push(Self { sequence: last, ..self });
        kin
    }

    /// About the stream of another name.
    pub(crate) fn under(mut self, name: Option<&Arc<str>>) -> Self {
        if let Some(name) = name {
            self.stream.name = Arc::clone(name);
        }
        self
    }

    fn kin(&self, kind: HookEvent, what: &str, sequence: &Sequence) -> Self {
        Self {
            id: identity::closing_id(self.session, what),
            kind,
            sequence: sequence.next(),
            ..self.clone()
        }
    }

    /// How long what it ends took, in whole seconds; 0 of anything else.
    pub fn seconds(&self) -> u64 {
        match &self.details {
            Details::Ended { started, .. } => seconds(*started, self.time),
            _ => 0,
        }
    }

    /// About how many bytes it holds in memory, for bounds.
    pub fn size(&self) -> usize {
        let client = &self.client;
        let strings = [&*self.param, &client.id, &client.tc_url, &client.page_url];
        let names = [&self.stream.vhost, &self.stream.app, &self.stream.name];
        let text = strings.iter().map(|s| s.len()).sum::<usize>();
        size_of::<Self>()
            .saturating_add(text)
            .saturating_add(names.iter().map(|s| s.len()).sum())
            .saturating_add(self.details.size())
    }
}

/// What is told apart by its id.
fn change(schema: Schema, registered: bool) -> String {
    format!("StreamChanged/{}/{registered}", schema.as_str())
}

/// Whole seconds between two moments; 0 when the clock went back.
fn seconds(from: Timestamp, to: Timestamp) -> u64 {
    u64::try_from(to.duration_since(from).as_secs()).unwrap_or(0)
}

fn id(kind: HookEvent, session: Uuid, traffic: Option<Traffic>) -> Uuid {
    match traffic {
        Some(_) => identity::closing_id(session, kind.into()),
        None => Uuid::now_v7(),
    }
}

#[cfg(test)]
mod tests;
