//! The stream of reports: one at once, one when something is new, one every few seconds.

use crate::pod::{News, Pod};
use axum::body::Bytes;
use futures::Stream;
use futures::stream::unfold;
use headgate_control::PodReport;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Changes that come closer together are one report.
const COALESCE: Duration = Duration::from_millis(200);
/// The longest silence: the measured figures move without news.
const EVERY: Duration = Duration::from_secs(5);

/// JSON lines, until the reader leaves or the pod is gone.
pub fn lines(pod: Arc<Pod>) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let news = pod.news();
    unfold((pod, news, true), |(pod, mut news, first)| async move {
        if !first {
            wait(&mut news).await;
        }
        news.mark();
        let line = line(&pod.report());
        Some((Ok(line), (pod, news, false)))
    })
}

async fn wait(news: &mut News) {
    sleep(COALESCE).await;
    // Silence and news come to the same: a report.
    let _ = timeout(EVERY.saturating_sub(COALESCE), news.wait()).await;
}

fn line(report: &PodReport) -> Bytes {
    match serde_json::to_vec(report) {
        Ok(mut line) if line.len() < PodReport::BYTES_MAX => {
            line.push(b'\n');
            line.into()
        }
        Ok(line) => {
            tracing::error!(bytes = line.len(), "a report is too long and is not sent");
            Bytes::new()
        }
        Err(error) => {
            tracing::error!(%error, "a report cannot be written");
            Bytes::new()
        }
    }
}
