use std::{
    any::type_name,
    collections::HashMap,
    fmt, fs,
    str::FromStr,
    sync::{Arc, Mutex, PoisonError},
};

use secrecy::SecretString;

/// The settings a process was started with, read once.
///
/// Each getter writes down what it misses; the error of any of them, once shown, lists the misses of
/// all. So ask for everything first and use `?` afterwards:
///
/// ```
/// # use claw_runtime::Env;
/// # let env = Env::from_pairs([("BUS_URL", "nats://bus")]);
/// let url = env.required("BUS_URL");
/// let grace = env.or("GRACE_SECONDS", 20_u64);
/// # fn config(url: Result<String, claw_runtime::EnvError>, grace: Result<u64, claw_runtime::EnvError>)
/// # -> Result<(String, u64), claw_runtime::EnvError> {
/// Ok((url?, grace?))
/// # }
/// # assert_eq!(config(url, grace).unwrap(), ("nats://bus".to_owned(), 20));
/// ```
///
/// An empty value counts as absent: that is what a compose file makes of an unset variable.
#[derive(Clone)]
pub struct Env {
    values: Arc<HashMap<String, String>>,
    problems: Arc<Mutex<Vec<String>>>,
}

/// The settings are missing or wrong. Shows every problem found up to the moment it is shown, by name,
/// and never a secret's value.
#[derive(Clone)]
pub struct EnvError {
    problems: Arc<Mutex<Vec<String>>>,
}

