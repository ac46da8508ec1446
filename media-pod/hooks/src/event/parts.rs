//! What an event is about: a stream, and a client.

use headgate_hub::{Connection, StreamName};
use serde::{Deserialize, Serialize};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use super::transport::{self, Carrier, Schema};

/// The full name of a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
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
    pub id: Box<str>,
    /// Its address.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// What it sends or takes.
    pub schema: Schema,
    /// Over what.
    pub carrier: Carrier,
    /// The tcUrl it sent; RTMP only, else as the protocol made it.
    pub tc_url: Arc<str>,
    /// The page it says it is on, or empty.
    pub page_url: Arc<str>,
}

impl From<&StreamName> for Stream {
    fn from(name: &StreamName) -> Self {
        Self {
            vhost: name.vhost.clone(),
            app: name.app.clone(),
            name: name.stream.clone(),
        }
    }
}

impl Client {
    pub(super) fn of(connection: &Connection) -> Self {
        let (schema, carrier) = transport::of(connection.protocol);
        Self {
            id: connection.client_id.as_str().into(),
            ip: connection.peer.ip().to_canonical(),
            port: connection.peer.port(),
            schema,
            carrier,
            tc_url: connection.tc_url.as_str().into(),
            page_url: connection.page_url.as_str().into(),
        }
    }

    /// For events that are about no client.
    pub(super) fn nobody() -> Self {
        Self {
            id: Box::default(),
            ip: Ipv4Addr::UNSPECIFIED.into(),
            port: 0,
            schema: Schema::default(),
            carrier: Carrier::default(),
            tc_url: Arc::default(),
            page_url: Arc::default(),
        }
    }
}
