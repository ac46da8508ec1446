//! What the operator does when its API server does not do what it should: a real etcd and kube-apiserver, a proxy before it that fails on
//! purpose, the operator's binary, and media pods that are played.
//!
//! The same life of a media server is lived again and again. The operator is killed after its n-th write, whose answer it never sees, for
//! every n; or it is refused, kept waiting, and cut off from its watches all the while. Each time everything must come to the same end,
//! nothing may be left behind, and no publisher may be cut.

mod census;
mod life;
mod operator;

use super::operator_scale::control_plane::ControlPlane;
use super::operator_scale::fleet::Fleet;
use super::operator_scale::identity;
use crate::ensure;
use crate::error::{Context as _, Error, Result};
use crate::proxy::{ApiProxy, Faults};
use crate::tools::paths::{Paths, out, read};
use crate::ui::{say, seconds, step};
use census::Census;
use futures::{StreamExt as _, stream};
use life::Life;
use operator::Operator;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio_util::task::AbortOnDropHandle;

/// Lives at one time.
const AT_ONCE: usize = 6;
/// Beside those of another bench.
const FIRST_ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 78, 0, 1);
/// A life that takes longer has failed.
const LIMIT: Duration = Duration::from_mins(4);

/// What goes wrong all the while, by name.
const TROUBLES: &[(&str, Faults)] = &[
    (
        "conflicts",
        Faults {
            conflict_every: 3,
            ..Faults::NONE
        },
    ),
    (
        "busy",
        Faults {
            busy_every: 4,
            ..Faults::NONE
        },
    ),
    (
        "dropped-watches",
        Faults {
            watch_max: Some(Duration::from_millis(700)),
            gone_every: 3,
            ..Faults::NONE
        },
    ),
    (
        "slow",
        Faults {
            delay: Duration::from_millis(300),
            ..Faults::NONE
        },
    ),
    (
        "all-at-once",
        Faults {
            conflict_every: 5,
            busy_every: 7,
            delay: Duration::from_millis(100),
            watch_max: Some(Duration::from_secs(2)),
            gone_every: 4,
            ..Faults::NONE
        },
    ),
];

/// What all lives share.
struct Stage {
    plane: ControlPlane,
    client: kube::Client,
    fleet: Arc<Fleet>,
    authority: String,
    identity: String,
    program: PathBuf,
}

/// What came of one life.
struct Lived {
    census: Census,
    /// The operator's writes, up to the one after which it was killed.
    writes: Vec<String>,
}

/// Lives with a kill after every write, or after one in so many, and with each trouble.
pub async fn run(paths: &Paths, program: &Path, one_in: usize) -> Result<()> {
    // The first provider that rustls is given is the one it takes.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let stage = Stage::set(paths, program).await?;
    let _pods = AbortOnDropHandle::new(tokio::spawn(stage.fleet.clone().play()));
    let plain = step("a life without faults", stage.live("plain", Faults::NONE)).await?;
    let kills: Vec<usize> = (1..=plain.writes.len()).step_by(one_in.max(1)).collect();
    let what = format!(
        "{} lives in trouble, {} killed after a write of {}",
        TROUBLES.len(),
        kills.len(),
        plain.writes.len()
    );
    let troubled = TROUBLES.iter().map(|(name, faults)| ((*name).to_owned(), *faults));
    let killed = |n: usize| {
        let faults = Faults {
            cut_after: Some(n),
            ..Faults::NONE
        };
        (format!("killed-{n}"), faults)
    };
    let lives = troubled.chain(kills.into_iter().map(killed));
    step(what, stage.all(&plain, lives)).await
}

