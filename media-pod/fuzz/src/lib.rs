//! Every parser of bytes that come from outside, as a function that takes any bytes at all.
//!
//! `cargo test -p headgate-fuzz` feeds each its seeds with bytes changed, cut and inserted, on stable Rust. `cargo e2e fuzz` does the
//! same for as long as one likes with libFuzzer, which sees what code was reached: the programs for that are in `libfuzzer/`.
//! A target fails by a panic, by a statement that does not hold, or by memory beyond what the parser's limits allow.

mod containers;
mod hooks;
mod http;
mod proxy;
mod rtmp;
mod seeds;
mod sets;

/// A parser to feed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Feeds it.
    pub run: fn(&[u8]),
    /// Good inputs, to begin with.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All of them.
pub const TARGETS: &[Target] = &[
    Target {
        name: "parameter_sets",
        run: sets::parameter_sets,
        seeds: seeds::parameter_sets,
    },
    Target {
        name: "flv_tags",
        run: containers::flv_tags,
        seeds: seeds::flv,
    },
    Target {
        name: "mpegts",
        run: containers::mpegts,
        seeds: seeds::mpegts,
    },
    Target {
        name: "fmp4",
        run: containers::fmp4,
        seeds: seeds::fmp4,
    },
    Target {
        name: "amf",
        run: rtmp::amf,
        seeds: seeds::amf,
    },
    Target {
        name: "rtmp_chunks",
        run: rtmp::chunks,
        seeds: seeds::rtmp_chunks,
    },
    Target {
        name: "rtmp_server",
        run: rtmp::server,
        seeds: seeds::rtmp_client,
    },
    Target {
        name: "rtmp_client",
        run: rtmp::client,
        seeds: seeds::rtmp_server,
    },
    Target {
        name: "rtmp_url",
        run: rtmp::url,
        seeds: seeds::urls,
    },
    Target {
        name: "http_path",
        run: http::path,
        seeds: seeds::paths,
    },
    Target {
        name: "websocket",
        run: http::websocket,
        seeds: seeds::websocket,
    },
    Target {
        name: "proxy_header",
        run: proxy::header,
        seeds: seeds::proxy_headers,
    },
    Target {
        name: "hook_answer",
        run: hooks::answer,
        seeds: seeds::answers,
    },
];

/// Feeds the target of this name; nothing happens when there is none.
pub fn run(name: &str, data: &[u8]) {
    if let Some(target) = TARGETS.iter().find(|target| target.name == name) {
        (target.run)(data);
    }
}

/// Cuts data into pieces as a socket might: the first byte says how long each is.
fn pieces(data: &[u8]) -> impl Iterator<Item = &[u8]> {
    let (length, rest) = match data.split_first() {
        Some((first, rest)) => (usize::from(*first).saturating_mul(7).max(1), rest),
        None => (1, data),
    };
    rest.chunks(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::Index;
    use proptest::test_runner::{Config, TestRunner};

    const CASES: u32 = 2_000;

    type Edit = (Index, u8, u8);

    fn edited(mut data: Vec<u8>, edits: &[Edit]) -> Vec<u8> {
        for (at, byte, how) in edits {
            let at = at.index(data.len().max(1));
            match how {
                0 | 1 if at < data.len() => data[at] = *byte,
                2 => data.truncate(at),
                _ => data.insert(at.min(data.len()), *byte),
            }
        }
        data
    }

    #[test]
    fn every_target_takes_its_seeds_and_what_they_become() {
        for target in TARGETS {
            let seeds = (target.seeds)();
            assert!(!seeds.is_empty(), "{} has no seed", target.name);
            for seed in &seeds {
                (target.run)(seed);
            }
            let edits = prop::collection::vec((any::<Index>(), any::<u8>(), 0..5_u8), 0..6);
            let mut runner = TestRunner::new(Config {
                failure_persistence: None,
                ..Config::with_cases(CASES)
            });
            let ran = runner.run(&(prop::sample::select(seeds), edits), |(seed, edits)| {
                (target.run)(&edited(seed, &edits));
                Ok(())
            });
            assert!(ran.is_ok(), "{}: {ran:?}", target.name);
        }
    }

    #[test]
    fn every_target_has_a_program_of_libfuzzer() {
        let manifest = include_str!("../libfuzzer/Cargo.toml");
        for target in TARGETS {
            assert!(
                manifest.contains(&format!("name = \"{}\"", target.name)),
                "libfuzzer/Cargo.toml lacks {}",
                target.name
            );
        }
    }
}
