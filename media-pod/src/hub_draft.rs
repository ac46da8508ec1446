//! Draft of the hub's types.

/// Kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionKind {
    /// Publish.
    Publish,
    /// Play.
    Play,
}

/// Reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum Reason {
    UnknownVhost,
    UnknownApp,
    KeyMissing,
    KeyWrong,
    KeyNotYetValid,
    KeyExpired,
    KeySuspended,
    PermissionMissing,
    AddressNotAllowed,
    LimitReached,
    NameBusy,
}

/// Refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Reason.
    pub reason: Reason,
    /// Message.
    pub message: String,
}

impl Refusal {
    /// New.
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
