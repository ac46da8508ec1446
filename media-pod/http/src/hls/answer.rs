//! Requests for playlists.

use super::HlsPath;
use super::elsewhere::{Home, Question};
use super::file;
use super::live::{Missing, Text};
use super::sessions::Entry;
use super::word::Scope;
use crate::conditional::{has_already, takes_gzip};
use crate::connection::Peer;
use crate::handler::{connection, host};
use crate::head::of_unknown_length;
use crate::path::MediaPath;
use crate::refuse::{ended, problem, refused, with_cors};
use crate::server::Shared;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use headgate_hls::{Container, Directives};
use headgate_hub::{Connection, EndReason, Protocol, Reason, Refusal};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// The parameter with a session's word, as SRS calls it.
const WORD: &str = "hls_ctx";
const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// How often who waits for a playlist looks whether its session is still there.
const LOOK: Duration = Duration::from_millis(500);
/// What another pod may take beyond what this one would.
const GRACE: Duration = Duration::from_secs(2);
/// How long a first playlist may take at least: the stream may still come, and its first segment takes its time.
const FIRST_MIN: Duration = Duration::from_secs(15);

/// Answers a GET or HEAD, from wherever the session is or the file was cut.
pub(crate) async fn answer(shared: &Shared, path: HlsPath, request: &Parts, peer: &Peer) -> Response {
    match path {
        HlsPath::File { name } => file::from_anywhere(shared, &name, request, peer).await,
        HlsPath::Playlist { app, stream, container } => {
            let asked = Asked::new(shared, (app, stream), container, request);
            match at_home(shared, &asked, request, peer).await {
                Some(answer) => answer,
                None => playlist(shared, asked, request, peer).await,
            }
        }
    }
}

/// Answers from this pod.
pub(super) async fn here(shared: &Shared, path: HlsPath, request: &Parts, peer: &Peer) -> Response {
    match path {
        HlsPath::File { name } => file::answer(shared, &name, request).await,
        HlsPath::Playlist { app, stream, container } => {
            let asked = Asked::new(shared, (app, stream), container, request);
            playlist(shared, asked, request, peer).await
        }
    }
}

/// From the pod where the session began. `None` when that is this one, or it does not answer: the session goes on here then.
async fn at_home(shared: &Shared, asked: &Asked, request: &Parts, peer: &Peer) -> Option<Response> {
    let hls = &shared.options.hls;
    let word = asked.word.as_deref().filter(|word| !hls.knows(word))?;
    let elsewhere = hls.elsewhere()?;
    let home = Home::of_word(word).filter(|home| *home != elsewhere.own())?;
    let patience = hls.settings().segment.saturating_mul(3).max(FIRST_MIN);
    let question = Question {
        target: request.uri.path_and_query()?.as_str().to_owned(),
        headers: with_host(request),
        client: peer.address,
        patience: patience.saturating_add(GRACE),
    };
    let answer = elsewhere.ask(home, question).await?;
    Some(answer.map(Body::from))
}

/// HTTP/2 says the host in the URL.
fn with_host(request: &Parts) -> HeaderMap {
    let mut headers = request.headers.clone();
    let authority = request.uri.authority().map(|authority| authority.as_str().parse());
    if let Some(Ok(host)) = authority {
        headers.insert(header::HOST, host);
    }
    headers
}

/// Answers a request for a playlist.
async fn playlist(shared: &Shared, asked: Asked, request: &Parts, peer: &Peer) -> Response {
    match &asked.word {
        Some(word) => media(shared, word, &asked, request, peer).await,
        // Nobody begins to watch by asking for a head.
        None if request.method == Method::HEAD => {
            with_cors(([(header::CONTENT_TYPE, PLAYLIST)], of_unknown_length()).into_response())
        }
        None => master(shared, &asked, request, peer).await,
    }
}

