//! Which virtual host a request means: one rule for all protocols.

/// The virtual host of requests that name none of the server's.
pub const DEFAULT_VHOST: &str = "__defaultVhost__";

/// `?vhost=NAME` (or `?domain=NAME`, as SRS has it) when the server names it; else the host of the URL when the server names that; else the default.
///
/// `host` may carry a port. `param` is the query, with or without its question mark. Host names compare without case.
pub fn resolve_vhost(named: &[String], host: &str, param: &str) -> String {
    let from_query = param
        .trim_start_matches('?')
        .split('&')
        .filter_map(|pair| pair.split_once('='));
    let asked = from_query
        .filter(|(key, _)| matches!(*key, "vhost" | "domain"))
        .map(|(_, value)| value);
    let find = |wanted: &str| named.iter().find(|name| name.eq_ignore_ascii_case(wanted)).cloned();
    asked
        .chain([without_port(host)])
        .find_map(find)
        .unwrap_or_else(|| DEFAULT_VHOST.to_owned())
}

/// `[::1]:8080` is `[::1]`.
pub fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_hosts_that_the_server_names_count() {
        let named = ["a.example".to_owned(), "b.example".to_owned()];
        let cases = [
            ("a.example", "", "a.example"),
            ("A.Example:8080", "?x=1", "a.example"),
            ("c.example", "", DEFAULT_VHOST),
            ("a.example", "?vhost=b.example", "b.example"),
            ("a.example", "k=v&domain=b.example", "b.example"),
            ("a.example", "?vhost=unknown", "a.example"),
            ("127.0.0.1:1935", "?vhost=__defaultVhost__", DEFAULT_VHOST),
            ("[::1]:1935", "", DEFAULT_VHOST),
        ];
        for (host, param, expected) in cases {
            assert_eq!(resolve_vhost(&named, host, param), expected, "{host} {param}");
        }
        assert_eq!(resolve_vhost(&[], "a.example", "?vhost=a.example"), DEFAULT_VHOST);
    }

    #[test]
    fn a_host_is_known_without_its_port() {
        let table = [
            ("media.example:8080", "media.example"),
            ("media.example", "media.example"),
            ("[fd00::1]:8080", "[fd00::1]"),
            ("[fd00::1]", "[fd00::1]"),
            ("", ""),
        ];
        for (host, expected) in table {
            assert_eq!(without_port(host), expected, "{host}");
        }
    }
}
