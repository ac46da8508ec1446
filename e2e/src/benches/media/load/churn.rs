//! Players that come and go all the time.

use super::{Cost, Load, Outcome, milliseconds, number_of, percentile};
use crate::benches::media::player::Player;
use crate::benches::media::{clip, cpu};
use crate::error::Result;
use std::time::{Duration, Instant};

/// Of players that have left by themselves.
#[derive(Default)]
pub(super) struct Gone {
    good: usize,
    dead: usize,
    starved: usize,
    joins: Vec<f64>,
}

impl Load {
    /// Players come at a steady rate and leave after a while. What each had is looked at when it leaves.
    pub(super) fn churn(mut self, stay: Duration, resident_before: u64) -> Result<Outcome> {
        let (begun, rate) = (Instant::now(), self.order.players);
        let length = Duration::from_secs(self.order.seconds);
        let before = cpu::nanoseconds(self.order.server)?;
        let (mut number, mut oldest) = (0_usize, 0_usize);
        while begun.elapsed() < length {
            self.connect(number, false)?;
            number = number.saturating_add(1);
            #[allow(clippy::cast_precision_loss, reason = "thousands")]
            let next = Duration::from_secs_f64(number as f64 / rate.max(1) as f64);
            self.until(next.saturating_sub(begun.elapsed()))?;
            oldest = self.dismiss(oldest, stay);
        }
        let spent = cpu::nanoseconds(self.order.server)?.saturating_sub(before);
        let resident = cpu::resident(self.order.server)?;
        self.until(stay)?;
        self.dismiss(oldest, Duration::ZERO);
        let Gone {
            good,
            dead,
            starved,
            joins,
        } = self.gone;
        Ok(Outcome {
            live: good,
            dead,
            starved,
            published: self.published,
            asleep: Cost {
                spent: number_of(spent) / 1e3 / length.as_secs_f64(),
                ..Cost::default()
            },
            resident_before,
            resident,
            join: (percentile(joins.clone(), 50), percentile(joins, 95)),
            ..Outcome::default()
        })
    }

    /// Those leave that have stayed long enough. Says who is the oldest then.
    fn dismiss(&mut self, oldest: usize, stay: Duration) -> usize {
        let (mut at, rate) = (oldest, clip::rate(&self.tags));
        while let Some(place) = self.players.get_mut(at) {
            if place.as_ref().is_some_and(|player| player.age() < stay) {
                break;
            }
            if let Some(player) = place.take() {
                self.gone.note(&player, rate);
            }
            at = at.saturating_add(1);
        }
        at
    }
}

impl Gone {
    /// `rate`: bits a second of what it should have had.
    fn note(&mut self, player: &Player, rate: f64) {
        let Some(joined) = player.joined.filter(|_| player.is_live()) else {
            self.dead = self.dead.saturating_add(1);
            return;
        };
        self.joins.push(milliseconds(joined));
        let stayed = player.age().saturating_sub(joined).as_secs_f64();
        if number_of(player.received) * 8.0 < stayed * rate / 2.0 {
            self.starved = self.starved.saturating_add(1);
        } else {
            self.good = self.good.saturating_add(1);
        }
    }
}