/// A request for a playlist.
struct Asked {
    /// Of a session that was begun here or in another pod of the server.
    word: Option<String>,
    /// What the back end is to see, without what is between us and the player.
    rest: String,
    container: Container,
    path: MediaPath,
    vhost: String,
}

impl Asked {
    fn new(shared: &Shared, (app, stream): (String, String), container: Option<Container>, request: &Parts) -> Self {
        let container = container.unwrap_or_else(|| shared.options.hls.settings().container());
        let query = request.uri.query().unwrap_or_default();
        let param = if query.is_empty() { "" } else { &format!("?{query}") };
        let pairs = || query.split('&').filter(|pair| !pair.is_empty());
        let is_ours = |pair: &&str| pair.starts_with("hls_ctx=") || pair.starts_with("_HLS_");
        let rest: Vec<&str> = pairs().filter(|pair| !is_ours(pair)).collect();
        let asked = Self {
            word: None,
            rest: rest.join("&"),
            container,
            vhost: (shared.options.vhost)(host(request), param),
            path: MediaPath {
                app,
                stream,
                container: crate::format::Container::Ts,
            },
        };
        // A word that a client made up is none.
        let word = pairs().find_map(|pair| pair.strip_prefix(WORD)?.strip_prefix('='));
        let word = word.filter(|word| shared.options.hls.key().made(word, asked.scope()));
        Self {
            word: word.map(str::to_owned),
            ..asked
        }
    }

    fn scope(&self) -> Scope<'_> {
        Scope {
            vhost: &self.vhost,
            app: &self.path.app,
            stream: &self.path.stream,
            container: name_of(self.container),
        }
    }

    /// What hooks and checks want to know of who asks: needed where a session begins, and nowhere else.
    fn connection(&self, shared: &Shared, request: &Parts, peer: &Peer) -> Connection {
        let param = match self.rest.as_str() {
            "" => String::new(),
            rest => format!("?{rest}"),
        };
        Connection {
            param,
            ..connection(shared, &self.path, Protocol::Hls, request, peer)
        }
    }
}

/// ZLMediaKit's names.
fn name_of(container: Container) -> &'static str {
    match container {
        Container::Ts => "hls.m3u8",
        Container::Fmp4 => "hls.fmp4.m3u8",
    }
}

/// The first answer to a viewer that was let in: where its own playlist is.
async fn master(shared: &Shared, asked: &Asked, request: &Parts, peer: &Peer) -> Response {
    let hls = &shared.options.hls;
    let word = hls.key().word(asked.scope(), hls.home());
    let (rest, container) = (&asked.rest, asked.container);
    let connection = || asked.connection(shared, request, peer);
    let entry = match hls.session(&word, (&shared.hub, container), connection).await {
        Ok(entry) => entry,
        Err(refused) => return refused,
    };
    // Nobody is sent to a playlist that does not come.
    if let Err(missing) = wait(&entry, Directives::default()).await {
        return missing;
    }
    let attributes = entry.live.variant().map(|variant| variant.line());
    let attributes = attributes.unwrap_or_else(|| "#EXT-X-STREAM-INF:BANDWIDTH=1".into());
    let (base, separator) = (beside(request.uri.path()), if rest.is_empty() { "" } else { "&" });
    let media = name_of(container);
    let text = format!(
        "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-INDEPENDENT-SEGMENTS\n{attributes}\n{base}{media}?{WORD}={word}{separator}{rest}\n"
    );
    entry.count(text.len());
    let headers = [(header::CONTENT_TYPE, PLAYLIST), (header::CACHE_CONTROL, "no-store")];
    with_cors((headers, text).into_response())
}

/// From a playlist's path to the folder of its stream: `/live/alice.m3u8` has its files in `./alice/`.
fn beside(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or_default();
    match file.strip_suffix(".m3u8") {
        Some(stream) if !matches!(file, "hls.m3u8" | "hls.fmp4.m3u8") => format!("./{stream}/"),
        _ => String::new(),
    }
}

