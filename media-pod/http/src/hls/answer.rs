//! Requests for playlists and files.

use super::HlsPath;
use super::live::Missing;
use super::sessions::Entry;
use crate::connection::Peer;
use crate::handler::connection;
use crate::path::MediaPath;
use crate::refuse::{ended, problem, with_cors};
use crate::server::Shared;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use headgate_hls::{Container, Directives};
use headgate_hub::{EndReason, Protocol, Traffic};
use http::request::Parts;
use http::{StatusCode, header};
use std::convert::Infallible;
use std::sync::Arc;
use tokio::time::Instant;

/// The parameter with a session's word, as SRS calls it.
const WORD: &str = "hls_ctx";
const PLAYLIST: &str = "application/vnd.apple.mpegurl";
/// How long caches may keep files, which never change.
const FILE_CACHE: &str = "public, max-age=300, immutable";

/// Answers a GET.
pub(crate) async fn answer(shared: &Shared, path: HlsPath, request: &Parts, peer: &Peer) -> Response {
    match path {
        HlsPath::File { name } => file(shared, &name).await,
        HlsPath::Playlist {
            app,
            stream,
            container,
            media,
        } => {
            let query = Query::of(request.uri.query().unwrap_or_default());
            let Some(word) = query.word else {
                return master(shared, &media, query, (app, stream, container), request, peer).await;
            };
            let entry = match shared.hls.find(word) {
                Some(entry) => entry,
                // The session was idle for too long, or was another pod's: the gate is asked again.
                None => match admitted(shared, word, &query, (app, stream, container), request, peer).await {
                    Ok(entry) => entry,
                    Err(refused) => return refused,
                },
            };
            playlist(&entry, request.uri.query().unwrap_or_default()).await
        }
    }
}

/// A request's query: the session's word, and what the publisher's back end is to see.
struct Query<'a> {
    word: Option<&'a str>,
    rest: String,
}

impl<'a> Query<'a> {
    fn of(query: &'a str) -> Self {
        let pairs = || query.split('&').filter(|pair| !pair.is_empty());
        let word = pairs().find_map(|pair| pair.strip_prefix(WORD)?.strip_prefix('='));
        let is_ours = |pair: &&str| pair.starts_with("hls_ctx=") || pair.starts_with("_HLS_");
        let rest: Vec<&str> = pairs().filter(|pair| !is_ours(pair)).collect();
        Self {
            word: word.filter(|word| !word.is_empty()),
            rest: rest.join("&"),
        }
    }
}

type Wanted = (String, String, Container);

async fn admitted(
    shared: &Shared,
    word: &str,
    query: &Query<'_>,
    (app, stream, container): Wanted,
    request: &Parts,
    peer: &Peer,
) -> Result<Arc<Entry>, Response> {
    let path = MediaPath {
        app,
        stream,
        container: crate::format::Container::Ts,
    };
    let mut connection = connection(shared, &path, Protocol::Hls, request, peer);
    connection.param = if query.rest.is_empty() {
        String::new()
    } else {
        format!("?{}", query.rest)
    };
    let run_by = (&shared.tasks, &shared.shutdown);
    shared.hls.admit(&shared.hub, connection, container, word, run_by).await
}

/// The first answer to a viewer that was let in: where its own playlist is.
async fn master(
    shared: &Shared,
    media: &str,
    query: Query<'_>,
    wanted: Wanted,
    request: &Parts,
    peer: &Peer,
) -> Response {
    let word = uuid::Uuid::new_v4().simple().to_string();
    let entry = match admitted(shared, &word, &query, wanted, request, peer).await {
        Ok(entry) => entry,
        Err(refused) => return refused,
    };
    // Nobody is sent to a playlist that does not come.
    if let Err(missing) = wait(&entry, Directives::default()).await {
        return missing;
    }
    let separator = if query.rest.is_empty() { "" } else { "&" };
    // The attribute must be there; with one variant there is nothing to choose by it.
    let text = format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{media}?{WORD}={word}{separator}{}\n",
        query.rest
    );
    text_of(text.into())
}

async fn playlist(entry: &Entry, query: &str) -> Response {
    let Some(directives) = Directives::parse(query) else {
        return problem(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            "the _HLS_ parameters are no numbers",
        );
    };
    match wait(entry, directives).await {
        Ok(text) => text_of(text),
        Err(missing) => missing,
    }
}

/// The playlist, when it is there; counted.
async fn wait(entry: &Entry, directives: Directives) -> Result<Bytes, Response> {
    let deadline = Instant::now().checked_add(entry.live.patience().saturating_mul(2));
    let asked = entry
        .live
        .playlist(directives, deadline.unwrap_or_else(Instant::now))
        .await;
    entry.touch();
    let text = asked.map_err(|missing| match missing {
        Missing::TooFar => problem(StatusCode::BAD_REQUEST, "BadRequest", "the segment is too far off"),
        Missing::Late => ended(EndReason::StreamNotFound),
    })?;
    entry.client.count(Traffic {
        sent: text.len() as u64,
        received: 0,
    });
    Ok(text)
}

async fn file(shared: &Shared, name: &str) -> Response {
    let run = name.split('-').next().unwrap_or_default();
    let missing = || {
        problem(
            StatusCode::NOT_FOUND,
            "NotFound",
            "there is no such segment, or not any more",
        )
    };
    let Some(live) = shared.hls.live(run) else {
        return missing();
    };
    let deadline = Instant::now().checked_add(live.patience());
    let Some((kind, pieces)) = live.file(name, deadline.unwrap_or_else(Instant::now)).await else {
        return missing();
    };
    let length = pieces
        .iter()
        .fold(0_usize, |sum, piece| sum.saturating_add(piece.len()));
    let headers = [
        (header::CONTENT_TYPE, kind.to_owned()),
        (header::CONTENT_LENGTH, length.to_string()),
        (header::CACHE_CONTROL, FILE_CACHE.to_owned()),
    ];
    let body = Body::from_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)));
    with_cors((headers, body).into_response())
}

fn text_of(text: Bytes) -> Response {
    let headers = [
        (header::CONTENT_TYPE, PLAYLIST),
        (header::CACHE_CONTROL, "no-cache, no-store"),
    ];
    with_cors((headers, text).into_response())
}
