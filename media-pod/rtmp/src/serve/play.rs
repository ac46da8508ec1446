//! A player, from its request to its end.

use super::shell::{End, Shell};
use crate::format::RtmpFormat;
use crate::server::Event;
use headgate_hub::{EndReason, Player, Reason, Refusal};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tracing::info;

/// Packets taken from the ring at a time.
const BATCH: usize = 64;

impl Shell {
    /// Asks for the stream, and gives it until either side ends.
    pub(super) async fn play(&mut self, stream: &str) -> Result<(), End> {
        let (name, param) = self.request(stream);
        let asked = {
            let client = match self.client() {
                Ok(client) => client,
                Err(refusal) => return self.refuse_play(&refusal),
            };
            tokio::select! {
                asked = client.play(name, param, Arc::new(RtmpFormat)) => asked,
                () = Self::closed(&self.socket) => return Err(End::Closed),
                () = self.shutdown.cancelled() => return Err(End::Told(EndReason::Shutdown)),
            }
        };
        let mut player = match asked {
            Ok(player) => player,
            Err(refusal) => return self.refuse_play(&refusal),
        };
        info!(session = %player.session().id, stream = %player.session().name, "player is in");
        self.session.accept_play();
        let end = self.give_media(&mut player).await;
        let reason = end.as_ref().map_or_else(End::reason, |()| EndReason::PeerClosed);
        info!(session = %player.session().id, %reason, "player ended");
        player.finish(reason);
        end
    }

    fn refuse_play(&mut self, refusal: &Refusal) -> Result<(), End> {
        info!(reason = %refusal.reason, "play refused: {}", refusal.message);
        let code = if refusal.reason == Reason::StreamNotFound {
            "NetStream.Play.StreamNotFound"
        } else {
            "NetStream.Play.Failed"
        };
        self.session.reject_play(code, &refusal.to_string());
        Err(End::Refused)
    }

    /// `Ok` when the player closed its stream and keeps the connection.
    async fn give_media(&mut self, player: &mut Player) -> Result<(), End> {
        let (mut batch, mut paused) = (Vec::with_capacity(BATCH), false);
        let mut progress = Instant::now();
        let stall = self.options.stall_timeout;
        loop {
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Pause(on) => {
                        paused = on;
                        self.session.acknowledge_pause(on);
                    }
                    Event::Closed => return Ok(()),
                    _ => {}
                }
            }
            self.collect();
            if self.queue.is_empty() {
                progress = Instant::now();
            }
            tokio::select! {
                ready = self.socket.readable() => {
                    ready?;
                    self.read_ready()?;
                }
                more = player.next(&mut batch, BATCH), if self.queue.is_empty() && !paused => match more {
                    Ok(()) => self.queue.extend(batch.drain(..)),
                    Err(reason) => return Err(self.tell_player(reason)),
                },
                ready = self.socket.writable(), if !self.queue.is_empty() => {
                    ready?;
                    self.write_ready()?;
                    progress = Instant::now();
                }
                () = self.shutdown.cancelled() => return Err(self.tell_player(EndReason::Shutdown)),
                () = stalled(progress, stall), if !self.queue.is_empty() => return Err(End::Stalled(stall)),
            }
        }
    }

    fn tell_player(&mut self, reason: EndReason) -> End {
        self.session.end_play();
        End::Told(reason)
    }
}

async fn stalled(since: Instant, limit: Duration) {
    tokio::time::sleep_until(since.checked_add(limit).unwrap_or(since)).await;
}
