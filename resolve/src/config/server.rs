//! What a server says for itself.

use super::{digest, unsigned};
use crate::{Secrets, certificate};
use headgate_api as api;
use headgate_control as control;
use ipnet::IpNet;

pub(super) fn identity(server: &api::MediaServer) -> control::ServerIdentity {
    let namespace = server.metadata.namespace.clone().unwrap_or_default();
    let name = server.metadata.name.clone().unwrap_or_default();
    let uid = server
        .metadata
        .uid
        .clone()
        .unwrap_or_else(|| digest(&(&namespace, &name)));
    control::ServerIdentity { namespace, name, uid }
}

pub(super) fn listener(from: &api::Listener, secrets: &dyn Secrets) -> Option<control::Listener> {
    let tls = from.tls.as_ref().filter(|_| from.protocol.is_tls());
    Some(control::Listener {
        name: from.name.clone(),
        protocol: match from.protocol {
            api::Protocol::Rtmp => control::ListenerProtocol::Rtmp,
            api::Protocol::Rtmps => control::ListenerProtocol::Rtmps,
            api::Protocol::Http => control::ListenerProtocol::Http,
            api::Protocol::Https => control::ListenerProtocol::Https,
        },
        port: u16::try_from(from.port).ok()?,
        certificate: tls.and_then(|tls| certificate(secrets, &tls.secret_name).ok()),
        proxies: networks(from.proxy_protocol.as_ref()),
        forwarders: networks(from.forwarded_for.as_ref()),
    })
}

fn networks(trusted: Option<&api::Trusted>) -> Vec<IpNet> {
    let all = trusted.iter().flat_map(|t| &t.trusted_cidrs);
    all.filter_map(|c| c.parse().ok()).collect()
}

pub(super) fn hls(from: &api::Hls) -> control::HlsPolicy {
    control::HlsPolicy {
        segment_seconds: unsigned(from.segment_seconds),
        window_segments: unsigned(from.window_segments),
        container: match from.container {
            api::HlsContainer::MpegTs => control::HlsContainer::MpegTs,
            api::HlsContainer::Fmp4 => control::HlsContainer::Fmp4,
        },
        part_milliseconds: unsigned(from.part_milliseconds),
        playlist: match from.playlist {
            api::HlsPlaylist::Live => control::HlsPlaylist::Live,
            api::HlsPlaylist::Event => control::HlsPlaylist::Event,
        },
        memory_mebibytes: unsigned(from.memory_mebibytes),
    }
}

pub(super) fn authentication(from: api::Authentication) -> control::Authentication {
    match from {
        api::Authentication::StreamKey => control::Authentication::StreamKey,
        api::Authentication::None => control::Authentication::None,
    }
}
