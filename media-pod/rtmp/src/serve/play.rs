//! A player, from its request to its end.

use super::shell::{End, QUEUE_MAX, Shell, until};
use crate::format::RtmpFormat;
use crate::server::Event;
use headgate_hub::{EndReason, Player, Reason, Refusal};
use std::sync::Arc;
use tokio::time::Instant;
use tracing::info;

/// Packets taken from the ring at a time.
const BATCH: usize = 64;

impl Shell {
    /// Asks for the stream, and gives it until either side ends.
    pub(super) async fn play(&mut self, stream: &str) -> Result<(), End> {
        let format = RtmpFormat(self.session.caps().form);
        let asked = self
            .ask(stream, move |client, name, param| {
                Box::pin(client.play(name, param, Arc::new(format)))
            })
            .await?;
        let mut player = match asked {
            Ok(player) => player,
            Err(refusal) => return Err(self.refuse_play(&refusal)),
        };
        info!(session = %player.session().id, stream = %player.session().name, "player is in");
        self.session.accept_play();
        let end = self.give_media(&mut player).await;
        let reason = end.as_ref().map_or_else(End::reason, |()| EndReason::PeerClosed);
        info!(session = %player.session().id, %reason, "player ended");
        player.finish(reason);
        end
    }

    fn refuse_play(&mut self, refusal: &Refusal) -> End {
        info!(reason = %refusal.reason, "play refused: {}", refusal.message);
        let code = if refusal.reason == Reason::StreamNotFound {
            "NetStream.Play.StreamNotFound"
        } else {
            "NetStream.Play.Failed"
        };
        self.session.reject_play(code, &refusal.to_string());
        End::Refused
    }

    /// `Ok` when the player closed its stream and keeps the connection.
    async fn give_media(&mut self, player: &mut Player) -> Result<(), End> {
        let (mut batch, mut paused, shutdown) = (Vec::with_capacity(BATCH), false, self.shutdown.clone());
        let patience = self.options.stall_timeout;
        let mut deadline = None;
        loop {
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Pause(on) => {
                        // Nothing can be decoded from the middle on.
                        if paused && !on {
                            player.rejoin();
                        }
                        paused = on;
                        self.session.acknowledge_pause(on);
                    }
                    Event::Closed => return Ok(()),
                    _ => {}
                }
            }
            self.collect();
            let full = !self.queue.is_empty();
            // The batch as a whole: a peer that takes a byte now and then would hold its packets for ever.
            deadline = if full {
                deadline.or_else(|| Instant::now().checked_add(patience))
            } else {
                None
            };
            let more = async {
                if full {
                    Err(player.stalled().await)
                } else {
                    player.next(&mut batch, BATCH).await
                }
            };
            tokio::select! {
                ready = self.socket.readable(), if self.queue.len() < QUEUE_MAX => {
                    ready?;
                    self.read_ready()?;
                }
                ready = self.socket.writable(), if full => {
                    ready?;
                    self.write_ready()?;
                }
                more = more => match more {
                    // A paused player goes on with what is live then, and so does not fall behind.
                    Ok(()) if paused => batch.clear(),
                    Ok(()) => self.queue.extend(batch.drain(..)),
                    // Who does not read hears nothing either; everybody else does, behind what is queued.
                    Err(EndReason::TooSlow) if full => return Err(End::Cut(EndReason::TooSlow)),
                    Err(reason) => return Err(self.tell_player(reason)),
                },
                () = until(deadline) => return Err(End::Stalled(patience)),
                () = shutdown.cancelled() => return Err(self.tell_player(EndReason::Shutdown)),
            }
        }
    }

    fn tell_player(&mut self, reason: EndReason) -> End {
        self.session.end_play();
        if reason == EndReason::Draining {
            self.session.ask_to_reconnect(super::MOVED);
        }
        End::Told(reason)
    }
}
