//! What a MediaServer listens on.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One port that the server listens on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// Unique in the server; also the name of the Service's port.
    #[schemars(length(min = 1, max = 15), regex(pattern = r"^[a-z]([-a-z0-9]*[a-z0-9])?$"))]
    pub name: String,
    /// What is spoken on the port. `RTMP` and `RTMPS`: publish and play. `HTTP` and `HTTPS`: play as FLV, MPEG-TS and fragmented MP4, each over WebSocket too,
    /// and HLS. RTMPS and HTTPS are the same over TLS and need `tls`.
    pub protocol: Protocol,
    /// TCP port of the pods and of the Service. Pods run without privileges, so it is 1024 or higher.
    #[schemars(range(min = 1024, max = 65535))]
    pub port: i32,
    /// The certificate, for the protocols RTMPS and HTTPS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<ListenerTls>,
    /// Names the load balancers that begin each connection with a PROXY header (version 1 or 2), which says where the client is. None when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy_protocol: Option<Trusted>,
    /// Names the proxies whose `X-Forwarded-For` says where the client is, for HTTP and HTTPS. None when absent. The header is read from the right: the first address that is
    /// in none of the networks is the client's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub forwarded_for: Option<Trusted>,
}

/// The certificate of a listener.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ListenerTls {
    /// A Secret of the type kubernetes.io/tls in the same namespace: `tls.crt` with the chain, the leaf first, and `tls.key`. When it is
    /// renewed, new connections see the new certificate within a second, and none is cut.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$"))]
    pub secret_name: String,
}

/// Who is believed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Trusted {
    /// Networks of the proxies, such as `10.0.0.0/8`. From there it must come; from anywhere else it is not believed.
    #[schemars(length(min = 1, max = 64), inner(length(min = 1, max = 64), regex(pattern = r"^[0-9A-Fa-f:.]+/[0-9]{1,3}$")), extend("x-kubernetes-list-type" = "set"))]
    pub trusted_cidrs: Vec<String>,
}

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Protocol {
    /// RTMP, publish and play.
    #[serde(rename = "RTMP")]
    Rtmp,
    /// RTMP over TLS.
    #[serde(rename = "RTMPS")]
    Rtmps,
    /// HTTP: play as FLV, MPEG-TS, fragmented MP4, each over WebSocket too, and HLS.
    #[serde(rename = "HTTP")]
    Http,
    /// HTTP over TLS, and HTTP/2 for players that have it.
    #[serde(rename = "HTTPS")]
    Https,
}

impl Protocol {
    /// Whether it is spoken over TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Rtmps | Self::Https)
    }

    /// Whether it is HTTP, with or without TLS.
    pub fn is_http(self) -> bool {
        matches!(self, Self::Http | Self::Https)
    }
}

impl Listener {
    /// Without TLS and without proxies.
    pub fn plain(name: &str, protocol: Protocol, port: i32) -> Self {
        Self {
            name: name.into(),
            protocol,
            port,
            tls: None,
            proxy_protocol: None,
            forwarded_for: None,
        }
    }
}

/// RTMP on 1935 and HTTP on 8080.
pub fn default_listeners() -> Vec<Listener> {
    vec![
        Listener::plain("rtmp", Protocol::Rtmp, 1935),
        Listener::plain("http", Protocol::Http, 8080),
    ]
}
