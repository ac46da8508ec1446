//! A player, from its request to its end.

use super::shell::{End, Shell};
use crate::format::RtmpFormat;
use crate::server::Event;
use headgate_hub::{EndReason, Outlet, Player, Reason, Refusal, Seated};
use std::sync::Arc;
use tracing::info;

impl Shell {
    /// Asks for the stream, and gives it until either side ends.
    pub(super) async fn play(&mut self, stream: &str) -> Result<(), End> {
        let format = RtmpFormat(self.session.caps().form);
        let asked = self
            .ask(stream, move |client, name, param| {
                Box::pin(client.play(name, param, Arc::new(format)))
            })
            .await?;
        let player = match asked {
            Ok(player) => player,
            Err(refusal) => return Err(self.refuse_play(&refusal)),
        };
        info!(session = %player.session().id, stream = %player.session().name, "player is in");
        self.session.accept_play();
        let seated = self.seat(player);
        let end = self.attend(&seated).await;
        let reason = end.as_ref().map_or_else(End::reason, |()| EndReason::PeerClosed);
        info!(session = %seated.session().id, %reason, "player ended");
        let begun = seated.leave(reason).await;
        // Before anything that is said from now on.
        begun.into_iter().rev().for_each(|bytes| self.queue.push_front(bytes));
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

    /// The pass writes from now on, behind what is queued.
    fn seat(&mut self, player: Player) -> Seated {
        self.collect();
        let outlet: Arc<dyn Outlet> = Arc::clone(&self.socket) as _;
        player.seat(
            outlet,
            std::mem::take(&mut self.queue).into(),
            self.shared.options.stall_timeout,
        )
    }

    /// Hears what the player says, and of its end. `Ok` when the player closed its stream and keeps the connection.
    async fn attend(&mut self, seated: &Seated) -> Result<(), End> {
        let shutdown = self.shared.shutdown.clone();
        loop {
            while let Some(event) = self.session.poll_event() {
                match event {
                    Event::Pause(on) => {
                        self.session.acknowledge_pause(on);
                        // The word comes before the media that it is about.
                        seated.say(self.session.take_output());
                        seated.pause(on);
                    }
                    Event::Closed => return Ok(()),
                    _ => {}
                }
            }
            seated.say(self.session.take_output());
            tokio::select! {
                ready = self.socket.readable() => {
                    ready?;
                    self.read_ready()?;
                }
                reason = seated.over() => return Err(match reason {
                    // Who does not read hears nothing either; everybody else does, behind what was begun.
                    EndReason::TooSlow => End::Cut(reason),
                    EndReason::PeerClosed => End::Closed,
                    reason => self.tell_player(reason),
                }),
                () = shutdown.cancelled() => return Err(self.tell_player(EndReason::Shutdown)),
            }
        }
    }

    fn tell_player(&mut self, reason: EndReason) -> End {
        match reason {
            EndReason::CodecsNotCarried => {
                let said = "CodecsNotCarried: this player takes none of the tracks of this stream";
                self.session.reject_play("NetStream.Play.Failed", said);
            }
            EndReason::StreamNotFound => {
                let said = "StreamNotFound: nobody publishes this stream";
                self.session.reject_play("NetStream.Play.StreamNotFound", said);
            }
            _ => self.session.end_play(),
        }
        if reason == EndReason::Draining {
            self.session.ask_to_reconnect(super::MOVED);
        }
        End::Told(reason)
    }
}
