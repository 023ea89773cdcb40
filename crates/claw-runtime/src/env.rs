use std::{
    any::type_name,
    collections::HashMap,
    fmt,
    fs::File,
    io::{self, Read},
    os::unix::fs::MetadataExt,
    str::FromStr,
    sync::Arc,
};

use parking_lot::Mutex;
use secrecy::SecretString;

/// The permissions that a secret file must not grant: others may do nothing with it, and the group may only read it.
const EXCESSIVE_MODE: u32 = 0o027;

/// The settings of a process: its environment variables, read once.
///
/// Each getter records the problem it finds, and each error lists the problems of all getters so far. So call
/// every getter first, and use `?` afterwards:
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
/// An empty value counts as absent, because a compose file passes an unset variable as an empty one.
#[derive(Clone)]
pub struct Env {
    values: Arc<HashMap<String, String>>,
    problems: Arc<Mutex<Vec<String>>>,
}

/// Settings are missing or wrong. Prints every problem recorded so far, each as `NAME: problem` on a line of
/// its own, and no secret.
#[derive(Clone)]
pub struct EnvError {
    problems: Arc<Mutex<Vec<String>>>,
}

impl Env {
    /// Reads the environment of this process. Values that are not Unicode count as absent.
    pub fn of_process() -> Self {
        let values = std::env::vars_os();
        Self::from_pairs(values.filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        }))
    }

    /// Creates an environment of these values, for tests.
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

    /// The value of `name`, which must be set.
    pub fn required(&self, name: &str) -> Result<String, EnvError> {
        self.values
            .get(name)
            .cloned()
            .ok_or_else(|| self.invalid(name, "required, but not set"))
    }

    /// The value of `name` as a `T`, which must be set.
    pub fn required_as<T: FromStr<Err: fmt::Display>>(&self, name: &str) -> Result<T, EnvError> {
        self.parse(name, &self.required(name)?)
    }

    /// The value of `name`, if it is set.
    pub fn optional(&self, name: &str) -> Option<String> {
        self.values.get(name).cloned()
    }

    /// The value of `name` as a `T`, or `default` if it is not set.
    pub fn or<T: FromStr<Err: fmt::Display>>(&self, name: &str, default: T) -> Result<T, EnvError> {
        match self.values.get(name) {
            Some(text) => self.parse(name, text),
            None => Ok(default),
        }
    }

    /// The secret in `name`, or in the file that `<name>_FILE` names. One of the two must be set, and the file
    /// must not be empty.
    pub fn secret(&self, name: &str) -> Result<SecretString, EnvError> {
        let file = file_of(name);
        self.optional_secret(name)?
            .ok_or_else(|| match self.values.get(&file) {
                Some(path) => self.invalid(&file, format_args!("the file {path} is empty")),
                None => self.invalid(
                    name,
                    format_args!("required, but neither {name} nor {file} is set"),
                ),
            })
    }

    /// The secret in `name`, or in the file that `<name>_FILE` names; `None` if neither is set or the file is
    /// empty. Line breaks at the end of the file are not part of the secret, because editors and `echo` add them.
    ///
    /// A file is refused if others may access it, or if its group may write it.
    pub fn optional_secret(&self, name: &str) -> Result<Option<SecretString>, EnvError> {
        let file = file_of(name);
        match (self.values.get(name), self.values.get(&file)) {
            (None, None) => Ok(None),
            (Some(value), None) => Ok(Some(value.as_str().into())),
            (None, Some(path)) => self.read_secret(&file, path),
            (Some(_), Some(_)) => {
                Err(self.invalid(name, format_args!("set either {name} or {file}, not both")))
            }
        }
    }

    /// Records a problem of `name`, for example "expected docker or external". It must not quote a secret.
    pub fn invalid(&self, name: &str, problem: impl fmt::Display) -> EnvError {
        self.problems.lock().push(format!("{name}: {problem}"));
        EnvError {
            problems: Arc::clone(&self.problems),
        }
    }

    /// Fails if a problem has been recorded.
    pub fn finish(&self) -> Result<(), EnvError> {
        if self.problems.lock().is_empty() {
            Ok(())
        } else {
            Err(EnvError {
                problems: Arc::clone(&self.problems),
            })
        }
    }

    fn parse<T: FromStr<Err: fmt::Display>>(&self, name: &str, text: &str) -> Result<T, EnvError> {
        text.trim()
            .parse()
            .map_err(|error| match expectation(type_name::<T>()) {
                Some(expectation) => self.invalid(name, expectation),
                None => self.invalid(name, error),
            })
    }

    fn read_secret(&self, file: &str, path: &str) -> Result<Option<SecretString>, EnvError> {
        let (mode, text) = open_and_read(path)
            .map_err(|error| self.invalid(file, format_args!("cannot read {path}: {error}")))?;
        if mode & EXCESSIVE_MODE != 0 {
            let problem = format_args!(
                "the file {path} has mode {mode:03o}, but only its owner may write it, and only its owner and \
                 group may read it: run `chmod 440` on it"
            );
            return Err(self.invalid(file, problem));
        }
        let secret = text.trim_end_matches(['\r', '\n']);
        Ok((!secret.is_empty()).then(|| secret.into()))
    }
}

/// The variable that names a file with the secret `name`.
fn file_of(name: &str) -> String {
    format!("{name}_FILE")
}

/// Reads a file's permissions and its text from one open file, so that both belong to the same file even if the
/// path is replaced meanwhile.
fn open_and_read(path: &str) -> io::Result<(u32, String)> {
    let mut file = File::open(path)?;
    let mode = file.metadata()?.mode() & 0o777;
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((mode, text))
}

