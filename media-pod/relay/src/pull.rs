//! One stream of one peer, as it comes.

use crate::ask::{peer_stream, within};
use crate::{Metrics, Peer, PeerError};
use headgate_control::{PEER_MEDIA_PATH, PEER_SESSION_HEADER, PeerStream};
use headgate_flv::{Demuxed, Demuxer, Tag, TagKind, TagStream};
use headgate_hub::{Edge, Origin, StreamName};
use reqwest::{Response, StatusCode};
use std::time::Duration;
use tokio::time::timeout;
use url::Url;
use uuid::Uuid;

/// A stream that a peer has begun to send.
pub(crate) struct Source {
    pub(crate) origin: Origin,
    response: Response,
}

impl Source {
    /// Asks one peer. `None` when the stream is not live there.
    pub(crate) async fn open(peer: &Peer, name: &StreamName, patience: Duration) -> Result<Option<Self>, PeerError> {
        let asked = async { Ok(peer.client().get(media_url(peer, name)).send().await?) };
        let response: Response = within(patience, asked).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            status => return Err(PeerError::BadAnswer(status.to_string())),
        }
        let session = session(&response).ok_or_else(|| PeerError::BadAnswer("no session".into()))?;
        let pod = peer.name.clone();
        Ok(Some(Self {
            origin: Origin { session, pod },
            response,
        }))
    }

    /// Feeds an edge until the stream ends there, or says nothing for `idle`. A peer that lives says something all the time.
    pub(crate) async fn feed(mut self, edge: &Edge, idle: Duration, metrics: &Metrics) -> Result<(), PeerError> {
        let (mut tags, mut demuxer) = (TagStream::default(), Demuxer::default());
        loop {
            let read = timeout(idle, self.response.chunk()).await;
            let Some(piece) = read.map_err(|_| PeerError::TimedOut(idle))?? else {
                return Ok(());
            };
            metrics.bytes.inc_by(piece.len() as u64);
            tags.push(&piece);
            while let Some(tag) = tags.next_tag()? {
                pass_on(edge, &mut demuxer, tag);
            }
        }
    }
}

fn pass_on(edge: &Edge, demuxer: &mut Demuxer, tag: Tag) {
    if tag.kind == TagKind::Script {
        return if headgate_flv::is_metadata(&tag.body) {
            edge.metadata(tag.body);
        } else {
            edge.data(&tag.body, demuxer.time(tag.timestamp_millis));
        };
    }
    match demuxer.push_tag(tag.kind, tag.timestamp_millis, tag.body) {
        Ok(found) => found.into_iter().for_each(|one| match one {
            Demuxed::Track(track) => edge.track(track),
            Demuxed::Frame(frame) => edge.frame(frame),
            Demuxed::Nothing(_) => {}
        }),
        Err(error) => tracing::debug!(stream = %edge.name(), %error, "a tag of a peer cannot be read"),
    }
}

fn session(response: &Response) -> Option<Uuid> {
    response.headers().get(PEER_SESSION_HEADER)?.to_str().ok()?.parse().ok()
}

fn media_url(peer: &Peer, name: &StreamName) -> Url {
    let PeerStream { vhost, app, stream } = peer_stream(name);
    let mut url = peer.url(PEER_MEDIA_PATH);
    let pairs = [("vhost", vhost), ("app", app), ("stream", stream)];
    url.query_pairs_mut().extend_pairs(pairs);
    url
}
