//! [`Entry`]: one stream key, ready to be checked, and the restrictions that stand once its hash has matched.

use super::glob::Glob;
use super::{Ask, BadKey};
use headgate_control as control;
use headgate_hub::{Reason, Refusal, SessionKind};
use ipnet::IpNet;
use jiff::Timestamp;
use std::sync::Arc;
use subtle::ConstantTimeEq;

/// SHA-256 of a key.
pub(super) type Hash = [u8; 32];

/// One key.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) object: Arc<str>,
    pub(super) vhost: Glob,
    pub(super) app: Glob,
    name: Glob,
    hash: Hash,
    /// The parameter that may hold it.
    pub(super) parameter: Option<Box<str>>,
    /// Its length, when the name may hold it.
    pub(super) in_name: Option<usize>,
    permissions: Vec<control::Permission>,
    not_before: Option<Timestamp>,
    not_after: Option<Timestamp>,
    networks: Vec<IpNet>,
    pub(super) max_publishers: Option<u32>,
    pub(super) suspended: bool,
}

/// Bytes of a key from which on it is taken off a name even where its StreamKey does not place it there: a client that puts it into
/// both places must not show it to viewers. A shorter one could be part of an honest name.
const ALWAYS_TAKEN_OFF: usize = 8;

impl Entry {
    pub(super) fn new(key: &control::StreamKey) -> Result<Self, BadKey> {
        let bad = |what| BadKey {
            key: key.name.clone(),
            what,
        };
        let length = usize::try_from(key.hash.length).map_err(|_| bad("length"))?;
        if length == 0 {
            return Err(bad("length"));
        }
        let placed = |p| key.placements.contains(&p);
        Ok(Self {
            object: key.name.as_str().into(),
            vhost: Glob::new(&key.pattern.vhost),
            app: Glob::new(&key.pattern.app),
            name: Glob::new(&key.pattern.stream),
            hash: decode(&key.hash.sha256).ok_or_else(|| bad("sha256"))?,
            parameter: placed(control::Placement::Query).then(|| key.query_parameter.as_str().into()),
            in_name: placed(control::Placement::StreamName).then_some(length),
            permissions: key.permissions.clone(),
            not_before: key.not_before,
            not_after: key.not_after,
            networks: key.allowed_cidrs.clone(),
            max_publishers: key.max_publishers,
            suspended: key.suspended,
        })
    }

    /// The keys that stood in its place before, each good until its own end.
    pub(super) fn previous(key: &control::StreamKey) -> impl Iterator<Item = Result<Self, BadKey>> {
        key.previous.iter().map(|previous| {
            let until = key.not_after.map_or(previous.until, |end| end.min(previous.until));
            Self::new(&control::StreamKey {
                hash: previous.hash.clone(),
                not_after: Some(until),
                previous: Vec::new(),
                ..key.clone()
            })
        })
    }

    /// Keys that begin alike share a bucket; only the whole hash counts, and that is compared in constant time.
    pub(super) fn bucket(hash: &Hash) -> u64 {
        hash.first_chunk().map_or(0, |first| u64::from_le_bytes(*first))
    }

    pub(super) fn own_bucket(&self) -> u64 {
        Self::bucket(&self.hash)
    }

    pub(super) fn is(&self, hash: &Hash) -> bool {
        self.hash.ct_eq(hash).into()
    }

    /// Whether it opens the stream of that clean name.
    pub(super) fn opens(&self, ask: &Ask<'_>, name: &str) -> bool {
        self.app.matches(ask.app) && self.vhost.matches(ask.vhost) && self.name.matches(name)
    }

    /// The name of the stream when a client gave `name` and `key` ends it: what is left, less one separator where that is what the
    /// pattern means; when nothing is left, the pattern's name, or the object's where the pattern is a glob.
    pub(super) fn clean(&self, name: &str, key: &str) -> String {
        let Some(rest) = name.strip_suffix(key) else {
            return name.into();
        };
        let trimmed = rest.strip_suffix(['-', '_', '.', '~']).unwrap_or(rest);
        if trimmed.is_empty() {
            return self.name.literal().unwrap_or(&self.object).into();
        }
        let meant = if self.name.matches(trimmed) { trimmed } else { rest };
        meant.into()
    }

    /// As [`Entry::clean`], for a key that came in the query.
    pub(super) fn clean_of_query(&self, name: &str, key: &str) -> String {
        if self.in_name.is_some() || key.len() >= ALWAYS_TAKEN_OFF {
            self.clean(name, key)
        } else {
            name.into()
        }
    }

    /// What stands against a client that holds the key.
    pub(super) fn restrict(&self, ask: &Ask<'_>) -> Result<(), Refusal> {
        let (reason, message) = if self.suspended {
            (Reason::KeySuspended, "the stream key is switched off")
        } else if self.not_before.is_some_and(|t| ask.now < t) {
            (Reason::KeyNotYetValid, "the stream key is not good yet")
        } else if self.not_after.is_some_and(|t| ask.now >= t) {
            (Reason::KeyExpired, "the stream key has expired")
        } else if !self.permits(ask.kind) {
            (Reason::PermissionMissing, missing(ask.kind))
        } else if !self.allows_address(ask) {
            (
                Reason::AddressNotAllowed,
                "the stream key is not good from this address",
            )
        } else {
            return Ok(());
        };
        Err(Refusal::new(reason, message))
    }

    pub(super) fn permits(&self, kind: SessionKind) -> bool {
        self.permissions.contains(&permission(kind))
    }

    pub(super) fn allows_address(&self, ask: &Ask<'_>) -> bool {
        let address = ask.address.to_canonical();
        self.networks.is_empty() || self.networks.iter().any(|n| n.contains(&address))
    }
}

fn permission(kind: SessionKind) -> control::Permission {
    match kind {
        SessionKind::Publish => control::Permission::Publish,
        SessionKind::Play => control::Permission::Play,
    }
}

fn missing(kind: SessionKind) -> &'static str {
    match kind {
        SessionKind::Publish => "the stream key does not allow to publish",
        SessionKind::Play => "the stream key does not allow to play",
    }
}

fn decode(text: &str) -> Option<Hash> {
    let mut hash = Hash::default();
    hex::decode_to_slice(text, &mut hash).ok()?;
    Some(hash)
}
