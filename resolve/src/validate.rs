//! What the schema cannot say, or what must hold also where no API server has looked: standalone, and objects older than a rule.

use headgate_api::{Header, HookEndpointSpec, Listener, MediaServerSpec, StreamKeySpec};
use headgate_control::{CONTROL_PORT, METRICS_PORT};
use ipnet::IpNet;
use std::collections::HashSet;
use url::Url;

/// Why an object cannot be accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Two listeners, one port.
    #[error("listeners {0:?} and {1:?} both want port {2}: each needs one of its own")]
    PortClash(String, String, i32),
    /// A port that the pod needs, or no port.
    #[error("listener {0:?} cannot have port {1}: use 1024 to 65535, but not 9090 (metrics) or 9443 (control)")]
    PortNotAllowed(String, i32),
    /// Two listeners, one name.
    #[error("two listeners are named {0:?}: each needs a name of its own")]
    NameClash(String),
    /// No listener.
    #[error("there is no listener: a server needs at least one")]
    NoListeners,
    /// Not a network.
    #[error("{0} has {1:?}, which is no network: write one such as 10.0.0.0/8")]
    BadCidr(&'static str, String),
    /// TLS without a certificate, or the other way round.
    #[error("listener {0:?}: `tls` must be given for the protocols RTMPS and HTTPS, and for no other")]
    TlsMismatch(String),
    /// A header that its protocol does not have.
    #[error("listener {0:?}: `forwardedFor` may be given for the protocols HTTP and HTTPS only")]
    NotHttp(String),
    /// A glob that cannot match what it means.
    #[error(
        "{0} has the glob {1:?}: `*` is any run of characters and `?` is one; brackets, braces and spaces are not known"
    )]
    BadGlob(&'static str, String),
    /// Nothing can match.
    #[error("notBefore {0} is not before notAfter {1}")]
    NeverValid(String, String),
    /// Not a URL that can be called.
    #[error("{0:?} is no URL that can be called: write http://HOST:PORT/PATH or https://…, without a user name")]
    BadUrl(String),
    /// A header that cannot be, or that requests have anyway.
    #[error("headers has {0:?}: {1}")]
    BadHeader(String, &'static str),
    /// Not exactly one way to prove oneself.
    #[error("authentication names neither or both of bearerSecretRef and basicSecretRef: name one")]
    BadAuthentication,
}

impl Invalid {
    /// PascalCase, for the condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::PortClash(..) => "PortClash",
            Self::PortNotAllowed(..) => "PortNotAllowed",
            Self::NameClash(..) => "NameClash",
            Self::NoListeners => "NoListeners",
            Self::BadCidr(..) => "BadCidr",
            Self::TlsMismatch(_) => "TlsMismatch",
            Self::NotHttp(_) => "NotHttp",
            Self::BadGlob(..) => "BadGlob",
            Self::NeverValid(..) => "NeverValid",
            Self::BadUrl(..) => "BadUrl",
            Self::BadHeader(..) => "BadHeader",
            Self::BadAuthentication => "BadAuthentication",
        }
    }
}

/// A MediaServer that pods could run.
pub fn validate_server(spec: &MediaServerSpec) -> Result<(), Invalid> {
    if spec.listeners.is_empty() {
        return Err(Invalid::NoListeners);
    }
    for (at, listener) in spec.listeners.iter().enumerate() {
        let own = [i32::from(METRICS_PORT), i32::from(CONTROL_PORT)];
        if !(1024..=65535).contains(&listener.port) || own.contains(&listener.port) {
            return Err(Invalid::PortNotAllowed(listener.name.clone(), listener.port));
        }
        front(listener)?;
        for earlier in spec.listeners.iter().take(at) {
            if earlier.name == listener.name {
                return Err(Invalid::NameClash(listener.name.clone()));
            }
            if earlier.port == listener.port {
                return Err(Invalid::PortClash(
                    earlier.name.clone(),
                    listener.name.clone(),
                    listener.port,
                ));
            }
        }
    }
    Ok(())
}

/// What happens on a listener before its protocol is spoken.
fn front(listener: &Listener) -> Result<(), Invalid> {
    if listener.tls.is_some() != listener.protocol.is_tls() {
        return Err(Invalid::TlsMismatch(listener.name.clone()));
    }
    if listener.forwarded_for.is_some() && !listener.protocol.is_http() {
        return Err(Invalid::NotHttp(listener.name.clone()));
    }
    let trusted = [
        ("proxyProtocol.trustedCidrs", &listener.proxy_protocol),
        ("forwardedFor.trustedCidrs", &listener.forwarded_for),
    ];
    let mut given = trusted.into_iter().filter_map(|(field, t)| Some((field, t.as_ref()?)));
    given.try_for_each(|(field, t)| networks(field, &t.trusted_cidrs))
}

