//! [`Event`]: what happened, typed once, with the superset of what any dialect tells. Plain data.

use headgate_control::HookEvent;
use headgate_hub::{Connection, Protocol, Session, Traffic};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

use crate::{identity, wire};

/// One thing that a back end is asked or told. As JSON it is what the log, the ledger and a hand-over keep of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Stable over retries. UUIDv7; of a closing event UUIDv5 over the session, so that whoever sends it names it the same.
    pub id: Uuid,
    /// What happened.
    pub kind: HookEvent,
    /// Grows within a stream from event to event, over restarts too; gaps mean nothing.
    pub sequence: u64,
    /// The session it is about; of a connection an id derived from it.
    pub session: Uuid,
    /// The stream it is about.
    pub stream: Stream,
    /// `?k=v` as the client sent it, less any stream key; or empty.
    pub param: String,
    /// The client.
    pub client: Client,
    /// Bytes to and from the client; closing events only.
    #[serde(default, with = "wire::traffic")]
    pub traffic: Option<Traffic>,
}

/// The full name of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stream {
    /// Virtual host, `__defaultVhost__` when none was asked for.
    pub vhost: Arc<str>,
    /// App.
    pub app: Arc<str>,
    /// Name, without any key.
    pub name: Arc<str>,
}

/// The client an event is about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Client {
    /// 8 characters, as SRS.
    pub id: String,
    /// Its address.
    pub ip: IpAddr,
    /// What it speaks.
    #[serde(with = "wire::protocol")]
    pub protocol: Protocol,
    /// The tcUrl it sent; RTMP only, else as the protocol made it.
    pub tc_url: String,
    /// The page it says it is on, or empty.
    pub page_url: String,
}

/// Makes [`Event::sequence`]: microseconds of the wall clock, pushed on so that it never repeats or goes back within a process.
#[derive(Debug, Default)]
pub struct Sequence(AtomicU64);

impl Sequence {
    /// Everything from now on comes after `number`, also when the clock was set back since.
    pub fn follow(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let clock = u64::try_from(Timestamp::now().as_microsecond()).unwrap_or(0);
        let after = |last: u64| clock.max(last.saturating_add(1));
        let last = self
            .0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(after(last)));
        after(last.unwrap_or(0))
    }
}

impl Event {
    /// An event about a session. `traffic` makes it a closing one.
    pub fn of_session(kind: HookEvent, session: &Session, traffic: Option<Traffic>, sequence: &Sequence) -> Self {
        let name = &session.name;
        Self {
            id: id(kind, session.id, traffic),
            kind,
            sequence: sequence.next(),
            session: session.id,
            stream: Stream {
                vhost: name.vhost.clone(),
                app: name.app.clone(),
                name: name.stream.clone(),
            },
            param: session.param.clone(),
            client: Client::of(&session.connection),
            traffic,
        }
    }

    /// An event about a connection. `traffic` makes it a closing one.
    pub fn of_connection(kind: HookEvent, client: &Connection, traffic: Option<Traffic>, sequence: &Sequence) -> Self {
        let session = identity::connection_session(&client.client_id, client.started.as_microsecond());
        Self {
            id: id(kind, session, traffic),
            kind,
            sequence: sequence.next(),
            session,
            stream: Stream {
                vhost: client.vhost.as_str().into(),
                app: client.app.as_str().into(),
                name: client.stream.as_str().into(),
            },
            param: client.param.clone(),
            client: Client::of(client),
            traffic,
        }
    }

    /// About how many bytes it holds in memory, for bounds.
    pub fn size(&self) -> usize {
        let strings = [&self.param, &self.client.id, &self.client.tc_url, &self.client.page_url];
        let names = [&self.stream.vhost, &self.stream.app, &self.stream.name];
        let text = strings.iter().map(|s| s.len()).sum::<usize>();
        size_of::<Self>()
            .saturating_add(text)
            .saturating_add(names.iter().map(|s| s.len()).sum())
    }
}

impl Client {
    fn of(connection: &Connection) -> Self {
        Self {
            id: connection.client_id.clone(),
            ip: connection.peer.ip().to_canonical(),
            protocol: connection.protocol,
            tc_url: connection.tc_url.clone(),
            page_url: connection.page_url.clone(),
        }
    }
}

fn id(kind: HookEvent, session: Uuid, traffic: Option<Traffic>) -> Uuid {
    match traffic {
        Some(_) => identity::closing_id(session, kind.into()),
        None => Uuid::now_v7(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sequence_grows_by_every_call_and_starts_at_the_clock() {
        let (one, later) = (Sequence::default(), Sequence::default());
        let numbers: Vec<u64> = (0..10_000).map(|_| one.next()).collect();
        assert!(numbers.is_sorted_by(|a, b| a < b));
        std::thread::sleep(std::time::Duration::from_millis(20));
        assert!(later.next() > numbers.first().copied().unwrap_or(u64::MAX));
    }
}
