//! [`Listener`]: a socket that clients connect to.

use ipnet::IpNet;
use serde::{Deserialize, Serialize};
use std::fmt;
use strum::{Display, IntoStaticStr};

/// One listening socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Listener {
    /// As in the MediaServer, unique there.
    pub name: String,
    /// What is spoken on it.
    pub protocol: ListenerProtocol,
    /// TCP port.
    pub port: u16,
    /// What it shows to clients that speak TLS. Absent where the Secret has none that can be used: a pod that has an older one goes on
    /// with that, and any other does not listen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
    /// Networks of proxies that begin each connection with a PROXY header. Nobody else may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proxies: Vec<IpNet>,
    /// Networks of proxies whose `X-Forwarded-For` is believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forwarders: Vec<IpNet>,
}

/// A certificate chain with its key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Certificate {
    /// PEM, the leaf first.
    pub chain: String,
    /// PEM.
    pub key: Confidential,
}

/// A text that is passed on and never printed.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Confidential(String);

/// What a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, Display, IntoStaticStr)]
pub enum ListenerProtocol {
    /// RTMP over TCP, publish and play.
    #[serde(rename = "RTMP")]
    #[strum(serialize = "RTMP")]
    Rtmp,
    /// The same over TLS.
    #[serde(rename = "RTMPS")]
    #[strum(serialize = "RTMPS")]
    Rtmps,
    /// HTTP/1.1: play as FLV, MPEG-TS and fragmented MP4, each over WebSocket too, and HLS.
    #[serde(rename = "HTTP")]
    #[strum(serialize = "HTTP")]
    Http,
    /// The same over TLS, and HTTP/2.
    #[serde(rename = "HTTPS")]
    #[strum(serialize = "HTTPS")]
    Https,
}

impl ListenerProtocol {
    /// Whether it is spoken over TLS.
    pub fn is_tls(self) -> bool {
        matches!(self, Self::Rtmps | Self::Https)
    }
}

impl Confidential {
    /// The text.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl From<String> for Confidential {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confidential")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_confidential_is_passed_on_and_never_printed() {
        let text = Confidential::from("s3cr3t".to_owned());
        assert_eq!(format!("{text:?}"), "Confidential");
        assert_eq!(serde_json::to_string(&text).unwrap(), "\"s3cr3t\"");
    }

    #[test]
    fn a_listener_of_an_older_operator_is_understood() {
        let old: Listener = serde_json::from_str(r#"{"name":"rtmp","protocol":"RTMP","port":1935}"#).unwrap();
        assert_eq!((old.certificate, old.proxies.len()), (None, 0));
    }
}