/// Describes the valid values of a type of the standard library, because the errors of such types do not. The errors
/// of our own types do.
fn expectation(type_name: &str) -> Option<&'static str> {
    match type_name.rsplit("::").next()? {
        "u16" => Some("expected a whole number from 0 to 65535"),
        "u32" | "u64" | "usize" => Some("expected a whole number"),
        "NonZero<u32>" => Some("expected a whole number above 0"),
        "f64" => Some("expected a number"),
        "IpAddr" => Some("expected an IP address"),
        "SocketAddr" => Some("expected an IP address and a port, such as 127.0.0.1:8080"),
        _ => None,
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Env(…)")
    }
}

impl fmt::Display for EnvError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these settings are missing or wrong:")?;
        for problem in self.problems.lock().iter() {
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
    use std::{
        fs,
        net::{IpAddr, Ipv4Addr},
        os::unix::fs::PermissionsExt,
    };

    use secrecy::ExposeSecret;

    use super::*;

    const HOME: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const NOTHING: [(&str, &str); 0] = [];

    #[test]
    fn one_error_lists_every_problem() {
        let env = Env::from_pairs([("PORT", "threethousand"), ("HOST", "")]);

        let first = env.required("HOST");
        let _ = env.secret("TOKEN");
        let _ = env.or::<u16>("PORT", 80);

        assert_eq!(
            first.unwrap_err().to_string(),
            "these settings are missing or wrong:\n  HOST: required, but not set\n  \
             TOKEN: required, but neither TOKEN nor TOKEN_FILE is set\n  \
             PORT: expected a whole number from 0 to 65535"
        );
        assert!(env.finish().is_err());
    }

    #[test]
    fn a_setting_has_its_value_or_else_its_default() {
        let env = Env::from_pairs([("PORT", "3001"), ("HOST", "::1")]);

        assert_eq!(env.required_as::<u16>("PORT").unwrap(), 3001);
        assert_eq!(env.or("HOST", HOME).unwrap().to_string(), "::1");
        assert_eq!(env.or("ELSE", HOME).unwrap().to_string(), "127.0.0.1");
        assert_eq!(env.or("MODE", "plain".to_owned()).unwrap(), "plain");
        assert_eq!(env.optional("MODE"), None);
        assert!(env.finish().is_ok());
    }

    #[test]
    fn a_secret_in_a_file_ends_before_the_line_break() {
        let file = SecretFile::new("s3cret \r\n", 0o440);

        let secret = file.env().secret("TOKEN").unwrap();

        assert_eq!(secret.expose_secret(), "s3cret ");
    }

    #[test]
    fn the_error_names_a_secret_that_is_given_twice_or_cannot_be_read() {
        let twice = Env::from_pairs([("TOKEN", "hidden"), ("TOKEN_FILE", "/dev/null")]);
        let gone = Env::from_pairs([("TOKEN_FILE", "/nowhere/token")]);

        let twice = twice.secret("TOKEN").unwrap_err().to_string();
        assert!(
            twice.contains("TOKEN: set either TOKEN or TOKEN_FILE, not both"),
            "{twice}"
        );
        assert!(!twice.contains("hidden"), "{twice}");
        let gone = gone.secret("TOKEN").unwrap_err().to_string();
        assert!(
            gone.contains("TOKEN_FILE: cannot read /nowhere/token"),
            "{gone}"
        );
    }

    #[test]
    fn an_empty_file_holds_no_secret_which_is_an_error_only_if_the_secret_is_required() {
        for text in ["", "\n", "\r\n\n"] {
            let file = SecretFile::new(text, 0o440);

            assert!(file.env().optional_secret("TOKEN").unwrap().is_none());
            let error = file.env().secret("TOKEN").unwrap_err().to_string();
            let expected = format!("TOKEN_FILE: the file {} is empty", file.path());
            assert!(error.contains(&expected), "{error}");
        }
    }

    #[test]
    fn a_secret_file_that_others_may_access_or_its_group_may_write_is_refused() {
        for mode in [0o400, 0o440, 0o600, 0o640] {
            let file = SecretFile::new("s3cret", mode);

            assert!(file.env().secret("TOKEN").is_ok(), "{mode:o}");
        }
        for mode in [0o444, 0o442, 0o441, 0o460, 0o644, 0o666] {
            for text in ["s3cret", ""] {
                let file = SecretFile::new(text, mode);

                let error = file.env().optional_secret("TOKEN").unwrap_err().to_string();

                let problem = format!("the file {} has mode {mode:o}", file.path());
                assert!(error.contains(&problem), "{error}");
                assert!(error.contains("run `chmod 440` on it"), "{error}");
                assert!(!error.contains("s3cret"), "{error}");
            }
        }
    }

    #[test]
    fn an_optional_secret_need_not_be_set() {
        assert!(
            Env::from_pairs(NOTHING)
                .optional_secret("TOKEN")
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn the_debug_format_of_an_environment_contains_no_value() {
        let env = Env::from_pairs([("TOKEN", "hidden")]);

        assert_eq!(format!("{env:?}"), "Env(…)");
    }

    struct SecretFile {
        directory: tempfile::TempDir,
    }

    impl SecretFile {
        fn new(text: &str, mode: u32) -> Self {
            let file = Self {
                directory: tempfile::tempdir().unwrap(),
            };
            fs::write(file.path(), text).unwrap();
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            file
        }

        fn path(&self) -> String {
            self.directory.path().join("token").display().to_string()
        }

        fn env(&self) -> Env {
            Env::from_pairs([("TOKEN_FILE", self.path())])
        }
    }
}
