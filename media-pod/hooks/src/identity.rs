//! The ids that a back end sees: short, in the alphabet of SRS, and the same from every pod that speaks of the same thing.
//!
//! All but the process's own are derived by hash (UUIDv5 over a namespace of ours), so that nothing has to be stored or agreed on.

use headgate_control::ServerIdentity;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Namespace of everything that is derived here.
const NAMESPACE: Uuid = Uuid::from_u128(0x6865_6164_6761_7465_2d68_6f6f_6b73_0001);
/// Digits of SRS's ids.
const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";

/// Who speaks: goes into every body.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// `vid-` and 7 characters; one a MediaServer.
    pub server_id: String,
    /// 8 characters; new each time the process starts.
    pub service_id: String,
    /// The server's uid, from which stream ids derive.
    pub uid: String,
    /// `NAMESPACE/NAME` of the MediaServer; standalone the name alone.
    pub server: String,
    /// Name of the pod; standalone that of the server.
    pub pod: String,
}

impl Origin {
    /// The origin of a server (by its uid) in the process `service_id`.
    pub fn new(uid: &str, service_id: &str) -> Self {
        Self {
            server_id: format!("vid-{}", short(&["server", uid], 7)),
            service_id: service_id.to_owned(),
            uid: uid.to_owned(),
            ..Self::default()
        }
    }

    /// The origin of a server in the process `service_id` of `pod`.
    pub fn of(server: &ServerIdentity, pod: &str, service_id: &str) -> Self {
        let ServerIdentity { namespace, name, uid } = server;
        let full = [namespace, name].map(String::as_str);
        let parts = full.into_iter().filter(|part| !part.is_empty());
        Self {
            server: parts.collect::<Vec<_>>().join("/"),
            pod: if pod.is_empty() { name } else { pod }.to_owned(),
            ..Self::new(uid, service_id)
        }
    }

    /// `vid-` and 7 characters; one a (server, vhost, app, stream).
    pub fn stream_id(&self, vhost: &str, app: &str, stream: &str) -> String {
        format!("vid-{}", short(&["stream", &self.uid, vhost, app, stream], 7))
    }
}

/// A service id for a process that just started: 8 characters, random.
pub fn new_service_id() -> String {
    digits(Uuid::new_v4().as_u128(), 8)
}

/// Id of the event that closes what `session` opened; whoever sends it derives the same.
pub(crate) fn closing_id(session: Uuid, event: &str) -> Uuid {
    Uuid::new_v5(&session, event.as_bytes())
}

/// The session id of a connection, which has none of its own: derived from what names it.
pub(crate) fn connection_session(client_id: &str, started_microseconds: i64) -> Uuid {
    hash(&["connection", client_id, &started_microseconds.to_string()])
}

/// A number for a client, as SRS 1 had them: one a client id, from 1 to 2³¹ - 1, so that it fits where an `int` was.
pub(crate) fn client_number(client_id: &str) -> u32 {
    let low = hash(&["client", client_id]).as_u128() & 0x7fff_ffff;
    u32::try_from(low).unwrap_or(1).max(1)
}

fn short(parts: &[&str], length: usize) -> String {
    digits(hash(parts).as_u128(), length)
}

fn hash(parts: &[&str]) -> Uuid {
    Uuid::new_v5(&NAMESPACE, parts.join("\0").as_bytes())
}

/// The low `length` base-36 digits of `number`. The low bits of a UUID are the ones that hold no version.
fn digits(number: u128, length: usize) -> String {
    let mut rest = number;
    let digit = || {
        let digit = usize::try_from(rest % 36)
            .ok()
            .and_then(|at| DIGITS.get(at))
            .copied()
            .unwrap_or(b'0');
        rest /= 36;
        char::from(digit)
    };
    std::iter::repeat_with(digit).take(length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_in_every_pod_of_a_server_and_differ_between_servers() {
        let (one, other) = (Origin::new("uid-1", "aaaaaaaa"), Origin::new("uid-1", "bbbbbbbb"));
        assert_eq!(one.server_id, other.server_id);
        assert_eq!(one.stream_id("v", "live", "a"), other.stream_id("v", "live", "a"));
        assert_ne!(one.stream_id("v", "live", "a"), one.stream_id("v", "live", "b"));
        assert_ne!(one.server_id, Origin::new("uid-2", "aaaaaaaa").server_id);
        assert_ne!(
            one.stream_id("v", "live", "a"),
            Origin::new("uid-2", "a").stream_id("v", "live", "a")
        );
    }

    #[test]
    fn ids_have_the_shape_of_srs() {
        let id = Origin::new("uid", "x").server_id;
        let tail = id.strip_prefix("vid-").unwrap_or_default();
        assert_eq!(tail.len(), 7);
        assert!(tail.bytes().all(|b| DIGITS.contains(&b)));
        assert_eq!(new_service_id().len(), 8);
        assert_ne!(new_service_id(), new_service_id());
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let origin = Origin::new("uid", "x");
        assert_ne!(origin.stream_id("v", "a", "bc"), origin.stream_id("v", "ab", "c"));
    }

    #[test]
    fn a_closing_event_has_one_id_however_often_it_is_derived() {
        let session = connection_session("3ul1iu70", 1);
        assert_eq!(closing_id(session, "Close"), closing_id(session, "Close"));
        assert_ne!(closing_id(session, "Close"), closing_id(session, "Unpublish"));
        assert_ne!(session, connection_session("3ul1iu70", 2));
    }
}
