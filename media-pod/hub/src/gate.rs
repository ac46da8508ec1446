//! The gate: who may come in, and who is told. Stream keys and hooks implement it.

use crate::{Connection, EndReason, Refusal, Session, SessionKind, StreamName, Traffic, Treatment};
use futures::future::BoxFuture;
use headgate_codec::Track;
use std::fmt;
use std::sync::Arc;

/// What a client asks for, before any check.
#[derive(Clone)]
pub struct Request {
    /// Publish or play.
    pub kind: SessionKind,
    /// As the protocol opened it: may hold a stream key.
    pub connection: Arc<Connection>,
    /// As it came: the stream may hold a stream key.
    pub name: StreamName,
    /// As it came, `?k=v` or empty: may hold a stream key.
    pub param: String,
}

/// A file of a stream that is asked for over HTTP, such as a segment.
#[derive(Clone, Debug)]
pub struct FileRequest {
    /// Who asks, with the stream it belongs to, and the query of the request.
    pub connection: Connection,
    /// The path of its URL, decoded.
    pub path: String,
    /// All headers of the request.
    pub headers: Vec<(String, String)>,
    /// What tells the client from others, where there is such a thing.
    pub visitor: Option<Visitor>,
}

/// A client as a word that the server made, and that it keeps in a cookie.
#[derive(Clone, PartialEq, Eq)]
pub struct Visitor {
    /// The word.
    pub word: String,
    /// It was made for this request: the client came without one.
    pub is_new: bool,
}

/// Without the word.
impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor")
            .field("is_new", &self.is_new)
            .finish_non_exhaustive()
    }
}

/// What the local checks found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permit {
    /// The name without a key.
    pub name: StreamName,
    /// The query without a key: `?k=v` or empty.
    pub param: String,
    /// The connection's `tc_url` without a key; `None` when it held none.
    pub tc_url: Option<String>,
    /// Name of the StreamKey object that opened the door.
    pub key: Option<Arc<str>>,
    /// A publisher that has the name already is cut, once this one is admitted.
    pub takeover: bool,
    /// Publishers at one time with this key.
    pub key_publishers_max: Option<u32>,
}

impl Permit {
    /// Everything as it was asked for, with no key and no limit.
    pub fn as_asked(request: &Request) -> Self {
        let (name, param) = (request.name.clone(), request.param.clone());
        Self {
            name,
            param,
            tc_url: None,
            key: None,
            takeover: false,
            key_publishers_max: None,
        }
    }
}

/// Through it every session passes: `check` → (the name is reserved) → `connect`, once a connection → `admit` → `playable` or `missing` → … → `ended` → …
/// → `closed`.
///
/// `connect` and `admit` run to their end even when the client has gone meanwhile, so they must bound their own time. `ended` follows each
/// `admit` that said yes exactly once, before the name is free for others; `closed` follows an accepted `connect` exactly once, after that.
/// `ended` and `closed` never block.
pub trait Gate: Send + Sync + 'static {
    /// The local checks.
    fn check(&self, request: &Request) -> Result<Permit, Refusal>;
    /// Asks whether the connection may be (`on_connect`). Called for every protocol; `connection` holds no key.
    fn connect<'a>(&'a self, connection: &'a Arc<Connection>) -> BoxFuture<'a, Result<(), Refusal>>;
    /// Asks whether the session may be (`on_publish`, `on_play`).
    fn admit<'a>(&'a self, session: &'a Arc<Session>) -> BoxFuture<'a, Result<(), Refusal>>;
    /// How the stream of a publisher that was just let in is to be treated.
    fn treatment(&self, _publisher: &Session) -> Treatment {
        Treatment::default()
    }
    /// Whether [`Gate::file`] would ask anybody.
    fn guards_files(&self) -> bool {
        false
    }
    /// Asks whether a file may be had (`on_http_access`). Must bound its own time.
    fn file<'a>(&'a self, _request: &'a FileRequest) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }
    /// A publisher's stream can be played from now on: this is in it, and the first picture is there, or a while of sound. Once a session at most, after
    /// `admit` and never after `ended`. Never blocks.
    fn playable(&self, _session: &Arc<Session>, _tracks: &[Track]) {}
    /// A player waits for a stream that nobody publishes: asked once for all who wait. Yes sends them away; no lets them wait their time. Must bound its own.
    fn missing<'a>(&'a self, _session: &'a Arc<Session>) -> BoxFuture<'a, bool> {
        Box::pin(std::future::ready(false))
    }
    /// The session is over (`on_unpublish`, `on_stop`). `traffic` counts media bytes.
    fn ended(&self, session: &Arc<Session>, reason: EndReason, traffic: Traffic);
    /// The connection is over (`on_close`). `traffic` is what the protocol counted.
    fn closed(&self, connection: &Arc<Connection>, traffic: Traffic);
}

/// Lets everyone in and tells nobody.
#[derive(Clone, Copy, Debug, Default)]
pub struct OpenGate;

impl Gate for OpenGate {
    fn check(&self, request: &Request) -> Result<Permit, Refusal> {
        Ok(Permit::as_asked(request))
    }

    fn connect<'a>(&'a self, _: &'a Arc<Connection>) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn admit<'a>(&'a self, _: &'a Arc<Session>) -> BoxFuture<'a, Result<(), Refusal>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn ended(&self, _: &Arc<Session>, _: EndReason, _: Traffic) {}

    fn closed(&self, _: &Arc<Connection>, _: Traffic) {}
}
