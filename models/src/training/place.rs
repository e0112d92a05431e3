//! The place of a process among several that train one network together.
//!
//! Whoever starts them, `torchrun` say, tells each its place in the variables `RANK`, `WORLD_SIZE`, `LOCAL_RANK`, `MASTER_ADDR` and `MASTER_PORT`.

use thiserror::Error;

/// Port where `MASTER_PORT` is not set, as with `torchrun`.
const PORT: u16 = 29500;

/// Place of a process among those that train together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Number of this process, from 0.
    pub rank: usize,
    /// Number of processes, at least 2.
    pub size: usize,
    /// Number of this process on its machine, from 0.
    pub local_rank: usize,
    /// Machine that the processes meet at.
    pub host: String,
    /// Port there.
    pub port: u16,
    /// Whether process 0 opens that port; else somebody else has.
    pub serves: bool,
    /// How often the processes were started again.
    pub attempt: usize,
}

/// A variable of the environment that says nothing useful.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("environment variable `{name}` is {}, expected {expected}", value.as_ref().map_or_else(|| "not set".to_owned(), |value| format!("`{value}`")))]
pub struct PlaceError {
    /// Its name.
    pub name: &'static str,
    /// Its value, if it is set.
    pub value: Option<String>,
    /// What was expected.
    pub expected: &'static str,
}

impl Place {
    /// Reads the variables of `torchrun`; nothing without `WORLD_SIZE`, or where it is 1.
    ///
    /// # Errors
    ///
    /// [`PlaceError`] for the first that is missing or no such number.
    pub fn read(variable: impl Fn(&'static str) -> Option<String>) -> Result<Option<Self>, PlaceError> {
        let refuse = |name, value, expected| PlaceError { name, value, expected };
        let number = |name, default: Option<usize>, expected| match variable(name) {
            Some(value) => value.parse().map_err(|_| refuse(name, Some(value), expected)),
            None => default.ok_or_else(|| refuse(name, None, expected)),
        };
        let positive = "a number of processes";
        let size = number("WORLD_SIZE", Some(1), positive)?;
        if size == 0 || i32::try_from(size).is_err() {
            return Err(refuse("WORLD_SIZE", Some(size.to_string()), positive));
        }
        if size == 1 {
            return Ok(None);
        }
        let below = "a number below `WORLD_SIZE`";
        let ranked = |name, default| match number(name, default, below)? {
            rank if rank < size => Ok(rank),
            rank => Err(refuse(name, Some(rank.to_string()), below)),
        };
        let port = number("MASTER_PORT", Some(PORT.into()), "a port")?;
        let host = "the name of a machine";
        Ok(Some(Self {
            rank: ranked("RANK", None)?,
            size,
            local_rank: ranked("LOCAL_RANK", Some(0))?,
            host: variable("MASTER_ADDR")
                .filter(|name| !name.is_empty() && !name.contains('\0'))
                .ok_or_else(|| refuse("MASTER_ADDR", variable("MASTER_ADDR"), host))?,
            port: u16::try_from(port).map_err(|_| refuse("MASTER_PORT", Some(port.to_string()), "a port"))?,
            serves: variable("TORCHELASTIC_USE_AGENT_STORE").is_none_or(|value| value != "True"),
            attempt: number("TORCHELASTIC_RESTART_COUNT", Some(0), "a count")?,
        }))
    }

    /// Reads the variables of this process; as [`Place::read`].
    ///
    /// # Errors
    ///
    /// As [`Place::read`].
    pub fn of_environment() -> Result<Option<Self>, PlaceError> {
        Self::read(|name| std::env::var(name).ok())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn read(pairs: &[(&'static str, &'static str)]) -> Result<Option<Place>, PlaceError> {
        let map: HashMap<&str, &str> = pairs.iter().copied().collect();
        Place::read(|name| map.get(name).map(|value| (*value).to_owned()))
    }

    const LEAST: [(&str, &str); 3] = [("WORLD_SIZE", "2"), ("RANK", "1"), ("MASTER_ADDR", "127.0.0.1")];

    #[test]
    fn variables_are_read() {
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&[("WORLD_SIZE", "1"), ("RANK", "0")]), Ok(None));
        let least = Place {
            rank: 1,
            size: 2,
            local_rank: 0,
            host: "127.0.0.1".to_owned(),
            port: 29500,
            serves: true,
            attempt: 0,
        };
        assert_eq!(read(&LEAST), Ok(Some(least.clone())));
        let all = [
            ("LOCAL_RANK", "1"),
            ("MASTER_PORT", "4000"),
            ("TORCHELASTIC_USE_AGENT_STORE", "True"),
            ("TORCHELASTIC_RESTART_COUNT", "2"),
        ];
        let expected = Place {
            local_rank: 1,
            port: 4000,
            serves: false,
            attempt: 2,
            ..least
        };
        assert_eq!(read(&[LEAST.as_slice(), &all].concat()), Ok(Some(expected)));
    }

    #[test]
    fn variables_are_refused_by_name() {
        for (name, value) in [
            ("WORLD_SIZE", "0"),
            ("WORLD_SIZE", "two"),
            ("WORLD_SIZE", "9999999999"),
            ("RANK", "2"),
            ("RANK", "-1"),
            ("LOCAL_RANK", "2"),
            ("MASTER_PORT", "65536"),
            ("MASTER_ADDR", ""),
        ] {
            let refused = read(&[LEAST.as_slice(), &[(name, value)]].concat()).unwrap_err();
            assert_eq!(refused.name, name, "{refused}");
            assert!(refused.to_string().contains(&format!("`{value}`")), "{refused}");
        }
        for (missing, rest) in [("MASTER_ADDR", &LEAST[..2]), ("RANK", &[LEAST[0], LEAST[2]])] {
            let refused = read(rest).unwrap_err().to_string();
            assert!(refused.contains(&format!("`{missing}` is not set")), "{refused}");
        }
    }
}
