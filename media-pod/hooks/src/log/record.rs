//! [`Record`]: one line of the log's story. What it does to the state stands in [`super::state`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use uuid::Uuid;

use crate::event::Event;
use crate::opened::Opened;

/// What happened, whole or not at all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Record {
    /// A session is open.
    Open(Arc<Kept>),
    /// Notifications are to be sent, and what ends with that.
    Told(Told),
    /// Notices of these numbers are done with: taken, dead or handed over.
    Done(Vec<u64>),
    /// Orphans that no config lists any more.
    Forgotten(Vec<Uuid>),
}

/// An open session with its sealed form, which stays the same however often it is said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Kept {
    pub(crate) opened: Opened,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sealed: Option<Arc<str>>,
}

/// Notices, the sessions that they close, and the orphans that are settled by them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Told {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) closes: Vec<Uuid>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) adopts: Vec<(Uuid, Timestamp)>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notices: Vec<Notice>,
}

/// An event and where it goes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notice {
    pub(crate) event: Arc<Event>,
    /// When it was appended first: its age counts over restarts and hand-overs.
    pub(crate) at: Timestamp,
    pub(crate) targets: Vec<Target>,
}

/// One URL of one endpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Target {
    /// Names this notice in the log; grows in the order of appending.
    pub(crate) number: u64,
    pub(crate) endpoint: String,
    /// Which of its URLs this was.
    pub(crate) index: usize,
    pub(crate) url: String,
    /// It was a dead letter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) replay: bool,
}
