//! A media request, from its head to the point where its connection becomes a viewer's.

use crate::access;
use crate::connection::Peer;
use crate::format::{Framing, MediaFormat};
use crate::head;
use crate::hls::{self, HlsPath};
use crate::path::MediaPath;
use crate::refuse::{self, problem};
use crate::server::Shared;
use crate::viewer::{BATCH, Viewer};
use crate::websocket;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use headgate_hub::{Connection, Protocol, StreamName, client_id, without_port};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode, Version, header};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Every request.
pub(crate) async fn dispatch(shared: &Shared, request: &Parts, peer: &Peer) -> Response {
    if let Some(path) = HlsPath::parse(request.uri.path()) {
        return hls(shared, path, request, peer).await;
    }
    let Some(path) = MediaPath::parse(request.uri.path()) else {
        return problem(StatusCode::NOT_FOUND, "NotFound", "there is nothing at this path");
    };
    match request.method {
        Method::OPTIONS => refuse::preflight(),
        Method::HEAD => (head::media(path.container), head::of_unknown_length()).into_response(),
        Method::GET => play(shared, &path, request, peer).await,
        _ => read_only(),
    }
}

async fn hls(shared: &Shared, path: HlsPath, request: &Parts, peer: &Peer) -> Response {
    match request.method {
        Method::OPTIONS => refuse::preflight(),
        // The answer's head; who writes it leaves the body out.
        Method::GET | Method::HEAD => guarded(shared, path, request, peer).await,
        _ => read_only(),
    }
}

/// Files are asked about first, where anybody wants that. One that was asked about is not for everybody.
async fn guarded(shared: &Shared, path: HlsPath, request: &Parts, peer: &Peer) -> Response {
    let is_file = matches!(path, HlsPath::File { .. });
    let asked = if is_file {
        access::ask(shared, request, peer).await
    } else {
        Ok(None)
    };
    match asked {
        Err(refused) => refused,
        Ok(asked) => {
            let mut answer = hls::answer(shared, path, request, peer).await;
            if let Some(allowed) = asked.filter(|_| answer.status().is_success()) {
                allowed.mark(&mut answer);
            }
            answer
        }
    }
}

fn read_only() -> Response {
    problem(
        StatusCode::METHOD_NOT_ALLOWED,
        "MethodNotAllowed",
        "this path can be read only",
    )
}

async fn play(shared: &Shared, path: &MediaPath, request: &Parts, peer: &Peer) -> Response {
    match admitted(shared, path, request, peer).await {
        Ok(viewer) if request.version == Version::HTTP_2 => body(shared, path, viewer),
        Ok(viewer) => {
            peer.hand_over(viewer);
            // The connection takes the viewer and drops this.
            std::future::pending().await
        }
        Err(response) => response,
    }
}

/// Media as the body of an HTTP/2 stream.
fn body(shared: &Shared, path: &MediaPath, viewer: Viewer) -> Response {
    let (sender, packets) = mpsc::channel(BATCH);
    shared.tasks.spawn(viewer.pour(sender, shared.shutdown.clone()));
    let packets = stream::unfold(packets, async |mut packets| Some((packets.recv().await?, packets)));
    (head::media(path.container), Body::from_stream(packets)).into_response()
}

/// A viewer that is let in and has something to see.
async fn admitted(shared: &Shared, path: &MediaPath, request: &Parts, peer: &Peer) -> Result<Viewer, Response> {
    let bad = || {
        problem(
            StatusCode::BAD_REQUEST,
            "BadRequest",
            "the WebSocket handshake is not one of version 13",
        )
    };
    let (framing, head) = framing(path, request).ok_or_else(bad)?;
    let connection = connection(shared, path, path.container.protocol(framing), request, peer);
    let name = StreamName::parse(&connection.vhost, &path.app, &path.stream).map_err(|r| refuse::refused(&r))?;
    let param = connection.param.clone();
    let format = MediaFormat::new(path.container, framing);
    let client = shared.hub.open(connection);
    let asked = client.play(name, param, Arc::new(format)).await;
    let mut player = asked.map_err(|r| refuse::refused(&r))?;
    player.begun().await.map_err(refuse::ended)?;
    Ok(Viewer {
        client,
        player,
        head,
        framing,
    })
}

/// How the media goes, with the head of the answer that says so; `None` for a broken WebSocket handshake.
fn framing(path: &MediaPath, request: &Parts) -> Option<(Framing, Bytes)> {
    let is_1_1 = request.version == Version::HTTP_11;
    if request.version == Version::HTTP_2 {
        // Its head is not written here.
        return Some((Framing::Plain, Bytes::new()));
    }
    if websocket::is_wanted(&request.headers) {
        let accept = websocket::accept(&request.headers).filter(|_| is_1_1)?;
        return Some((Framing::WebSocket, head::switching(&accept)));
    }
    let framing = if is_1_1 { Framing::Chunked } else { Framing::Plain };
    Some((framing, head::ok(path.container, framing)))
}

/// As SRS tells its back ends of HTTP-FLV and HLS.
pub(crate) fn connection(
    shared: &Shared,
    path: &MediaPath,
    protocol: Protocol,
    request: &Parts,
    peer: &Peer,
) -> Connection {
    let param = request
        .uri
        .query()
        .filter(|q| !q.is_empty())
        .map(|q| format!("?{q}"))
        .unwrap_or_default();
    let host = host(request);
    let vhost = (shared.options.vhost)(host, &param);
    Connection {
        client_id: client_id(),
        protocol,
        peer: peer.address,
        tc_url: match protocol {
            Protocol::Hls => format!("http://{}/{}", without_port(host), path.app),
            _ => format!("rtmp://{vhost}/{}", path.app),
        },
        page_url: text(&request.headers, &header::REFERER).to_owned(),
        app: path.app.clone(),
        stream: path.stream.clone(),
        started: jiff::Timestamp::now(),
        vhost,
        param,
    }
}

/// Whom it was sent to. HTTP/2 says it in the URL.
pub(crate) fn host(request: &Parts) -> &str {
    let asked = request.uri.authority().map(http::uri::Authority::as_str);
    asked.unwrap_or_else(|| text(&request.headers, &header::HOST))
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> &'a str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}
