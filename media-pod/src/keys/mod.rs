//! The local stream-key check: whether what a client sent holds a key that opens the stream it asks for. Pure: no clock, no I/O.
//!
//! A key is found by its SHA-256 and compared in constant time, so one check costs one hash a place where a key may stand, however many
//! keys there are. Whatever the check says, the key is in neither the name nor the query that it gives back, and never in a message. The
//! precise reason (expired, suspended, wrong address) is told only to a client that holds the key.
//!
//! A name that *is* the key becomes the name of the key's pattern where that is no glob, else the name of the StreamKey object.

mod cover;
mod entry;
mod glob;
mod query;
mod stay;
#[cfg(test)]
mod tests;

use cover::Cover;
use entry::{Entry, Hash};
use headgate_control::{Authentication, PodConfig};
use headgate_hub::{Reason, Refusal, SessionKind};
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

/// Query parameters of one request that are looked at; the rest are not.
const PARAMETERS_MAX: usize = 8;

/// What a client asks for.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// To publish or to play.
    pub kind: SessionKind,
    /// Virtual host, resolved.
    pub vhost: &'a str,
    /// App.
    pub app: &'a str,
    /// Stream name as it came.
    pub stream: &'a str,
    /// `?k=v` as it came, or empty.
    pub param: &'a str,
    /// Where the client is.
    pub address: IpAddr,
    /// The time.
    pub now: Timestamp,
}

/// The client may go on to the hooks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    /// The stream's name without any key.
    pub stream: String,
    /// `?k=v` without any key, or empty.
    pub param: String,
    /// The StreamKey object that let it in; `None` where none was asked for.
    pub key: Option<Arc<str>>,
    /// Publishers at one time that this key allows; `None` is no bound.
    pub publishers_max: Option<u32>,
}

/// A key in a config that no check could be made from.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream key {key:?} has no usable {what}")]
pub struct BadKey {
    /// The StreamKey object.
    pub key: String,
    /// The field.
    pub what: &'static str,
}

/// All keys of a config. The default asks for a key and has none.
#[derive(Clone, Debug, Default)]
pub struct KeyRing {
    publish: Authentication,
    play: Authentication,
    entries: Vec<Entry>,
    by_hash: HashMap<u64, Vec<usize>>,
    /// The current key of each StreamKey; `None` of one that opens nothing at present.
    by_object: HashMap<Arc<str>, Option<usize>>,
    parameters: BTreeSet<Box<str>>,
    lengths: BTreeSet<usize>,
    cover: Cover,
}

/// A place of a request where a key may stand, with what stands there.
struct Presented<'a> {
    text: Cow<'a, str>,
    hash: Hash,
    /// The query parameter, or `None` for the name.
    parameter: Option<&'a str>,
}

impl KeyRing {
    /// The keys and the policy of `config`.
    pub fn new(config: &PodConfig) -> Result<Self, BadKey> {
        let mut ring = Self {
            publish: config.publish.authentication,
            play: config.play.authentication,
            ..Self::default()
        };
        let idle = config.idle_keys.iter().map(|name| (Arc::from(name.as_str()), None));
        ring.by_object.extend(idle);
        for key in &config.keys {
            let entry = Entry::new(key)?;
            ring.by_object.insert(entry.object.clone(), Some(ring.entries.len()));
            ring.add(entry);
            for previous in Entry::previous(key) {
                ring.add(previous?);
            }
        }
        Ok(ring)
    }

    /// Whether the client may go on, and as what.
    pub fn check(&self, ask: &Ask<'_>) -> Result<Granted, Refusal> {
        match self.authentication(ask.kind) {
            Authentication::StreamKey => self.demand(ask),
            Authentication::None => Ok(self.strip(ask)),
        }
    }

    /// A URL or query without any key of ours that stands in its parameters.
    pub fn scrub(&self, url: &str) -> String {
        let Some((base, param)) = url.split_once('?') else {
            return url.into();
        };
        let is_key = |name: &str, value: &str| self.parameters.contains(name) && self.holds(value);
        format!("{base}{}", query::without(param, is_key))
    }

    fn add(&mut self, entry: Entry) {
        self.by_hash
            .entry(entry.own_bucket())
            .or_default()
            .push(self.entries.len());
        self.parameters.extend(entry.parameter.clone());
        self.lengths.extend(entry.in_name);
        self.cover.add(&entry);
        self.entries.push(entry);
    }

