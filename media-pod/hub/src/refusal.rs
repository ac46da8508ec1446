//! Why a session is not let in, and why one ends.

use std::borrow::Cow;

/// Why a session was refused. The same word stands in the protocol's status, the log, the metric and the Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, strum::Display, strum::IntoStaticStr)]
pub enum Reason {
    /// The server does not serve this virtual host.
    UnknownVhost,
    /// No key and no rule is about this app.
    UnknownApp,
    /// A key is needed and none was given.
    KeyMissing,
    /// The key that was given opens nothing here.
    KeyWrong,
    /// The key is not good yet.
    KeyNotYetValid,
    /// The key was good once.
    KeyExpired,
    /// The key is switched off.
    KeySuspended,
    /// The key does not allow this kind of session.
    PermissionMissing,
    /// The peer's address may not use the key.
    AddressNotAllowed,
    /// As many sessions as are allowed are there.
    LimitReached,
    /// Another publisher has the name, or is being asked about.
    NameBusy,
    /// The back end said no.
    HookDenied,
    /// The back end said nothing in time.
    HookTimeout,
    /// The back end could not be reached.
    HookUnreachable,
    /// The back end answered with a bad HTTP status.
    HookBadStatus,
    /// The back end's answer could not be understood.
    HookBadAnswer,
    /// The back end has not answered for a while and is not asked.
    HookCircuitOpen,
    /// Nobody publishes this stream.
    StreamNotFound,
    /// The format that was asked for carries none of the stream's codecs.
    CodecsNotCarried,
    /// The server takes no new sessions.
    Draining,
    /// The request makes no sense.
    BadRequest,
    /// A defect of ours.
    Internal,
}

impl Reason {
    /// The word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// A session that was not let in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct Refusal {
    /// One word.
    pub reason: Reason,
    /// What was wrong, for people. Never holds a secret.
    pub message: Cow<'static, str>,
}

impl Refusal {
    /// A refusal; `message` must not hold a secret.
    pub fn new(reason: Reason, message: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// Why an admitted session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, strum::Display, strum::IntoStaticStr)]
pub enum EndReason {
    /// The connection is gone.
    PeerClosed,
    /// The client said that it is done and stays connected.
    Unpublished,
    /// Somebody ended it on purpose.
    Kicked,
    /// A newer publisher has the name.
    TakenOver,
    /// The name that a back end gave its stream cannot be had.
    RenameFailed,
    /// The process ends.
    Shutdown,
    /// The server is on its way out: the same stream is to be had, or the same name is free, elsewhere.
    Draining,
    /// Nothing came for too long.
    Idle,
    /// The viewer cannot keep up, or does not read.
    TooSlow,
    /// The publisher sends more than it may, and did not slow down.
    IngestTooFast,
    /// The stream that was played is gone.
    StreamEnded,
    /// The stream that should be played never came.
    StreamNotFound,
    /// The viewer's format carries none of the stream's codecs.
    CodecsNotCarried,
    /// The peer broke the protocol.
    ProtocolError,
}

impl EndReason {
    /// The word.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}
