//! [`Opened`]: all that is needed to tell of the end of a session that somebody else had.

use headgate_control::HookEvent;
use headgate_hub::{Connection, Session, SessionKind, Traffic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::HashSet;
use uuid::Uuid;

use crate::event::{Event, Sequence};

/// A session that hooks said yes to, as its closing events: what is last known of it, with the ids they will have whoever sends them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Opened {
    /// The session; of a connection the id that is derived from what names it.
    pub(crate) session: Uuid,
    /// When it was asked for.
    pub(crate) started: Timestamp,
    /// Name of the StreamKey that opened the door, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// `Unpublish`, `Stop` or `Close`, with the traffic that is known so far.
    pub(crate) closing: Event,
    /// The `Close` of the connection it runs on, when that one was let in: told behind `closing`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connection: Option<Event>,
}

impl Opened {
    /// A session; `connected` when its connection has an entry of its own, `played_as` where its stream has another name.
    pub(crate) fn of_session(session: &Session, connected: bool, played_as: Option<&str>, sequence: &Sequence) -> Self {
        let none = Some(Traffic::default());
        let close = || Event::of_connection(HookEvent::Close, &session.connection, none, sequence);
        Self {
            session: session.id,
            started: session.started,
            key: session.key.as_deref().map(str::to_owned),
            closing: closing(session, played_as, sequence),
            connection: connected.then(close),
        }
    }

    /// A connection.
    pub(crate) fn of_connection(connection: &Connection, sequence: &Sequence) -> Self {
        let none = Some(Traffic::default());
        let closing = Event::of_connection(HookEvent::Close, connection, none, sequence);
        Self {
            session: closing.session,
            started: connection.started,
            key: None,
            closing,
            connection: None,
        }
    }
}

/// What closes these: sessions first, then their connections, each once however many entries name it.
pub(crate) fn closings<'a>(opened: impl Iterator<Item = &'a Opened> + Clone) -> Vec<&'a Event> {
    let is_connection = |entry: &&Opened| entry.closing.kind == HookEvent::Close;
    let sessions = opened.clone().filter(|entry| !is_connection(entry));
    let sessions = sessions.map(|entry| &entry.closing);
    let own = opened.clone().filter(is_connection).map(|entry| &entry.closing);
    let connections = own.chain(opened.filter_map(|entry| entry.connection.as_ref()));
    let mut seen = HashSet::new();
    sessions
        .chain(connections)
        .filter(|event| seen.insert(event.id))
        .collect()
}

/// A publisher that is gone without a word is taken for one whose stream could be played: who never heard of it loses nothing.
fn closing(session: &Session, played_as: Option<&str>, sequence: &Sequence) -> Event {
    let none = Traffic::default();
    match session.kind {
        SessionKind::Publish => {
            Event::unpublished(session, none, (true, Vec::new(), played_as.map(Into::into)), sequence)
        }
        SessionKind::Play => Event::of_session(HookEvent::Stop, session, Some(none), sequence),
    }
}