impl Stage {
    async fn set(paths: &Paths, program: &Path) -> Result<Self> {
        let plane = ControlPlane::start(paths).await?;
        step("definitions", identity::install(&plane, program)).await?;
        let client = plane.client().await?;
        let pki = |file: &str| read(&plane.at(&format!("pki/{file}")));
        Ok(Self {
            fleet: Fleet::from_address(client.clone(), FIRST_ADDRESS),
            authority: pki("ca.pem")?,
            identity: pki("admin.pem")? + &pki("admin.key")?,
            program: program.to_owned(),
            client,
            plane,
        })
    }

    /// Some at a time; each must end as the plain one did.
    async fn all(&self, plain: &Lived, lives: impl Iterator<Item = (String, Faults)>) -> Result<()> {
        let lived = lives.map(|(name, faults)| async move {
            let begun = Instant::now();
            let outcome = self.live(&name, faults).await;
            (name, outcome, begun.elapsed())
        });
        let mut lived = stream::iter(lived).buffer_unordered(AT_ONCE);
        let (mut failed, mut slowest) = (Vec::new(), (Duration::ZERO, String::new()));
        while let Some((name, outcome, took)) = lived.next().await {
            let judged = outcome.and_then(|life| {
                let differs = plain.census.differences(&life.census);
                let last = life.writes.last().cloned().unwrap_or_default();
                ensure!(
                    differs.is_empty(),
                    "it ended otherwise (last write {last}): {}",
                    differs.join("\n  ")
                );
                Ok(())
            });
            if let Err(cause) = judged {
                say(format_args!("  {name} failed: {cause}"));
                failed.push(name.clone());
            }
            slowest = slowest.max((took, name));
        }
        say(format_args!("  the slowest was {}, {}", slowest.1, seconds(slowest.0)));
        ensure!(
            failed.is_empty(),
            "failed: {}; their logs are in {}",
            failed.join(", "),
            kept().display()
        );
        Ok(())
    }

    async fn live(&self, name: &str, faults: Faults) -> Result<Lived> {
        let log = self.plane.at(&format!("logs/operator-{name}.log"));
        let lived = tokio::time::timeout(LIMIT, self.lived(name, faults, &log)).await;
        let lived = lived.unwrap_or_else(|_| Err(Error::new(format!("it took longer than {LIMIT:?}"))));
        if lived.is_err() {
            std::fs::create_dir_all(kept()).context("keeping logs")?;
            std::fs::copy(&log, kept().join(format!("{name}.log"))).context("keeping a log")?;
        }
        lived
    }

    async fn lived(&self, name: &str, faults: Faults, log: &Path) -> Result<Lived> {
        let url = self.plane.url();
        let proxy = ApiProxy::start(&url, self.authority.as_bytes(), self.identity.as_bytes()).await?;
        proxy.set(faults);
        let life = Life {
            client: self.client.clone(),
            fleet: self.fleet.clone(),
            namespace: format!("life-{name}"),
        };
        let kubeconfig = self.plane.at(&format!("kubeconfig/{name}.yaml"));
        let setup = operator::Setup {
            program: &self.program,
            proxy: &proxy.url(),
            kubeconfig: &kubeconfig,
            log,
            namespace: &life.namespace,
        };
        let mut operator = Operator::start(&setup)?;
        let killed = async {
            proxy.is_cut().await;
            operator.kill().await?;
            let writes = proxy.writes();
            proxy.set(Faults::NONE);
            operator = Operator::start(&setup)?;
            Ok::<_, Error>(writes)
        };
        let (mut killed, mut lives) = (std::pin::pin!(killed), std::pin::pin!(life.run()));
        let (census, cut) = tokio::select! {
            census = &mut lives => (census?, None),
            writes = &mut killed => {
                let writes = writes?;
                let last = writes.last().cloned().unwrap_or_default();
                let census = lives.await;
                (census.context(format_args!("killed after {last}"))?, Some(writes))
            }
        };
        Ok(Lived {
            census,
            writes: cut.unwrap_or_else(|| proxy.writes()),
        })
    }
}

/// Where logs of lives that failed are kept.
fn kept() -> PathBuf {
    out().join("operator-faults")
}
