//! A publisher, from its request to its end.

use super::hearing::Hearing;
use super::shell::{End, Shell, bytes, until};
use crate::server::Event;
use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{FuturesUnordered, StreamExt as _};
use headgate_codec::TrackKind;
use headgate_flv::{Demuxed, Demuxer, Found};
use headgate_hub::{EndReason, Publisher, Reason, Refusal};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
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
        self.join_rounds();
        let end = self.take_media(&mut publisher).await;
        self.leave_rounds();
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
    /// This runs once for each read of each publisher, which finds little of its memory in the processor's cache: what is rare is not looked at
    /// unless it happens.
    async fn take_media(&mut self, publisher: &mut Publisher) -> Result<(), End> {
        let mut demuxer = Demuxer::default();
        let patience = Arc::new(Patience::new(publisher.first_media_max()));
        let mut rare = self.rare(publisher, &patience);
        let mut hold = None;
        let (mut hearing, mut share) = (Hearing::new(self.shared.begun, Instant::now()), Share::default());
        loop {
            let mut media = 0_u64;
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Closed => return Ok(()),
                    event => media = pass_on(publisher, &mut demuxer, share.own(event)).saturating_add(media),
                }
            }
            if media > 0 {
                share.media = share.media.saturating_add(media);
                hold = publisher.pace(media).map_err(|reason| self.tell_publisher(reason))?;
                patience.renew(hold.unwrap_or_else(Instant::now), publisher.silence_max());
            }
            self.flush().await?;
            tokio::select! {
                biased;
                Some(rare) = rare.next() => match rare {
                    Rare::Ended(reason) => return Err(self.tell_publisher(reason)),
                    Rare::AskedToLeave => self.session.ask_to_reconnect(super::MOVED),
                    Rare::Silence => return Err(End::Idle(patience.most())),
                },
                () = until(hold), if hold.is_some() => hold = None,
                () = until(hearing.rests()), if hearing.rests().is_some() => self.look(&mut hearing),
                () = self.socket.ended(), if hearing.rests().is_some() => self.look(&mut hearing),
                ready = self.socket.readable(), if hold.is_none() && hearing.rests().is_none() => {
                    ready.map_err(End::Io)?;
                    let count = self.read_ready()?;
                    share.all = share.all.saturating_add(bytes(count));
                    self.heard(publisher, &mut hearing, count);
                }
            }
        }
    }

    /// Of what was read, when it came, and when to read again.
    fn heard(&self, publisher: &mut Publisher, hearing: &mut Hearing, count: usize) {
        let now = Instant::now();
        publisher.heard(hearing.heard(bytes(count), now));
        if self.socket.is_exhausted() {
            let pause = self.shared.hub.settings().ingest_pause();
            hearing.exhausted(publisher.ingest_hold(), pause, now);
            // It fails only for a connection that has failed.
            let _ = self.socket.listen(hearing.rests().is_none());
        }
    }

    /// It was not read for long enough.
    fn look(&self, hearing: &mut Hearing) {
        hearing.wake();
        self.socket.look();
    }

    fn rare(&self, publisher: &Publisher, patience: &Arc<Patience>) -> FuturesUnordered<BoxFuture<'static, Rare>> {
        let (kicked, leave) = (publisher.kicked(), publisher.asked_to_leave());
        let (shutdown, patience) = (self.shared.shutdown.clone(), Arc::clone(patience));
        let all: [BoxFuture<'static, Rare>; 4] = [
            kicked.map(Rare::Ended).boxed(),
            async move { shutdown.cancelled_owned().await }
                .map(|()| Rare::Ended(EndReason::Shutdown))
                .boxed(),
            leave.map(|()| Rare::AskedToLeave).boxed(),
            async move { patience.out().await }.map(|()| Rare::Silence).boxed(),
        ];
        all.into_iter().collect()
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

/// How much of what a publisher sends is media, in bytes.
///
/// A frame shares the memory that it was read into, all of which is kept as long as the frame is. Of a peer that sends little media between much
/// else that would be much.
#[derive(Default)]
struct Share {
    all: u64,
    media: u64,
}

impl Share {
    /// So much else may come at first.
    const SLACK: u64 = 1 << 20;

    /// With a payload of its own, where the media is less than half.
    fn own(&self, event: Event) -> Event {
        if self.all.saturating_sub(Self::SLACK).saturating_sub(self.media) <= self.media {
            return event;
        }
        let copy = |payload: Bytes| Bytes::copy_from_slice(&payload);
        match event {
            Event::Audio { timestamp, payload } => Event::Audio {
                timestamp,
                payload: copy(payload),
            },
            Event::Video { timestamp, payload } => Event::Video {
                timestamp,
                payload: copy(payload),
            },
            other => other,
        }
    }
}

/// What happens beside the media.
enum Rare {
    /// Somebody else ends the session.
    Ended(EndReason),
    /// The publisher should come back elsewhere.
    AskedToLeave,
    /// Nothing but chatter came for too long.
    Silence,
}

/// How long nothing but chatter may come.
struct Patience {
    begun: Instant,
    /// Milliseconds from there to the last media.
    heard: AtomicU64,
    /// Milliseconds.
    most: AtomicU64,
}

impl Patience {
    /// How often it looks whether it has run out, or become shorter.
    const LOOK: Duration = Duration::from_secs(1);

    fn new(most: Duration) -> Self {
        Self {
            begun: Instant::now(),
            heard: AtomicU64::new(0),
            most: AtomicU64::new(millis(most)),
        }
    }

    fn renew(&self, heard: Instant, most: Duration) {
        self.heard
            .store(millis(heard.duration_since(self.begun)), Ordering::Relaxed);
        self.most.store(millis(most), Ordering::Relaxed);
    }

    fn most(&self) -> Duration {
        Duration::from_millis(self.most.load(Ordering::Relaxed))
    }

    /// Zero when it has run out.
    fn left(&self) -> Duration {
        let heard = Duration::from_millis(self.heard.load(Ordering::Relaxed));
        let end = heard.saturating_add(self.most());
        end.saturating_sub(self.begun.elapsed())
    }

    /// Resolves when it has run out.
    async fn out(&self) {
        loop {
            let left = self.left();
            if left.is_zero() {
                return;
            }
            sleep(left.min(Self::LOOK)).await;
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_among_much_else_are_copied_out_of_it() {
        let payload = Bytes::from_static(b"frame");
        let keeps = |all, media| {
            let event = Event::Video {
                timestamp: 0,
                payload: payload.clone(),
            };
            match (Share { all, media }).own(event) {
                Event::Video { payload: same, .. } => same.as_ptr() == payload.as_ptr() && same == payload,
                _ => false,
            }
        };
        let slack = Share::SLACK;
        assert!(keeps(0, 0) && keeps(slack, 0) && keeps(slack * 9, slack * 8) && keeps(slack * 3, slack));
        assert!(!keeps(slack + 1, 0) && !keeps(slack * 9, slack) && !keeps(u64::MAX, slack));
    }
}
