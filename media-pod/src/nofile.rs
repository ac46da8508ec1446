//! How many file descriptors the process may have.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What the process needs beside clients: back ends, peers, the operator, files, listeners.
const OWN: u64 = 1024;
/// At least so many are for clients, however few there are in all.
const CLIENTS_MIN: u64 = 64;
/// More are never needed.
const ENOUGH: u64 = 1 << 20;

/// Raises the limit to what the process may have at most. Says what it is then.
pub fn raise() -> u64 {
    let (soft, hard) = limits();
    let wanted = hard.min(ENOUGH).max(soft);
    if wanted > soft
        && let Err(error) = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard)
    {
        tracing::warn!(%error, soft, hard, "the limit of file descriptors cannot be raised");
    }
    limits().0
}

/// Connections of clients that there are descriptors for.
pub fn for_clients() -> usize {
    usize::try_from(share(limits().0)).unwrap_or(usize::MAX)
}

fn share(limit: u64) -> u64 {
    // Of a small limit a quarter stays back.
    let own = OWN.min(limit / 4);
    limit.saturating_sub(own).clamp(CLIENTS_MIN, ENOUGH)
}

fn limits() -> (u64, u64) {
    getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clients_get_what_the_process_does_not_need_itself() {
        assert_eq!([16, 1024, 20_000, 1 << 30].map(share), [64, 768, 18_976, ENOUGH]);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_may_be() {
        let (_, hard) = limits();
        assert_eq!(raise(), hard.min(ENOUGH).max(limits().0));
    }
}
