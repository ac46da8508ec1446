//! A media request, from its head to the point where its connection becomes a viewer's.

use crate::connection::Peer;
use crate::path::MediaPath;
use crate::refuse::{self, MEDIA_HEADERS};
use crate::server::Shared;
use crate::viewer::Viewer;
use crate::{FlvFormat, refuse::problem};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use headgate_hub::{Connection, Protocol, StreamName, client_id};
use http::request::Parts;
use http::{HeaderMap, Method, Request, StatusCode, Version, header};
use std::sync::Arc;

/// Packets that are taken at once.
pub(crate) const BATCH: usize = 64;

/// Every request.
pub(crate) async fn dispatch(State(shared): State<Arc<Shared>>, request: Request<Body>) -> Response {
    let (request, _) = request.into_parts();
    let Some(path) = MediaPath::flv(request.uri.path()) else {
        return problem(StatusCode::NOT_FOUND, "NotFound", "there is nothing at this path");
    };
    match request.method {
        Method::OPTIONS => refuse::preflight(),
        Method::HEAD => MEDIA_HEADERS.into_response(),
        Method::GET => play(&shared, &path, &request).await,
        _ => problem(
            StatusCode::METHOD_NOT_ALLOWED,
            "MethodNotAllowed",
            "this path can be read only",
        ),
    }
}

async fn play(shared: &Shared, path: &MediaPath, request: &Parts) -> Response {
    let Some(peer) = request.extensions.get::<Arc<Peer>>() else {
        return problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "Internal",
            "the connection is unknown",
        );
    };
    match admitted(shared, path, request, peer).await {
        Ok(viewer) => {
            peer.hand_over(viewer);
            // The connection takes the viewer and drops this.
            std::future::pending().await
        }
        Err(response) => response,
    }
}

/// A viewer that is let in and has something to see.
async fn admitted(shared: &Shared, path: &MediaPath, request: &Parts, peer: &Peer) -> Result<Viewer, Response> {
    let connection = connection(shared, path, request, peer);
    let name = StreamName::parse(&connection.vhost, &path.app, &path.stream).map_err(|r| refuse::refused(&r))?;
    let param = connection.param.clone();
    let format = if request.version == Version::HTTP_11 {
        FlvFormat::Chunked
    } else {
        FlvFormat::Plain
    };
    let client = shared.hub.open(connection);
    let asked = client.play(name, param, Arc::new(format)).await;
    let mut player = asked.map_err(|r| refuse::refused(&r))?;
    let mut packets = Vec::new();
    player.next(&mut packets, BATCH).await.map_err(refuse::ended)?;
    Ok(Viewer {
        client,
        player,
        packets,
        format,
    })
}

/// As SRS tells its back ends of HTTP-FLV.
fn connection(shared: &Shared, path: &MediaPath, request: &Parts, peer: &Peer) -> Connection {
    let param = request
        .uri
        .query()
        .filter(|q| !q.is_empty())
        .map(|q| format!("?{q}"))
        .unwrap_or_default();
    let host = text(&request.headers, &header::HOST);
    let vhost = (shared.options.vhost)(host, &param);
    Connection {
        client_id: client_id(),
        protocol: Protocol::HttpFlv,
        peer: peer.address,
        tc_url: format!("rtmp://{vhost}/{}", path.app),
        page_url: text(&request.headers, &header::REFERER).to_owned(),
        app: path.app.clone(),
        stream: path.stream.clone(),
        started: jiff::Timestamp::now(),
        vhost,
        param,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> &'a str {
    headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default()
}
