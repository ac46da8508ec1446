//! A publisher, from its request to its end.

use super::shell::{End, Shell, until};
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
        let mut asked_to_leave = false;
        loop {
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Audio { timestamp, payload } => {
                        demux(publisher, demuxer.push(TrackKind::Audio, timestamp, payload));
                    }
                    Event::Video { timestamp, payload } => {
                        demux(publisher, demuxer.push(TrackKind::Video, timestamp, payload));
                    }
                    Event::Metadata(body) => publisher.metadata(body),
                    Event::Closed => return Ok(()),
                    _ => continue,
                }
                patience = self.options.idle_timeout;
                deadline = Instant::now().checked_add(patience);
            }
            self.flush().await?;
            tokio::select! {
                read = self.read() => read?,
                reason = publisher.kicked() => return Err(self.tell_publisher(reason)),
                () = publisher.asked_to_leave(), if !asked_to_leave => {
                    asked_to_leave = true;
                    self.session.ask_to_reconnect(super::MOVED);
                }
                () = shutdown.cancelled() => return Err(self.tell_publisher(EndReason::Shutdown)),
                () = until(deadline) => return Err(End::Idle(patience)),
            }
        }
    }

    fn tell_publisher(&mut self, reason: EndReason) -> End {
        self.session
            .end_publish(&format!("{reason}: the server ended this stream"));
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
