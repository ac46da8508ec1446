//! The loop that takes, renews and releases the Lease.

use super::{ATTEMPT_TIMEOUT, Claim, LEASE_DURATION, RENEW_DEADLINE, RETRY_PERIOD, Record, Seen, Step};
use crate::cluster::{Cluster, ClusterError};
use crate::names::ObjectKey;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;

/// In a Lease that nobody holds.
const RELEASED: Duration = Duration::from_secs(1);
/// How long it is left to others by a process that was started anew: they look every [`RETRY_PERIOD`].
const OFFERED: Duration = Duration::from_millis(2500);

/// Where the Lease is kept.
pub trait Leases: Send + Sync {
    /// Reads it.
    fn read(&self) -> impl Future<Output = Result<Option<Lease>, ClusterError>> + Send;
    /// Makes it; as it is then.
    fn make(&self, lease: &Lease) -> impl Future<Output = Result<Lease, ClusterError>> + Send;
    /// Replaces it, if it is still the version that was read; as it is then.
    fn replace(&self, lease: &Lease) -> impl Future<Output = Result<Lease, ClusterError>> + Send;
}

/// The Lease in the cluster.
pub struct InCluster {
    cluster: Cluster,
    key: ObjectKey,
}

impl Leases for InCluster {
    async fn read(&self) -> Result<Option<Lease>, ClusterError> {
        self.cluster.get::<Lease>(&self.key).await
    }

    async fn make(&self, lease: &Lease) -> Result<Lease, ClusterError> {
        self.cluster.create::<Lease>(lease).await
    }

    async fn replace(&self, lease: &Lease) -> Result<Lease, ClusterError> {
        self.cluster.update::<Lease>(lease).await
    }
}

/// Takes part in the election.
pub struct Elector<L> {
    leases: L,
    key: ObjectKey,
    me: String,
    claim: Claim,
    seen: Seen,
    /// As this one wrote it last, while nobody else did: renewed without being read.
    own: Option<Lease>,
    /// Whether this very process has led.
    led: bool,
    /// When it gave up what an earlier process of its name held.
    offered: Option<Instant>,
}

impl Elector<InCluster> {
    /// `cluster` must be one that may always write.
    pub fn in_cluster(cluster: Cluster, key: ObjectKey, me: String, claim: Claim) -> Self {
        let leases = InCluster {
            cluster,
            key: key.clone(),
        };
        Self::new(leases, key, me, claim)
    }
}

impl<L: Leases> Elector<L> {
    /// `claim` is held while this one leads.
    pub fn new(leases: L, key: ObjectKey, me: String, claim: Claim) -> Self {
        let seen = Seen {
            record: None,
            since: Instant::now(),
        };
        Self {
            leases,
            key,
            me,
            claim,
            seen,
            own: None,
            led: false,
            offered: None,
        }
    }

    /// Until `stop`; says in `leading` what changed. The claim stays as it is at the end: what still writes may finish first, and
    /// then calls [`Self::release`].
    pub async fn run(&mut self, leading: &watch::Sender<bool>, stop: &CancellationToken) {
        loop {
            self.once().await;
            leading.send_if_modified(|old| std::mem::replace(old, self.claim.holds()) != self.claim.holds());
            tokio::select! {
                () = stop.cancelled() => return,
                () = sleep(RETRY_PERIOD) => {}
            }
        }
    }

    /// Lets the next one lead at once.
    pub async fn release(&mut self) {
        if !self.claim.holds() {
            return;
        }
        self.claim.give_up();
        if let Ok(Ok(Some(lease))) = timeout(ATTEMPT_TIMEOUT, self.leases.read()).await
            && record(&lease).holder == self.me
        {
            let released = self.written(Some(lease), "", RELEASED);
            if let Err(error) = self.leases.replace(&released).await {
                tracing::warn!(%error, "lease not released; the next leader waits for it to run out");
            }
        }
    }

    async fn once(&mut self) {
        let start = Instant::now();
        match timeout(ATTEMPT_TIMEOUT, self.attempt()).await {
            Ok(Ok(true)) => self.claim.hold_for(start, RENEW_DEADLINE),
            Ok(Ok(false)) => self.claim.give_up(),
            Ok(Err(error)) => tracing::warn!(lease = %self.key, %error, "lease neither taken nor renewed"),
            Err(_) => tracing::warn!(lease = %self.key, "the API server did not answer about the lease"),
        }
    }

