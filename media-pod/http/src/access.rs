//! Files that somebody guards: whether a client may have them.

use crate::connection::Peer;
use crate::handler::connection;
use crate::hls::HlsKey;
use crate::path::{MediaPath, decode};
use crate::refuse::refused;
use crate::server::Shared;
use axum::response::Response;
use headgate_hub::{FileRequest, Protocol, Visitor};
use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// As ZLMediaKit calls it.
const COOKIE: &str = "ZLM_HTTP_COOKIE";

/// A client that was asked about and may have the file.
pub(crate) struct Allowed(Visitor);

impl Allowed {
    /// Makes an answer that client's alone, and gives it a cookie if it has none.
    pub(crate) fn mark(&self, answer: &mut Response) {
        let headers = answer.headers_mut();
        let private = HeaderValue::from_static("private, max-age=300");
        headers.insert(header::CACHE_CONTROL, private);
        let Visitor { word, is_new } = &self.0;
        let cookie = format!("{COOKIE}={word}; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax");
        if *is_new && let Ok(cookie) = HeaderValue::from_str(&cookie) {
            headers.append(header::SET_COOKIE, cookie);
        }
    }
}

/// Asks about a file of a stream, where anybody is asked about files. What was asked about is not for everybody.
pub(crate) async fn ask(shared: &Shared, request: &Parts, peer: &Peer) -> Result<Option<Allowed>, Response> {
    if !shared.hub.guards_files() {
        return Ok(None);
    }
    let visitor = visitor(shared.options.hls.key(), &request.headers);
    let path = decode(request.uri.path()).unwrap_or_default();
    let (app, stream) = stream_of(&path);
    let media = MediaPath {
        app: app.to_owned(),
        stream: stream.to_owned(),
        container: crate::format::Container::Ts,
    };
    let text = |(name, value): (&HeaderName, &http::HeaderValue)| Some((title(name), value.to_str().ok()?.to_owned()));
    let asked = FileRequest {
        connection: connection(shared, &media, Protocol::Hls, request, peer),
        headers: request.headers.iter().filter_map(text).collect(),
        path,
        visitor: Some(visitor.clone()),
    };
    shared.hub.file(&asked).await.map_err(|refusal| refused(&refusal))?;
    Ok(Some(Allowed(visitor)))
}

/// By the cookie that we gave it, or by a new one. One that a client made up is none.
fn visitor(key: &HlsKey, headers: &HeaderMap) -> Visitor {
    let texts = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|text| text.to_str().ok());
    let pairs = texts
        .flat_map(|text| text.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let mut ours = pairs.filter(|(name, word)| *name == COOKIE && key.knows(word));
    match ours.next() {
        Some((_, word)) => Visitor {
            word: word.to_owned(),
            is_new: false,
        },
        None => Visitor {
            word: key.visitor(),
            is_new: true,
        },
    }
}

/// `/APP/STREAM/hls/FILE`.
fn stream_of(path: &str) -> (&str, &str) {
    let folder = path.rsplit_once("/hls/").map_or(path, |(folder, _)| folder);
    folder.trim_start_matches('/').rsplit_once('/').unwrap_or_default()
}

/// `User-Agent`: as it most likely came.
fn title(name: &HeaderName) -> String {
    let mut upper = true;
    let letter = |c: char| {
        let up = std::mem::replace(&mut upper, c == '-');
        if up { c.to_ascii_uppercase() } else { c }
    };
    name.as_str().chars().map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_belongs_to_the_stream_in_whose_folder_it_lies() {
        let table = [
            ("/live/alice/hls/k-1.ts", ("live", "alice")),
            ("/live/eu/alice/hls/k-1.ts", ("live/eu", "alice")),
            ("/x", ("", "")),
        ];
        for (path, expected) in table {
            assert_eq!(stream_of(path), expected, "{path}");
        }
    }

    #[test]
    fn a_client_is_known_by_the_cookie_that_it_was_given_and_by_no_other() {
        let key = HlsKey::new(b"k");
        let with = |cookie: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, cookie.parse().unwrap());
            visitor(&key, &headers)
        };
        let new = with("a=b");
        assert!(new.is_new && key.knows(&new.word));
        let known = with(&format!("a=b; {COOKIE}=mine; {COOKIE}={}; c", new.word));
        assert_eq!((known.word, known.is_new), (new.word.clone(), false));
        assert!(with(&format!("{COOKIE}=mine")).is_new);
        let mut answer = Response::default();
        Allowed(new).mark(&mut answer);
        assert!(answer.headers().contains_key(header::SET_COOKIE));
    }

    #[test]
    fn a_header_has_its_name_as_it_is_written() {
        assert_eq!(title(&http::header::USER_AGENT), "User-Agent");
        assert_eq!(title(&http::header::ACCEPT), "Accept");
    }
}
