//! The probe of an endpoint: whether its URLs can be connected to, where no call has told. Nothing is sent.
//!
//! Once when the URLs are new; then every 10 s while there is no connection or was no answer; never while all is well, and never
//! after an answer of the wrong kind, which only a call can mend.

use futures::future::join_all;
use headgate_control::HookEvent;
use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;
use tokio::time::{Instant, sleep_until, timeout};
use url::Url;

use crate::endpoint::Endpoint;
use crate::failure::{Cause, Failure};
use crate::health::{Need, PROBE};

/// Name look-up, TCP and TLS together; as for a call.
const DIAL_MAX: Duration = Duration::from_secs(1);
/// From one probe to the next.
const PACE: Duration = Duration::from_secs(10);

/// Runs until it is dropped; a dial under way is dropped with it.
pub(crate) async fn run(endpoint: &Endpoint) -> Infallible {
    let mut next = None;
    loop {
        let need = endpoint.health().lock().need();
        match need {
            Need::Now => {}
            Need::Again => {
                let at = *next.get_or_insert_with(in_a_while);
                tokio::select! {
                    () = sleep_until(at) => {}
                    () = endpoint.unsure.notified() => continue,
                }
            }
            Need::Never => {
                next = None;
                endpoint.unsure.notified().await;
                continue;
            }
        }
        endpoint.probe().await;
        next = Some(in_a_while());
    }
}

fn in_a_while() -> Instant {
    let now = Instant::now();
    now.checked_add(PACE).unwrap_or(now)
}

impl Endpoint {
    /// Dials all its URLs at once; one that does not open is enough for a failure, as it is for an admission.
    async fn probe(&self) {
        let (spec, targets) = (self.spec(), self.targets());
        let failure = if let Some(why) = &spec.unresolved {
            Some(Failure::new(Cause::Unreachable, format!("not called: {why}")))
        } else if targets.is_empty() {
            Some(Failure::new(Cause::Unreachable, "it has no URL"))
        } else {
            let dials = join_all(targets.into_iter().map(|url| self.dial(url))).await;
            dials.into_iter().find_map(Result::err)
        };
        // What came meanwhile from a call, or is about URLs that it had before, is not the probe's to say.
        if spec.urls == self.spec().urls {
            self.note_probe(failure.as_ref());
        }
    }

    async fn dial(&self, url: Url) -> Result<(), Failure> {
        let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default());
        let name = format!("{host}:{}", port.unwrap_or_default());
        let failed = |cause, what: &str| Failure::new(cause, format!("{name}: {what}"));
        let dialler = self.dialler();
        match timeout(DIAL_MAX, dialler.dial(url)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(Cause::Unreachable, &error.to_string())),
            Err(_) => Err(failed(Cause::Timeout, "no connection within 1 s")),
        }
    }

    /// The URLs of all its events, in order, one for each scheme, host and port.
    fn targets(&self) -> Vec<Url> {
        let (spec, dialect) = (self.spec(), self.dialect());
        let has = |kind: &&HookEvent| spec.dialect.has(**kind);
        let events = spec.events.iter().filter(has).map(|kind| dialect.event_name(*kind));
        let urls = spec
            .urls
            .iter()
            .flat_map(|template| events.clone().filter_map(|event| spec.url(template, event)));
        let mut seen = HashSet::new();
        urls.filter(|url| seen.insert(url.origin())).collect()
    }

    fn note_probe(&self, failure: Option<&Failure>) {
        let changed = {
            let mut health = self.health().lock();
            health.need() != Need::Never && health.probed(failure)
        };
        if !changed {
            return;
        }
        self.context.bump();
        if let Some(Failure { cause, message }) = failure {
            let reason = cause.reason();
            tracing::warn!(
                endpoint = self.name,
                event = PROBE,
                reason,
                message,
                "hook endpoint cannot be reached"
            );
        } else {
            tracing::info!(endpoint = self.name, event = PROBE, "hook endpoint can be reached");
        }
    }
}