    fn authentication(&self, kind: SessionKind) -> Authentication {
        match kind {
            SessionKind::Publish => self.publish,
            SessionKind::Play => self.play,
        }
    }

    fn demand(&self, ask: &Ask<'_>) -> Result<Granted, Refusal> {
        let mut refusal = None;
        for (entry, granted) in self.found(ask) {
            match entry.restrict(ask) {
                Ok(()) => return Ok(granted),
                Err(why) => refusal = refusal.or(Some(why)),
            }
        }
        Err(refusal.unwrap_or_else(|| self.explain(ask)))
    }

    /// No key is asked for; one that is given all the same is taken off, and a token of the user's own stays.
    fn strip(&self, ask: &Ask<'_>) -> Granted {
        let as_it_came = || Granted {
            stream: ask.stream.into(),
            param: ask.param.into(),
            key: None,
            publishers_max: None,
        };
        self.found(ask).next().map_or_else(as_it_came, |(_, granted)| Granted {
            key: None,
            publishers_max: None,
            ..granted
        })
    }

    /// The keys that the client holds and that open the stream it asks for.
    fn found<'a>(&'a self, ask: &'a Ask<'a>) -> impl Iterator<Item = (&'a Entry, Granted)> {
        self.presented(ask).flat_map(move |presented| {
            let hits = self.by_hash.get(&Entry::bucket(&presented.hash)).into_iter().flatten();
            let entries = hits.filter_map(|at| self.entries.get(*at));
            let granted: Vec<_> = entries
                .filter_map(|e| Some((e, granted(e, ask, &presented)?)))
                .collect();
            granted
        })
    }

    fn presented<'a>(&'a self, ask: &'a Ask<'a>) -> impl Iterator<Item = Presented<'a>> {
        let queried = query::pairs(ask.param)
            .filter(|(name, _)| self.parameters.contains(*name))
            .take(PARAMETERS_MAX);
        let queried = queried.map(|(name, value)| Presented::new(value, Some(name)));
        let lengths = self.lengths.iter().rev();
        let suffixes = lengths.filter_map(|n| ask.stream.get(ask.stream.len().checked_sub(*n)?..));
        queried.chain(suffixes.map(|s| Presented::new(Cow::Borrowed(s), None)))
    }

    fn explain(&self, ask: &Ask<'_>) -> Refusal {
        let Some(ways) = self.cover.ways(ask) else {
            return Refusal::new(Reason::UnknownApp, "no stream key is about this app");
        };
        if ways.tried(ask) {
            return Refusal::new(Reason::KeyWrong, "the stream key does not open this stream");
        }
        let where_to = match ways.parameters.first() {
            Some(parameter) => format!("no stream key came: put ?{parameter}=KEY behind the stream's name"),
            None => "no stream key came: put it at the end of the stream's name".into(),
        };
        Refusal::new(Reason::KeyMissing, where_to)
    }

    fn holds(&self, text: &str) -> bool {
        let hash: Hash = Sha256::digest(text).into();
        let hits = self.by_hash.get(&Entry::bucket(&hash)).into_iter().flatten();
        hits.filter_map(|at| self.entries.get(*at)).any(|e| e.is(&hash))
    }
}

impl<'a> Presented<'a> {
    fn new(text: Cow<'a, str>, parameter: Option<&'a str>) -> Self {
        let hash = Sha256::digest(text.as_bytes()).into();
        Self { text, hash, parameter }
    }
}

/// What the client gets if `entry` is the key that it presented, in a place where it may stand, for a stream that it opens.
fn granted(entry: &Entry, ask: &Ask<'_>, presented: &Presented<'_>) -> Option<Granted> {
    let placed = match presented.parameter {
        Some(name) => entry.parameter.as_deref() == Some(name),
        None => entry.in_name == Some(presented.text.len()),
    };
    if !placed || !entry.is(&presented.hash) {
        return None;
    }
    let stream = match presented.parameter {
        Some(_) => entry.clean_of_query(ask.stream, &presented.text),
        None => entry.clean(ask.stream, &presented.text),
    };
    let is_key = |name: &str, value: &str| Some(name) == presented.parameter || value == presented.text;
    let param = query::without(ask.param, is_key);
    entry.opens(ask, &stream).then(|| Granted {
        stream,
        param,
        key: Some(entry.object.clone()),
        publishers_max: entry.max_publishers,
    })
}
