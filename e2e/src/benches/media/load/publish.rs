//! The streams that the load publishes.

use super::{AHEAD, Load, PUBLISHERS};
use crate::benches::media::publisher::Publisher;
use crate::error::{Context as _, Result};
use mio::{Interest, Token};
use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A publisher that left is away for so long.
const AWAY: Duration = Duration::from_secs(1);

impl Load {
    /// They begin spread over some seconds, so that they do not send at the same moments.
    pub(super) fn publish(&mut self) -> Result<()> {
        if self.order.publish.is_none() {
            // So that the same part of the clip is measured.
            return self.until(AHEAD);
        }
        let streams = u32::try_from(self.order.streams).unwrap_or(u32::MAX);
        let pace = AHEAD.checked_div(streams).unwrap_or(AHEAD);
        for number in 0..self.order.streams {
            self.publishers.push(None);
            self.due.push(Reverse((Instant::now(), number)));
            self.until(pace)?;
        }
        Ok(())
    }

    fn begin(&mut self, number: usize) -> Result<()> {
        let (Some(address), Some(place)) = (self.order.publish, self.publishers.get_mut(number)) else {
            return Ok(());
        };
        let name = format!("bench{number}");
        let mut publisher = Publisher::connect(address, "live", &name, Arc::clone(&self.tags))?;
        let token = Token(PUBLISHERS.saturating_add(number));
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut publisher.socket, token, interest)
            .context("a publisher's socket")?;
        *place = Some(publisher);
        self.published = self.published.saturating_add(1);
        Ok(())
    }

    /// Sends what is due, and says when the next is.
    pub(super) fn pace(&mut self) -> Result<Option<Instant>> {
        loop {
            let Some(Reverse((at, number))) = self.due.peek().copied() else {
                return Ok(None);
            };
            let now = Instant::now();
            if at > now {
                return Ok(Some(at));
            }
            self.due.pop();
            let wait = self.turn(number)?;
            let next = now.checked_add(wait).unwrap_or(now);
            self.due.push(Reverse((next, number)));
        }
    }

    /// How long this publisher has nothing to do then.
    fn turn(&mut self, number: usize) -> Result<Duration> {
        let life = self.life(number);
        let Some(place) = self.publishers.get_mut(number) else {
            return Ok(Duration::MAX);
        };
        match place {
            None => {
                self.begin(number)?;
                Ok(Duration::ZERO)
            }
            Some(publisher) if publisher.age() > life => {
                *place = None;
                Ok(AWAY)
            }
            Some(publisher) => publisher.pace((number == 0).then_some(&mut self.sent)),
        }
    }

    /// From half of what is asked to one and a half, so that not all leave together.
    fn life(&self, number: usize) -> Duration {
        let part = u32::try_from(number % 16).unwrap_or(0).saturating_add(8);
        let life = |seconds| Duration::from_secs(seconds).saturating_mul(part).checked_div(16);
        self.order.restart.and_then(life).unwrap_or(Duration::MAX)
    }
}