impl Env {
    /// The environment of this process. Values that are not Unicode count as absent.
    pub fn of_process() -> Self {
        let values = std::env::vars_os();
        Self::from_pairs(values.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// An environment of these values, for tests.
    pub fn from_pairs<N: Into<String>, V: Into<String>>(
        pairs: impl IntoIterator<Item = (N, V)>,
    ) -> Self {
        let values = pairs
            .into_iter()
            .map(|(name, value)| (name.into(), value.into()));
        Self {
            values: Arc::new(
                values
                    .filter(|(_, value): &(_, String)| !value.is_empty())
                    .collect(),
            ),
            problems: Arc::default(),
        }
    }

    /// The text of `name`, which must be there.
    pub fn required(&self, name: &str) -> Result<String, EnvError> {
        self.values
            .get(name)
            .cloned()
            .ok_or_else(|| self.invalid(name, "is not set"))
    }

    /// The value of `name`, which must be there and read as a `T`.
    pub fn required_as<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, EnvError> {
        self.parse(name, &self.required(name)?)
    }

    /// The text of `name`, if it is there.
    pub fn optional(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// The value of `name` as a `T`, or `default` when it is absent.
    pub fn or<T: FromStr<Err: fmt::Display>>(&self, name: &str, default: T) -> Result<T, EnvError> {
        match self.values.get(name) {
            Some(text) => self.parse(name, text),
            None => Ok(default),
        }
    }

    /// The secret `name`, or what the file at `<name>_FILE` holds; one of the two must be there.
    pub fn secret(&self, name: &str) -> Result<SecretString, EnvError> {
        self.optional_secret(name)?
            .ok_or_else(|| self.invalid(name, format_args!("is not set, nor is {name}_FILE")))
    }

    /// The secret `name`, or what the file at `<name>_FILE` holds, if either is there. Line ends after
    /// the secret are no part of it: editors and `echo` add them.
    pub fn optional_secret(&self, name: &str) -> Result<Option<SecretString>, EnvError> {
        let file = format!("{name}_FILE");
        match (self.values.get(name), self.values.get(&file)) {
            (None, None) => Ok(None),
            (Some(value), None) => Ok(Some(value.as_str().into())),
            (None, Some(path)) => self.read_secret(&file, path).map(Some),
            (Some(_), Some(_)) => Err(self.invalid(name, format_args!("and {file} are both set"))),
        }
    }

    /// Writes down that `name` will not do: reads on after the name, as in `PORT` "is not set".
    /// `problem` must not quote a secret.
    pub fn invalid(&self, name: &str, problem: impl fmt::Display) -> EnvError {
        self.problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(format!("{name} {problem}"));
        EnvError {
            problems: Arc::clone(&self.problems),
        }
    }

    /// Fails if anything asked for so far was missing or wrong.
    pub fn finish(&self) -> Result<(), EnvError> {
        if self
            .problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
        {
            Ok(())
        } else {
            Err(EnvError {
                problems: Arc::clone(&self.problems),
            })
        }
    }

    fn parse<T: FromStr<Err: fmt::Display>>(&self, name: &str, text: &str) -> Result<T, EnvError> {
        text.trim().parse().map_err(|error| {
            self.invalid(
                name,
                format_args!("is not a {}: {error}", short_name::<T>()),
            )
        })
    }

    fn read_secret(&self, file: &str, path: &str) -> Result<SecretString, EnvError> {
        let text = fs::read_to_string(path)
            .map_err(|error| self.invalid(file, format_args!("cannot be read: {error}")))?;
        let secret = text.trim_end_matches(['\r', '\n']);
        if secret.is_empty() {
            return Err(self.invalid(file, "names an empty file"));
        }
        Ok(secret.into())
    }
}

/// `u16` for `u16`, `IpAddr` for `core::net::ip_addr::IpAddr`.
fn short_name<T>() -> &'static str {
    let name = type_name::<T>();
    name.rsplit("::").next().unwrap_or(name)
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env(…)")
    }
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the settings will not do")?;
        for problem in self
            .problems
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
        {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for EnvError {}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use secrecy::ExposeSecret;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const NOTHING: [(&str, &str); 0] = [];

    #[test]
    fn every_missing_name_stands_in_one_error() {
        let env = Env::from_pairs([("PORT", "threethousand"), ("HOST", "")]);

        let first = env.required("HOST");
        let _ = env.secret("TOKEN");
        let _ = env.or::<u16>("PORT", 80);

        assert_eq!(
            first.unwrap_err().to_string(),
            "the settings will not do\n  HOST is not set\n  TOKEN is not set, nor is TOKEN_FILE\n  \
             PORT is not a u16: invalid digit found in string"
        );
        assert!(env.finish().is_err());
    }

    #[test]
    fn what_is_there_is_read_and_what_is_not_has_its_default() {
        let env = Env::from_pairs([("PORT", "3001"), ("HOST", "::1")]);

        assert_eq!(env.required_as::<u16>("PORT").unwrap(), 3001);
        assert_eq!(env.or("HOST", HOME).unwrap().to_string(), "::1");
        assert_eq!(env.or("ELSE", HOME).unwrap().to_string(), "127.0.0.1");
        assert_eq!(env.or("MODE", "plain".to_owned()).unwrap(), "plain");
        assert_eq!(env.optional("MODE"), None);
        assert!(env.finish().is_ok());
    }

    #[test]
    fn a_secret_in_a_file_ends_before_its_line_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        fs::write(&path, "s3cret \r\n").unwrap();
        let env = Env::from_pairs([("TOKEN_FILE", path.to_str().unwrap())]);

        assert_eq!(env.secret("TOKEN").unwrap().expose_secret(), "s3cret ");
    }

    #[test]
    fn a_secret_given_twice_or_by_an_unreadable_file_is_refused_by_name() {
        let twice = Env::from_pairs([("TOKEN", "hidden"), ("TOKEN_FILE", "/dev/null")]);
        let gone = Env::from_pairs([("TOKEN_FILE", "/nowhere/token")]);
        let empty = Env::from_pairs([("TOKEN_FILE", "/dev/null")]);

        let twice = twice.secret("TOKEN").unwrap_err().to_string();
        assert!(
            twice.contains("TOKEN and TOKEN_FILE are both set"),
            "{twice}"
        );
        assert!(!twice.contains("hidden"), "{twice}");
        let gone = gone.secret("TOKEN").unwrap_err().to_string();
        assert!(gone.contains("TOKEN_FILE cannot be read"), "{gone}");
        let empty = empty.optional_secret("TOKEN").unwrap_err().to_string();
        assert!(empty.contains("TOKEN_FILE names an empty file"), "{empty}");
    }

    #[test]
    fn an_optional_secret_may_be_absent() {
        assert!(
            Env::from_pairs(NOTHING)
                .optional_secret("TOKEN")
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn an_environment_does_not_print_its_values() {
        let env = Env::from_pairs([("TOKEN", "hidden")]);

        assert_eq!(format!("{env:?}"), "Env(…)");
    }
}
