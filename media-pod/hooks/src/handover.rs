//! [`HandoverRecord`]: a notification on its way from one pod's outbox to another's.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::collections::{HashSet, VecDeque};
use std::sync::Arc;
use uuid::Uuid;

use crate::event::Event;
use crate::log::record::Target;

/// Records that [`crate::Hooks::hand_over`] gives at a time.
pub const HANDOVER_MAX: usize = 1000;
/// Records whose names are remembered, to know one that comes again.
const REMEMBERED_MAX: usize = 100_000;

/// What the version of a record is now.
pub(crate) const VERSION: u32 = 1;

/// A notification that is not delivered, for one URL of one endpoint. As JSON it is what one pod says to another; all in it is as the first pod had it, so
/// that the receiver of the notification sees no difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HandoverRecord {
    pub(crate) version: u32,
    pub(crate) endpoint: String,
    pub(crate) index: usize,
    pub(crate) url: String,
    pub(crate) at: Timestamp,
    pub(crate) event: Arc<Event>,
    /// It was a dead letter.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) replay: bool,
    /// The number it has in the log it comes from.
    #[serde(skip)]
    pub(crate) number: u64,
}

/// Why a pod does not take over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TakeOverError {
    /// It has no config, so no endpoints.
    #[error("no config is in force")]
    NotReady,
    /// It ends itself.
    #[error("this outbox is being handed over itself")]
    HandingOver,
    /// They could not be written.
    #[error("the outbox cannot be written")]
    NotDurable,
    /// A record of a version that this pod does not know.
    #[error("a record has version {0}")]
    UnknownVersion(u32),
}

impl TakeOverError {
    /// PascalCase.
    pub fn reason(self) -> &'static str {
        match self {
            Self::NotReady => "NotReady",
            Self::HandingOver => "HandingOver",
            Self::NotDurable => "NotDurable",
            Self::UnknownVersion(_) => "UnknownVersion",
        }
    }
}

impl HandoverRecord {
    /// The notification's id, as its receivers see it.
    pub fn id(&self) -> Uuid {
        self.event.id
    }

    /// One for each notification, endpoint and URL.
    pub(crate) fn name(&self) -> Uuid {
        name(&self.event, &self.endpoint, &self.url)
    }

    pub(crate) fn target(&self, number: u64) -> Target {
        Target {
            number,
            endpoint: self.endpoint.clone(),
            index: self.index,
            url: self.url.clone(),
            replay: self.replay,
        }
    }
}

/// One for each notification, endpoint and URL.
pub(crate) fn name(event: &Event, endpoint: &str, url: &str) -> Uuid {
    Uuid::new_v5(&event.id, format!("{endpoint}\0{url}").as_bytes())
}

/// Names of what was taken over, the latest of them.
#[derive(Default)]
pub(crate) struct Remembered {
    names: HashSet<Uuid>,
    order: VecDeque<Uuid>,
}

impl Remembered {
    /// False when it was there already.
    pub(crate) fn insert(&mut self, name: Uuid) -> bool {
        if !self.names.insert(name) {
            return false;
        }
        self.order.push_back(name);
        if self.order.len() > REMEMBERED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.names.remove(&oldest);
        }
        true
    }

    /// It came to nothing.
    pub(crate) fn forget(&mut self, name: Uuid) {
        self.names.remove(&name);
    }
}