/// A session's own playlist. One that is not here was idle for too long, or another pod's: the gate is asked.
async fn media(shared: &Shared, word: &str, asked: &Asked, request: &Parts, peer: &Peer) -> Response {
    let Some(directives) = Directives::parse(request.uri.query().unwrap_or_default()) else {
        let said = "the _HLS_ parameters are no numbers";
        return problem(StatusCode::BAD_REQUEST, "BadRequest", said);
    };
    let asked_for = (&shared.hub, asked.container);
    let connection = || asked.connection(shared, request, peer);
    let entry = match shared.options.hls.session(word, asked_for, connection).await {
        Ok(entry) => entry,
        Err(refused) => return refused,
    };
    match wait(&entry, directives).await {
        Ok(text) => text_of(&entry, &text, &request.headers),
        Err(missing) => missing,
    }
}

/// The playlist, when it is there.
async fn wait(entry: &Entry, directives: Directives) -> Result<Text, Response> {
    let patience = entry.live.target().saturating_mul(3);
    let patience = if entry.live.is_ready() {
        patience
    } else {
        patience.max(FIRST_MIN)
    };
    let deadline = Instant::now().checked_add(patience).unwrap_or_else(Instant::now);
    loop {
        entry.touch();
        match entry.over() {
            None | Some(EndReason::StreamEnded) => {}
            Some(EndReason::Kicked) => {
                let said = "this session was ended: begin anew without its hls_ctx";
                return Err(refused(&Refusal::new(Reason::HookDenied, said)));
            }
            Some(reason) => return Err(ended(reason)),
        }
        let now = Instant::now();
        let next = now.checked_add(LOOK).unwrap_or(deadline).min(deadline);
        match entry.live.playlist(directives, next).await {
            Ok(text) => return Ok(text),
            Err(Missing::TooFar) => {
                let said = "the segment is too far off";
                return Err(problem(StatusCode::BAD_REQUEST, "BadRequest", said));
            }
            Err(Missing::Late) if next < deadline => {}
            Err(Missing::Late) => return Err(late(entry)),
        }
    }
}

/// Who blocks for a playlist that does not come in time may ask again (RFC 8216bis §6.2.5.2).
fn late(entry: &Entry) -> Response {
    if !entry.live.is_ready() {
        return ended(EndReason::StreamNotFound);
    }
    let said = "the playlist did not get that far in time";
    let mut answer = problem(StatusCode::SERVICE_UNAVAILABLE, "NotYet", said);
    let headers = answer.headers_mut();
    headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

/// Its address is one viewer's, and it changes all the time: caches ask every time, and hear when it has not.
fn text_of(entry: &Arc<Entry>, text: &Text, headers: &HeaderMap) -> Response {
    let gzip = takes_gzip(headers).then(|| entry.live.gzip(text)).flatten();
    let tag = format!("\"{}{}\"", text.tag, if gzip.is_some() { "-gz" } else { "" });
    let is_packed = gzip.is_some();
    let mut response = if has_already(headers, &tag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let bytes = gzip.unwrap_or_else(|| text.bytes.clone());
        entry.count(bytes.len());
        ([(header::CONTENT_TYPE, PLAYLIST)], bytes).into_response()
    };
    let said = response.headers_mut();
    if is_packed && said.contains_key(header::CONTENT_TYPE) {
        said.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    said.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    said.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        said.insert(header::ETAG, tag);
    }
    with_cors(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_media_playlist_lies_in_the_streams_folder() {
        let cases = [
            ("/live/alice.m3u8", "./alice/"),
            ("/live/%D0%B0.m3u8", "./%D0%B0/"),
            ("/live/alice/hls.m3u8", ""),
            ("/live/alice/hls.fmp4.m3u8", ""),
        ];
        for (path, expected) in cases {
            assert_eq!(beside(path), expected, "{path}");
        }
    }
}