    /// Whether this process holds the Lease.
    async fn attempt(&mut self) -> Result<bool, ClusterError> {
        // Taken: what comes of it is not known when the answer is lost.
        if let Some(own) = self.own.take() {
            match self
                .leases
                .replace(&self.written(Some(own), &self.me, LEASE_DURATION))
                .await
            {
                Ok(lease) => {
                    self.own = Some(lease);
                    return Ok(true);
                }
                // Somebody wrote it since, perhaps no more than a label.
                Err(error) if error.is_conflict() => {}
                Err(error) => return Err(error),
            }
        }
        let lease = self.leases.read().await?;
        let now = Instant::now();
        self.seen = self.seen.clone().update(lease.as_ref().map(record), now);
        let step = self.step(now);
        let done = match step {
            Step::Wait => return Ok(false),
            Step::Offer => {
                self.leases.replace(&self.written(lease, "", RELEASED)).await?;
                self.offered = Some(now);
                return Ok(false);
            }
            Step::Create => self.leases.make(&self.written(None, &self.me, LEASE_DURATION)).await,
            Step::Renew | Step::Take => {
                self.leases
                    .replace(&self.written(lease, &self.me, LEASE_DURATION))
                    .await
            }
        };
        match done {
            Ok(lease) => {
                self.led = true;
                self.own = Some(lease);
                Ok(true)
            }
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// What to do. A process that was started anew under its name has not heard what the pods have open, and one that waits has: that one is to lead.
    fn step(&self, now: Instant) -> Step {
        let is_offered = |at: Instant| now.saturating_duration_since(at) < OFFERED;
        match self.seen.step(&self.me, now) {
            Step::Renew if !self.led => Step::Offer,
            Step::Take if self.offered.is_some_and(is_offered) => Step::Wait,
            step => step,
        }
    }

    fn written(&self, old: Option<Lease>, holder: &str, duration: Duration) -> Lease {
        let now = MicroTime(Timestamp::now());
        let mut lease = old.unwrap_or_default();
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        if spec.holder_identity.as_deref() != Some(holder) && !holder.is_empty() {
            spec.acquire_time = Some(now.clone());
            spec.lease_transitions = Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
        }
        spec.holder_identity = Some(holder.into());
        spec.lease_duration_seconds = i32::try_from(duration.as_secs()).ok();
        spec.renew_time = Some(now);
        lease.metadata.name = Some(self.key.name.clone());
        lease.metadata.namespace = Some(self.key.namespace.clone());
        lease
    }
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.clone().unwrap_or_default();
    let seconds = spec.lease_duration_seconds.and_then(|s| u64::try_from(s).ok());
    Record {
        holder: spec.holder_identity.unwrap_or_default(),
        version: lease.metadata.resource_version.clone().unwrap_or_default(),
        duration: seconds.map_or(LEASE_DURATION, Duration::from_secs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use parking_lot::Mutex;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A Lease as an API server keeps it; one side of it can be cut off.
    #[derive(Clone, Default)]
    struct Kept {
        lease: Arc<Mutex<Option<Lease>>>,
        cut: Arc<AtomicBool>,
    }

    impl Kept {
        fn reached(&self) -> Result<(), ClusterError> {
            if self.cut.load(Ordering::Relaxed) {
                return Err(ClusterError::Timeout);
            }
            Ok(())
        }

        fn store(&self, lease: &Lease, expected: Option<&str>) -> Result<Lease, ClusterError> {
            self.reached()?;
            let mut kept = self.lease.lock();
            let version = kept.as_ref().and_then(|l| l.metadata.resource_version.clone());
            if version.as_deref() != expected {
                return Err(ClusterError::Refused {
                    code: 409,
                    message: "changed since".into(),
                });
            }
            let next = version
                .and_then(|v| v.parse::<u64>().ok())
                .map_or(1, |v| v.saturating_add(1));
            let mut lease = lease.clone();
            lease.metadata.resource_version = Some(next.to_string());
            *kept = Some(lease.clone());
            Ok(lease)
        }
    }

    impl Leases for Kept {
        async fn read(&self) -> Result<Option<Lease>, ClusterError> {
            self.reached()?;
            Ok(self.lease.lock().clone())
        }
        async fn make(&self, lease: &Lease) -> Result<Lease, ClusterError> {
            self.store(lease, None)
        }
        async fn replace(&self, lease: &Lease) -> Result<Lease, ClusterError> {
            self.store(lease, lease.metadata.resource_version.as_deref())
        }
    }

    fn elector(kept: &Kept, me: &str) -> Elector<Kept> {
        Elector::new(kept.clone(), ObjectKey::new("n", "l"), me.into(), Claim::none())
    }

    async fn pass(seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn one_leads_and_the_other_waits() {
        let kept = Kept::default();
        let (mut a, mut b) = (elector(&kept, "a"), elector(&kept, "b"));
        a.once().await;
        b.once().await;
        assert!(a.claim.holds() && !b.claim.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_is_cut_off_stops_before_the_other_starts() {
        let kept = Kept::default();
        let (mut a, mut b) = (elector(&kept, "a"), elector(&kept, "b"));
        a.leases.cut = Arc::default();
        a.once().await;
        b.once().await;
        a.leases.cut.store(true, Ordering::Relaxed);
        let mut both = 0;
        for _ in 0..20 {
            pass(1).await;
            a.once().await;
            b.once().await;
            both += i32::from(a.claim.holds() && b.claim.holds());
        }
        assert_eq!(both, 0);
        assert!(b.claim.holds());
        a.leases.cut.store(false, Ordering::Relaxed);
        a.once().await;
        assert!(!a.claim.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_released_lease_is_taken_at_once() {
        let kept = Kept::default();
        let (mut a, mut b) = (elector(&kept, "a"), elector(&kept, "b"));
        a.once().await;
        b.once().await;
        a.release().await;
        b.once().await;
        assert!(!a.claim.holds() && b.claim.holds());
        let transitions = kept
            .lease
            .lock()
            .as_ref()
            .and_then(|l| l.spec.clone()?.lease_transitions);
        assert_eq!(transitions, Some(2));
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_that_was_overtaken_finds_out_by_its_own_renewal() {
        let kept = Kept::default();
        let (mut a, mut b) = (elector(&kept, "a"), elector(&kept, "b"));
        a.once().await;
        b.once().await;
        pass(9).await;
        b.once().await;
        assert!(b.claim.holds());
        a.once().await;
        assert!(!a.claim.holds() && b.claim.holds());
    }

    #[tokio::test(start_paused = true)]
    async fn a_label_that_somebody_puts_on_the_lease_costs_nobody_the_lead() {
        let kept = Kept::default();
        let mut a = elector(&kept, "a");
        a.once().await;
        let labelled = a.leases.read().await.unwrap().unwrap();
        a.leases.replace(&labelled).await.unwrap();
        a.once().await;
        assert!(a.claim.holds() && a.own.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_leader_whose_process_is_started_anew_leaves_the_lead_to_who_waits_and_takes_it_back_where_nobody_does() {
        for waits in [true, false] {
            let kept = Kept::default();
            let (mut a, mut b) = (elector(&kept, "a"), elector(&kept, "b"));
            a.once().await;
            b.once().await;
            let mut again = elector(&kept, "a");
            let mut took = 0;
            while !again.claim.holds() && took < 10 {
                again.once().await;
                if waits {
                    b.once().await;
                }
                pass(1).await;
                took += 1;
            }
            assert_eq!(
                (b.claim.holds(), again.claim.holds()),
                (waits && took == 10, !waits),
                "{waits}"
            );
            assert!(waits || took == 4, "after {took} looks");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn of_two_that_take_at_once_one_wins() {
        let kept = Kept::default();
        let (a, mut b) = (elector(&kept, "a"), elector(&kept, "b"));
        let old = a.leases.read().await.unwrap();
        b.once().await;
        let late = a.written(old, "a", LEASE_DURATION);
        assert!(a.leases.make(&late).await.unwrap_err().is_conflict());
    }
}