fn networks(field: &'static str, list: &[String]) -> Result<(), Invalid> {
    match list.iter().find(|c| c.parse::<IpNet>().is_err()) {
        Some(bad) => Err(Invalid::BadCidr(field, bad.clone())),
        None => Ok(()),
    }
}

/// A StreamKey that could let someone in.
pub fn validate_key(spec: &StreamKeySpec) -> Result<(), Invalid> {
    glob("stream.vhost", &spec.stream.vhost)?;
    glob("stream.app", &spec.stream.app)?;
    glob("stream.name", &spec.stream.name)?;
    networks("allowedCidrs", &spec.allowed_cidrs)?;
    match (&spec.not_before, &spec.not_after) {
        (Some(from), Some(to)) if from.0 >= to.0 => Err(Invalid::NeverValid(from.0.to_string(), to.0.to_string())),
        _ => Ok(()),
    }
}

/// A HookEndpoint that could be called.
pub fn validate_hook(spec: &HookEndpointSpec) -> Result<(), Invalid> {
    let globs = [
        ("match.vhosts", &spec.r#match.vhosts),
        ("match.apps", &spec.r#match.apps),
        ("match.streams", &spec.r#match.streams),
    ];
    for (field, list) in globs {
        list.iter().try_for_each(|g| glob(field, g))?;
    }
    if let Some(bad) = spec.urls.iter().find(|u| !callable(u)) {
        return Err(Invalid::BadUrl(without_query(bad)));
    }
    headers(&spec.headers, spec.authentication.is_some())?;
    match &spec.authentication {
        Some(proof) if proof.bearer_secret_ref.is_some() == proof.basic_secret_ref.is_some() => {
            Err(Invalid::BadAuthentication)
        }
        _ => Ok(()),
    }
}

/// Headers that every request has, or that are about the connection: nobody else may say them.
fn is_taken(name: &str) -> bool {
    let names = [
        "host",
        "connection",
        "transfer-encoding",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "keep-alive",
    ];
    let families = ["content-", "proxy-", "webhook-", "x-media-"];
    names.contains(&name) || families.iter().any(|family| name.starts_with(family))
}

fn headers(headers: &[Header], authorized: bool) -> Result<(), Invalid> {
    let mut seen = HashSet::new();
    for header in headers {
        let name = header.name.to_ascii_lowercase();
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        let value = header.value.as_deref().unwrap_or_default();
        let why = if name.is_empty() || !name.bytes().all(token) {
            "no header can have this name"
        } else if is_taken(&name) {
            "requests have this header anyway"
        } else if authorized && name == "authorization" {
            "authentication says this header already"
        } else if header.value.is_some() == header.value_from.is_some() {
            "give it either value or valueFrom"
        } else if value.len() > 4096 || !value.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
            "its value must be at most 4096 visible characters of ASCII"
        } else if !seen.insert(name) {
            "it stands twice"
        } else {
            continue;
        };
        return Err(Invalid::BadHeader(header.name.clone(), why));
    }
    Ok(())
}

fn callable(url: &str) -> bool {
    let Ok(url) = Url::parse(&url.replace("{event}", "on_event")) else {
        return false;
    };
    matches!(url.scheme(), "http" | "https")
        && url.host().is_some()
        && url.username().is_empty()
        && url.password().is_none()
}

/// A query may hold a token, which no status may show.
fn without_query(url: &str) -> String {
    url.split(['?', '#']).next().unwrap_or_default().into()
}

fn glob(field: &'static str, glob: &str) -> Result<(), Invalid> {
    let unknown: HashSet<char> = "[]{}".chars().collect();
    let bad = glob.is_empty()
        || glob
            .chars()
            .any(|c| c.is_whitespace() || c.is_control() || unknown.contains(&c));
    if bad {
        Err(Invalid::BadGlob(field, glob.into()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(yaml: &str) -> Result<(), Invalid> {
        validate_server(&serde_yaml::from_str(yaml).unwrap())
    }

    fn key(stream: &str, rest: &str) -> Result<(), Invalid> {
        let yaml = format!("{{serverRefs: [{{name: live}}], stream: {stream}, secretRef: {{name: s}}{rest}}}");
        validate_key(&serde_yaml::from_str(&yaml).unwrap())
    }

    fn hook(rest: &str) -> Result<(), Invalid> {
        let yaml = format!("{{serverRefs: [{{name: live}}], dialect: SRS, events: [Publish], {rest}}}");
        validate_hook(&serde_yaml::from_str(&yaml).unwrap())
    }

    #[test]
    fn an_empty_server_spec_is_a_good_one() {
        assert_eq!(server("{}"), Ok(()));
    }

    #[test]
    fn ports_and_names_of_listeners_do_not_clash() {
        let reason = |yaml: &str| server(yaml).unwrap_err().reason();
        let two = |b: &str| format!("listeners: [{{name: a, protocol: RTMP, port: 1935}}, {b}]");
        assert_eq!(reason(&two("{name: b, protocol: HTTP, port: 1935}")), "PortClash");
        assert_eq!(reason(&two("{name: a, protocol: HTTP, port: 8080}")), "NameClash");
        assert_eq!(reason(&two("{name: b, protocol: HTTP, port: 9443}")), "PortNotAllowed");
        assert_eq!(reason(&two("{name: b, protocol: HTTP, port: 80}")), "PortNotAllowed");
        assert_eq!(reason("listeners: []"), "NoListeners");
    }

    #[test]
    fn a_listener_has_what_its_protocol_needs_and_believes_only_networks() {
        let reason =
            |rest: &str| server(&format!("listeners: [{{name: a, port: 8080, {rest}}}]")).map_err(|e| e.reason());
        assert_eq!(reason("protocol: HTTPS, tls: {secretName: s}"), Ok(()));
        assert_eq!(reason("protocol: RTMPS"), Err("TlsMismatch"));
        assert_eq!(reason("protocol: RTMP, tls: {secretName: s}"), Err("TlsMismatch"));
        let trusted = |field: &str, net: &str| format!("protocol: RTMP, {field}: {{trustedCidrs: ['{net}']}}");
        assert_eq!(reason(&trusted("proxyProtocol", "10.0.0.0/8")), Ok(()));
        assert_eq!(reason(&trusted("proxyProtocol", "10.0.0.0/40")), Err("BadCidr"));
        assert_eq!(reason(&trusted("forwardedFor", "10.0.0.0/8")), Err("NotHttp"));
    }

    #[test]
    fn a_key_says_what_is_wrong_with_it() {
        assert_eq!(key("{app: live}", ""), Ok(()));
        assert_eq!(key("{app: 'a[b'}", "").unwrap_err().reason(), "BadGlob");
        assert_eq!(key("{app: live, name: 'a b'}", "").unwrap_err().reason(), "BadGlob");
        assert_eq!(
            key("{app: live}", ", allowedCidrs: [10.0.0.0/40]")
                .unwrap_err()
                .reason(),
            "BadCidr"
        );
        let years = ", notBefore: '2030-01-01T00:00:00Z', notAfter: '2029-01-01T00:00:00Z'";
        assert_eq!(key("{app: live}", years).unwrap_err().reason(), "NeverValid");
    }

    #[test]
    fn headers_are_those_that_a_request_can_have_beside_its_own() {
        let one = |header: &str| hook(&format!("urls: ['http://b/'], headers: [{header}]"));
        assert_eq!(
            one("{name: Authorization, value: x}, {name: X-Tenant, value: ''}"),
            Ok(())
        );
        let bad = [
            "{name: Host, value: x}",
            "{name: Content-Length, value: '0'}",
            "{name: webhook-id, value: x}",
            "{name: 'X A', value: x}",
            "{name: X-A}",
            "{name: X-A, value: \"a\\nb\"}",
            "{name: X-A, value: a, valueFrom: {secretKeyRef: {name: s}}}",
            "{name: X-A, value: a}, {name: x-a, value: b}",
        ];
        for header in bad {
            assert_eq!(one(header).unwrap_err().reason(), "BadHeader", "{header}");
        }
        let twice = "urls: ['http://b/'], headers: [{name: Authorization, value: x}], authentication: {basicSecretRef: {name: s}}";
        assert_eq!(hook(twice).unwrap_err().reason(), "BadHeader");
        assert_eq!(
            hook("urls: ['http://b/'], authentication: {}").unwrap_err().reason(),
            "BadAuthentication"
        );
    }

    #[test]
    fn a_url_that_cannot_be_called_is_refused_without_its_query() {
        assert_eq!(hook("urls: ['http://b:8085/{event}?token=t']"), Ok(()));
        for bad in ["ftp://b/x", "backend:8085", "http://", "http://me:pw@b/"] {
            assert_eq!(
                hook(&format!("urls: ['{bad}']")).unwrap_err().reason(),
                "BadUrl",
                "{bad}"
            );
        }
        assert!(
            !hook("urls: ['gopher://b/x?token=hidden']")
                .unwrap_err()
                .to_string()
                .contains("hidden")
        );
    }
}
