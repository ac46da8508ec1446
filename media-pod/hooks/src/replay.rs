//! Dead letters that are sent once more, because somebody wished it.

use headgate_control::Replay;
use jiff::Timestamp;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::sleep;

use crate::closing::notice;
use crate::dead::Page;
use crate::delivery::lane::Entry;
use crate::endpoint::Endpoint;
use crate::log::record::{Record, Told};

/// Letters in one record of the log.
const PART: usize = 64;
/// Above that many pending notifications no more letters are added, so that none pushes out what is news.
const PENDING_MAX: usize = 10_000;
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(200);

/// Runs until it is dropped.
pub(crate) async fn run(endpoint: &Arc<Endpoint>) -> Infallible {
    loop {
        if let Some(replay) = &endpoint.spec().replay {
            endpoint.follow(replay).await;
        }
        endpoint.wished.notified().await;
    }
}

impl Endpoint {
    /// Does what a wish says, once. Letters that die again meanwhile are not among those it is about.
    async fn follow(self: &Arc<Self>, replay: &Replay) {
        let letters = &self.context.books.letters;
        let Some(wish) = letters.begin(&self.name, replay).await else {
            return;
        };
        let mut count = 0_usize;
        loop {
            while self.outbox.pending() > PENDING_MAX {
                sleep(LOOK).await;
            }
            let page = letters.page(&wish).await;
            if page.is_empty() {
                break;
            }
            count = count.saturating_add(page.len());
            self.send_again(page).await;
        }
        letters.end(&wish).await;
        tracing::info!(endpoint = self.name, count, "dead letters are sent once more");
        self.context.bump();
    }

    async fn send_again(self: &Arc<Self>, page: Page) {
        let (books, last) = (&self.context.books, self.spec().urls.len().saturating_sub(1));
        let numbers: Vec<u64> = page.iter().map(|(number, _)| *number).collect();
        let entries = page.into_iter().map(|(_, letter)| Entry {
            // One for a URL that is there no more goes to the last that is.
            url: letter.url.min(last),
            event: letter.event,
            log: books.number(),
            at: Timestamp::now(),
            age: Duration::ZERO,
            replay: true,
        });
        let entries: Vec<Entry> = entries.collect();
        for part in entries.chunks(PART) {
            let told = Told {
                notices: part.iter().map(|entry| notice(self, entry)).collect(),
                ..Told::default()
            };
            // Without a disk they are in memory like all else.
            books.append_durably([Record::Told(told)]).await;
        }
        let count = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        self.replayed.fetch_add(count, Ordering::Relaxed);
        self.context
            .metrics
            .replayed
            .with_label_values(&[&self.name])
            .inc_by(count);
        for entry in entries {
            self.outbox.push(entry);
        }
        books.letters.gone(numbers).await;
    }
}
