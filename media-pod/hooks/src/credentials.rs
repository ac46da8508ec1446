//! [`Credentials`]: how requests prove whom they come from: signatures of Standard Webhooks, and headers. Made ready once, not for each request.

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headgate_control::HookCredentials;
use http::{HeaderMap, HeaderName, HeaderValue};

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// See the module.
#[derive(Default)]
pub(crate) struct Credentials {
    keys: Vec<hmac::Key>,
    headers: HeaderMap,
}

impl Credentials {
    /// What cannot be used is left out; who made the config has looked at it.
    pub(crate) fn new(from: &HookCredentials) -> Self {
        let keys = from.signing.iter().filter_map(|key| STANDARD.decode(key.reveal()).ok());
        let headers = from.headers.iter().filter_map(|header| {
            let mut value = HeaderValue::from_str(header.value.reveal()).ok()?;
            value.set_sensitive(true);
            Some((HeaderName::try_from(header.name.as_str()).ok()?, value))
        });
        Self {
            keys: keys.map(|key| hmac::Key::new(hmac::HMAC_SHA256, &key)).collect(),
            headers: headers.collect(),
        }
    }

    /// Puts them on a request that has its id and time.
    pub(crate) fn put_on(&self, headers: &mut HeaderMap, body: &[u8]) {
        for (name, value) in &self.headers {
            headers.insert(name, value.clone());
        }
        if let Some(signature) = self.signature(headers, body) {
            headers.insert(SIGNATURE, signature);
        }
    }

    /// One signature a key, of `id.timestamp.body`: <https://www.standardwebhooks.com>, version 1 with a symmetric key.
    fn signature(&self, headers: &HeaderMap, body: &[u8]) -> Option<HeaderValue> {
        let (id, time) = (headers.get(ID)?, headers.get(TIMESTAMP)?);
        let mut text = String::new();
        for key in &self.keys {
            let mut signing = hmac::Context::with_key(key);
            for part in [id.as_bytes(), b".", time.as_bytes(), b".", body] {
                signing.update(part);
            }
            text.push_str(if text.is_empty() { "v1," } else { " v1," });
            STANDARD.encode_string(signing.sign(), &mut text);
        }
        HeaderValue::try_from(text).ok().filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headgate_control::HookHeader;

    fn request() -> HeaderMap {
        let values = [(ID, "msg_p5jXN8AQM9LWM0D4loKWxJek"), (TIMESTAMP, "1614265330")];
        values
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .into_iter()
            .collect()
    }

    fn signed(keys: &[&str]) -> Option<String> {
        let from = HookCredentials {
            signing: keys.iter().map(|key| (*key).into()).collect(),
            ..HookCredentials::default()
        };
        let mut headers = request();
        Credentials::new(&from).put_on(&mut headers, br#"{"test": 2432232314}"#);
        headers
            .get(SIGNATURE)
            .map(|value| value.to_str().expect("text").to_owned())
    }

    /// The vector that the libraries of Standard Webhooks test themselves with.
    const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNED: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    #[test]
    fn a_request_is_signed_as_standard_webhooks_has_it() {
        assert_eq!(signed(&[KEY]).as_deref(), Some(SIGNED));
    }

    #[test]
    fn while_a_key_changes_both_sign_and_without_one_none_does() {
        let both = signed(&["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", KEY]).expect("signed");
        let (first, second) = both.split_once(' ').expect("two signatures");
        assert!(first.starts_with("v1,") && first != SIGNED);
        assert_eq!(second, SIGNED);
        assert_eq!(signed(&[]), None);
    }

    #[test]
    fn headers_are_put_on_and_shown_nowhere() {
        let from = HookCredentials {
            headers: vec![HookHeader {
                name: "Authorization".into(),
                value: "Bearer s3cret".into(),
            }],
            ..HookCredentials::default()
        };
        let mut headers = request();
        Credentials::new(&from).put_on(&mut headers, b"");
        assert_eq!(headers["authorization"], "Bearer s3cret");
        assert!(!format!("{headers:?}").contains("s3cret"));
    }
}
