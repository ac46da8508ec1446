//! Files that somebody guards: whether a client may have them.

use crate::connection::Peer;
use crate::handler::connection;
use crate::path::{MediaPath, decode};
use crate::refuse::refused;
use crate::server::Shared;
use axum::response::Response;
use headgate_hub::{FileRequest, Protocol};
use http::HeaderName;
use http::request::Parts;

/// Asks about a file of a stream, where anybody is asked about files. True when it was asked about: it is not for everybody then.
pub(crate) async fn ask(shared: &Shared, request: &Parts, peer: &Peer) -> Result<bool, Response> {
    if !shared.hub.guards_files() {
        return Ok(false);
    }
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
    };
    shared.hub.file(&asked).await.map_err(|refusal| refused(&refusal))?;
    Ok(true)
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
    fn a_header_has_its_name_as_it_is_written() {
        assert_eq!(title(&http::header::USER_AGENT), "User-Agent");
        assert_eq!(title(&http::header::ACCEPT), "Accept");
    }
}
