//! A publisher, from its request to its end.

use super::shell::{End, Shell, bytes, until};
use crate::server::Event;
use headgate_codec::TrackKind;
use headgate_flv::{Demuxed, Demuxer};
use headgate_hub::{EndReason, Publisher, Reason, Refusal};
use tokio::time::Instant;
use tracing::{debug, info};

impl Shell {
    /// Asks for the name, and takes media until the publisher ends.
    pub(super) async fn publish(&mut self, stream: &str) -> Result<(), End> {
        let asked = self
            .ask(stream, |client, name, param| Box::pin(client.publish(name, param)))
            .await?;
        let mut publisher = match asked {
            Ok(publisher) => publisher,
            Err(refusal) => return Err(self.refuse_publish(&refusal)),
        };
        info!(session = %publisher.session().id, stream = %publisher.session().name, "publisher is live");
        self.session.accept_publish();
        let end = self.take_media(&mut publisher).await;
        let reason = end.as_ref().map_or_else(End::reason, |()| EndReason::Unpublished);
        info!(session = %publisher.session().id, %reason, "publisher ended");
        publisher.finish(reason);
        end
    }

    fn refuse_publish(&mut self, refusal: &Refusal) -> End {
        info!(reason = %refusal.reason, "publish refused: {}", refusal.message);
        let code = match refusal.reason {
            Reason::NameBusy | Reason::BadRequest => "NetStream.Publish.BadName",
            _ => "NetStream.Publish.Denied",
        };
        self.session.reject_publish(code, &refusal.to_string());
        End::Refused
    }

    /// `Ok` when the publisher said goodbye and keeps the connection.
    async fn take_media(&mut self, publisher: &mut Publisher) -> Result<(), End> {
        let (mut demuxer, shutdown) = (Demuxer::default(), self.shutdown.clone());
        let mut patience = self.options.first_packet_timeout;
        let mut deadline = Instant::now().checked_add(patience);
        let (mut asked_to_leave, mut hold) = (false, None);
        loop {
            let mut media = 0;
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Audio { timestamp, payload } => {
                        media = bytes(payload.len()).saturating_add(media);
                        demux(publisher, demuxer.push(TrackKind::Audio, timestamp, payload));
                    }
                    Event::Video { timestamp, payload } => {
                        media = bytes(payload.len()).saturating_add(media);
                        demux(publisher, demuxer.push(TrackKind::Video, timestamp, payload));
                    }
                    Event::Metadata(body) => publisher.metadata(body),
                    Event::Closed => return Ok(()),
                    _ => continue,
                }
                patience = self.options.idle_timeout;
                deadline = Instant::now().checked_add(patience);
            }
            if media > 0 {
                hold = publisher.pace(media).map_err(|reason| self.tell_publisher(reason))?;
            }
            self.flush().await?;
            tokio::select! {
                () = until(hold), if hold.is_some() => hold = None,
                read = self.read(), if hold.is_none() => read?,
                reason = publisher.kicked() => return Err(self.tell_publisher(reason)),
                () = publisher.asked_to_leave(), if !asked_to_leave => {
                    asked_to_leave = true;
                    self.session.ask_to_reconnect(super::MOVED);
                }
                () = shutdown.cancelled() => return Err(self.tell_publisher(EndReason::Shutdown)),
                () = until(deadline), if hold.is_none() => return Err(End::Idle(patience)),
            }
        }
    }

    fn tell_publisher(&mut self, reason: EndReason) -> End {
        let why = match reason {
            EndReason::IngestTooFast => "more came than this server takes: lower the bit rate",
            _ => "the server ended this stream",
        };
        self.session.end_publish(&format!("{reason}: {why}"));
        End::Told(reason)
    }
}

/// A tag that cannot be read costs that tag: encoders send odd ones, and the stream goes on.
fn demux(publisher: &mut Publisher, demuxed: Result<Demuxed, headgate_flv::Error>) {
    match demuxed {
        Ok(Demuxed::Track(track)) => publisher.track(track),
        Ok(Demuxed::Frame(frame)) => publisher.frame(frame),
        Ok(Demuxed::TrackAndFrame(track, frame)) => {
            publisher.track(track);
            publisher.frame(frame);
        }
        Ok(Demuxed::Nothing(why)) => debug!(why, "tag passed over"),
        Err(error) => debug!(%error, "tag dropped"),
    }
}
