//! The names that a playlist gives to what it consists of.

use crate::{Config, Container};
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// A file that a playlist names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum File {
    /// The initialisation segment of this number.
    Init(u64),
    /// The segment with this media sequence number.
    Segment(u64),
    /// One of its parts, from zero.
    Part(u64, u64),
}

impl File {
    /// From the last part of a path; `None` for a name that is not of this run and container.
    pub fn parse(name: &str, config: &Config) -> Option<Self> {
        let rest = name.strip_prefix(config.run.as_str())?.strip_prefix('-')?;
        if let Some(number) = rest.strip_prefix("init") {
            return number.strip_suffix(".mp4").and_then(number_of).map(Self::Init);
        }
        let (tag, stem) = rest.strip_suffix(extension(config.container))?.split_once('-')?;
        let file = match stem.split_once('.') {
            Some((segment, part)) => Self::Part(number_of(segment)?, number_of(part)?),
            None => Self::Segment(number_of(stem)?),
        };
        let (Self::Init(number) | Self::Segment(number) | Self::Part(number, _)) = file;
        (tag == tag_of(number, config)).then_some(file)
    }

    /// As it stands in the playlist.
    pub(crate) fn put(self, out: &mut String, config: &Config) {
        let (prefix, run, end) = (&config.prefix, &config.run, extension(config.container));
        // Writing to memory does not fail.
        let _ = match self {
            Self::Init(number) => write!(out, "{prefix}{run}-init{number}.mp4"),
            Self::Segment(number) => write!(out, "{prefix}{run}-{}-{number}{end}", tag_of(number, config)),
            Self::Part(number, part) => {
                write!(out, "{prefix}{run}-{}-{number}.{part}{end}", tag_of(number, config))
            }
        };
    }

    /// The MIME type.
    pub fn content_type(self, config: &Config) -> &'static str {
        match config.container {
            Container::Ts => "video/mp2t",
            Container::Fmp4 => "video/mp4",
        }
    }
}

/// Bytes of a tag.
const TAG: usize = 6;

/// What a segment's name holds that cannot be guessed from the names of others: who gets no playlist any more finds no segment any more.
fn tag_of(number: u64, config: &Config) -> String {
    let hash = Sha256::new_with_prefix(config.secret).chain_update(number.to_be_bytes());
    let hash: [u8; 32] = hash.finalize().into();
    hex::encode(hash.get(..TAG).unwrap_or_default())
}

fn extension(container: Container) -> &'static str {
    match container {
        Container::Ts => ".ts",
        Container::Fmp4 => ".m4s",
    }
}

/// Digits only, and no others than those that are written.
fn number_of(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_understood_and_nothing_else() {
        for container in [Container::Ts, Container::Fmp4] {
            let config = Config::new(container, "alice/", "k3");
            for file in [File::Init(7), File::Segment(0), File::Part(12, 3)] {
                let mut name = String::new();
                file.put(&mut name, &config);
                assert_eq!(File::parse(name.strip_prefix("alice/").unwrap(), &config), Some(file));
            }
        }
        let config = Config::new(Container::Ts, "", "k3");
        let tag = tag_of(1, &config);
        for bad in [
            format!("k3-{tag}-01.ts"),
            format!("k3-{tag}-+1.ts"),
            format!("k4-{tag}-1.ts"),
            format!("k3-{tag}-1.m4s"),
            format!("k3-{tag}-1.2.3.ts"),
            format!("k3-{tag}-.ts"),
            "k3-1.ts".to_owned(),
            "k3".to_owned(),
            String::new(),
            "k3-init.mp4".to_owned(),
        ] {
            assert_eq!(File::parse(&bad, &config), None, "{bad}");
        }
    }

    #[test]
    fn who_knows_one_name_does_not_know_the_next() {
        let config = Config {
            secret: [7; 16],
            ..Config::new(Container::Ts, "", "k3")
        };
        let name = |number| format!("k3-{}-{number}.ts", tag_of(1, &config));
        assert_eq!(File::parse(&name(1), &config), Some(File::Segment(1)));
        assert_eq!(File::parse(&name(2), &config), None);
        let other = Config {
            secret: [8; 16],
            ..config.clone()
        };
        assert_eq!(File::parse(&name(1), &other), None, "another run's name");
    }
}
