//! A publisher, from its request to its end.

use super::shell::{End, Shell, bytes, until};
use crate::server::Event;
use headgate_codec::TrackKind;
use headgate_flv::{Demuxed, Demuxer, Found};
use headgate_hub::{EndReason, Publisher, Reason, Refusal};
use std::time::Duration;
use tokio::time::{Instant, sleep};
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
    ///
    /// This runs once for each message of each publisher: what is waited for beside the socket is made once, and the timer is not touched until it
    /// has run out.
    async fn take_media(&mut self, publisher: &mut Publisher) -> Result<(), End> {
        let kicked = publisher.kicked();
        let asked_to_leave = publisher.asked_to_leave();
        let shutdown = self.shutdown.clone().cancelled_owned();
        let mut demuxer = Demuxer::default();
        let mut patience = Patience::new(publisher.first_media_max());
        let silence = sleep(patience.most);
        tokio::pin!(kicked, asked_to_leave, shutdown, silence);
        let (mut has_been_asked, mut hold) = (false, None);
        loop {
            let mut media = 0_u64;
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Closed => return Ok(()),
                    event => media = pass_on(publisher, &mut demuxer, event).saturating_add(media),
                }
            }
            if media > 0 {
                if let Some(sooner) = patience.renew(publisher.silence_max()) {
                    silence.as_mut().reset(sooner);
                }
                hold = publisher.pace(media).map_err(|reason| self.tell_publisher(reason))?;
            }
            self.flush().await?;
            tokio::select! {
                biased;
                reason = &mut kicked => return Err(self.tell_publisher(reason)),
                () = &mut shutdown => return Err(self.tell_publisher(EndReason::Shutdown)),
                () = &mut asked_to_leave, if !has_been_asked => {
                    has_been_asked = true;
                    self.session.ask_to_reconnect(super::MOVED);
                }
                () = until(hold), if hold.is_some() => {
                    hold = None;
                    if let Some(sooner) = patience.renew(publisher.silence_max()) {
                        silence.as_mut().reset(sooner);
                    }
                }
                () = &mut silence, if hold.is_none() => match patience.left() {
                    Some(left) => silence.as_mut().reset(left),
                    None => return Err(End::Idle(patience.most)),
                },
                read = self.read(), if hold.is_none() => read?,
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

/// How long nothing but chatter may come.
struct Patience {
    since: Instant,
    most: Duration,
}

impl Patience {
    fn new(most: Duration) -> Self {
        let since = Instant::now();
        Self { since, most }
    }

    /// When it ends then, if it is shorter than it was: a timer that was set before would be late.
    fn renew(&mut self, most: Duration) -> Option<Instant> {
        let before = std::mem::replace(self, Self::new(most)).most;
        self.since.checked_add(most).filter(|_| most < before)
    }

    /// When it ends; `None` when it has.
    fn left(&self) -> Option<Instant> {
        self.since.checked_add(self.most).filter(|end| *end > Instant::now())
    }
}

/// Bytes of media: other data, and pauses, keep nobody alive.
fn pass_on(publisher: &mut Publisher, demuxer: &mut Demuxer, event: Event) -> u64 {
    match event {
        Event::Audio { timestamp, payload } => {
            let count = bytes(payload.len());
            demuxed(publisher, demuxer.push(TrackKind::Audio, timestamp, payload));
            return count;
        }
        Event::Video { timestamp, payload } => {
            let count = bytes(payload.len());
            demuxed(publisher, demuxer.push(TrackKind::Video, timestamp, payload));
            return count;
        }
        Event::Metadata(body) => publisher.metadata(body),
        Event::Data { timestamp, payload } => publisher.data(&payload, demuxer.time(timestamp)),
        _ => {}
    }
    0
}

/// A tag that cannot be read costs that tag: encoders send odd ones, and the stream goes on.
fn demuxed(publisher: &mut Publisher, found: Result<Found, headgate_flv::Error>) {
    match found {
        Ok(found) => found.into_iter().for_each(|one| match one {
            Demuxed::Track(track) => publisher.track(track),
            Demuxed::Frame(frame) => publisher.frame(frame),
            Demuxed::Nothing(why) => debug!(why, "tag passed over"),
        }),
        Err(error) => debug!(%error, "tag dropped"),
    }
}
