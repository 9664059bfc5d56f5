//! What a configuration option is: how it is described, and how its texts become a value.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, value_parser};

use crate::secret::Secret;

/// An option as users see it: on the command line, in the environment and in the documentation.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name in the code; the flag is the same with hyphens.
    pub name: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// What the option does.
    pub help: &'static str,
    /// What it accepts, in words.
    pub accepts: &'static str,
    /// The value that is used when none is given.
    pub default: Option<&'static str>,
    /// Whether several values may be given, separated by commas.
    pub list: bool,
    /// Whether the command refuses to run without it.
    pub required: bool,
    /// Whether its value must not be shown.
    pub secret: bool,
    /// The option that must be given with this one.
    pub needs: Option<&'static str>,
    /// The option that must not be given with this one.
    pub excludes: Option<&'static str>,
}

impl Entry {
    /// The flag, hyphens included.
    pub fn flag(&self) -> String {
        format!("--{}", self.name.replace('_', "-"))
    }

    /// How mistakes name the option.
    pub fn label(&self) -> String {
        format!("{} ({})", self.flag(), self.variable)
    }

    /// The argument for the command line. It takes any value: values are checked together later, so
    /// that all mistakes are reported at once.
    pub fn to_arg(&self) -> Arg {
        let arg = Arg::new(self.name)
            .long(self.name.replace('_', "-"))
            .env(self.variable)
            .hide_env_values(self.secret)
            .value_name(self.name.to_uppercase())
            .help(format!("{} [accepts: {}]", self.help, self.accepts))
            .required(self.required)
            .value_parser(value_parser!(OsString));
        let arg = match self.default {
            Some(default) => arg.default_value(default),
            None => arg,
        };
        if self.list {
            arg.action(ArgAction::Append).value_delimiter(',')
        } else {
            arg
        }
    }

    /// Whether a value is given. An empty one counts as none, and so does the default.
    pub(super) fn is_given(&self, matches: &ArgMatches) -> bool {
        matches.value_source(self.name) != Some(ValueSource::DefaultValue)
            && texts(matches, self.name)
                .iter()
                .any(|text| !text.is_empty())
    }
}

/// The texts that are given for an option, or its default.
fn texts(matches: &ArgMatches, name: &str) -> Vec<OsString> {
    matches
        .get_many::<OsString>(name)
        .map(|texts| texts.cloned().collect())
        .unwrap_or_default()
}

type Read<T> = Box<dyn Fn(&[OsString]) -> Result<T, Vec<String>>>;

/// An option, and how the texts given for it become its value.
pub struct ConfigOption<T> {
    entry: Entry,
    read: Read<T>,
}

impl<T> ConfigOption<T> {
    fn new(
        variable: &'static str,
        accepts: &'static str,
        read: impl Fn(&[OsString]) -> Result<T, Vec<String>> + 'static,
    ) -> Self {
        Self {
            entry: Entry {
                name: "",
                variable,
                help: "",
                accepts,
                default: None,
                list: false,
                required: false,
                secret: false,
                needs: None,
                excludes: None,
            },
            read: Box::new(read),
        }
    }

    /// Must be given together with the option `name` of the same group.
    pub fn needs(mut self, name: &'static str) -> Self {
        self.entry.needs = Some(name);
        self
    }

    /// Must not be given together with the option `name` of the same group.
    pub fn excludes(mut self, name: &'static str) -> Self {
        self.entry.excludes = Some(name);
        self
    }

    /// The value is a secret, or holds one.
    pub fn secret(mut self) -> Self {
        self.entry.secret = true;
        self
    }

    /// The value, or what is wrong with the texts that are given under `name`.
    pub(super) fn read(&self, matches: &ArgMatches, name: &str) -> Result<T, Vec<String>> {
        (self.read)(&texts(matches, name))
    }

    /// The entry under its name in the group.
    pub(super) fn named(self, name: &'static str, help: &'static str) -> Entry {
        Entry {
            name,
            help: help.trim(),
            ..self.entry
        }
    }
}

/// The text as UTF-8, which every value but a path is.
fn utf8(text: &OsStr) -> Result<&str, String> {
    text.to_str().ok_or_else(|| "is not UTF-8".to_owned())
}

/// One value, with a default; an empty text counts as none.
pub fn value<T: 'static>(
    variable: &'static str,
    default: &'static str,
    accepts: &'static str,
    check: fn(&str) -> Result<T, String>,
) -> ConfigOption<T> {
    let mut option = ConfigOption::new(variable, accepts, move |texts| {
        let given = texts.last().filter(|text| !text.is_empty());
        let text = given.map_or(OsStr::new(default), OsString::as_os_str);
        utf8(text).and_then(check).map_err(|error| vec![error])
    });
    option.entry.default = Some(default);
    option
}

/// One value, which must be given.
pub fn required<T: 'static>(
    variable: &'static str,
    accepts: &'static str,
    check: fn(&str) -> Result<T, String>,
) -> ConfigOption<T> {
    let mut option = ConfigOption::new(variable, accepts, move |texts| {
        let text = texts.last().map_or(OsStr::new(""), OsString::as_os_str);
        utf8(text).and_then(check).map_err(|error| vec![error])
    });
    option.entry.required = true;
    option
}

/// One value or none; an empty text counts as none.
pub fn optional<T: 'static>(
    variable: &'static str,
    accepts: &'static str,
    check: fn(&str) -> Result<T, String>,
) -> ConfigOption<Option<T>> {
    ConfigOption::new(variable, accepts, move |texts| {
        match texts.last().filter(|text| !text.is_empty()) {
            Some(text) => utf8(text)
                .and_then(check)
                .map(Some)
                .map_err(|error| vec![error]),
            None => Ok(None),
        }
    })
}

/// Any number of values, separated by commas. Spaces around them, empty ones and repeated ones do
/// not count.
pub fn list<T: 'static>(
    variable: &'static str,
    accepts: &'static str,
    check: fn(&str) -> Result<T, String>,
) -> ConfigOption<Vec<T>> {
    let mut option = ConfigOption::new(variable, accepts, move |texts| read_list(texts, check));
    option.entry.list = true;
    option
}

/// At least one value, with a default; otherwise like [`list`].
pub fn filled_list<T: 'static>(
    variable: &'static str,
    default: &'static str,
    accepts: &'static str,
    check: fn(&str) -> Result<T, String>,
) -> ConfigOption<Vec<T>> {
    let mut option = ConfigOption::new(variable, accepts, move |texts| {
        let values = read_list(texts, check)?;
        if !values.is_empty() {
            return Ok(values);
        }
        let defaults: Vec<OsString> = default.split(',').map(OsString::from).collect();
        read_list(&defaults, check)
    });
    option.entry.list = true;
    option.entry.default = Some(default);
    option
}

fn read_list<T>(
    texts: &[OsString],
    check: fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Vec<String>> {
    let (mut seen, mut values, mut mistakes) = (Vec::new(), Vec::new(), Vec::new());
    for text in texts {
        let text = match utf8(text) {
            Ok(text) => text.trim(),
            Err(mistake) => {
                mistakes.push(mistake);
                continue;
            }
        };
        if text.is_empty() || seen.contains(&text) {
            continue;
        }
        seen.push(text);
        match check(text) {
            Ok(value) => values.push(value),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if mistakes.is_empty() {
        Ok(values)
    } else {
        Err(mistakes)
    }
}

fn non_empty_path(texts: &[OsString]) -> Option<&Path> {
    texts.last().filter(|text| !text.is_empty()).map(Path::new)
}

/// The path of a file or folder, or none; an empty text counts as none.
pub fn path(variable: &'static str, accepts: &'static str) -> ConfigOption<Option<PathBuf>> {
    checked_path(variable, accepts, |_| Ok(()))
}

/// Like [`path`], of something that passes `check`.
pub fn checked_path(
    variable: &'static str,
    accepts: &'static str,
    check: fn(&Path) -> Result<(), String>,
) -> ConfigOption<Option<PathBuf>> {
    ConfigOption::new(variable, accepts, move |texts| {
        let path = non_empty_path(texts);
        path.map_or(Ok(()), check).map_err(|error| vec![error])?;
        Ok(path.map(Into::into))
    })
}

/// A path that must be given.
pub fn required_path(variable: &'static str, accepts: &'static str) -> ConfigOption<PathBuf> {
    let mut option = ConfigOption::new(variable, accepts, |texts| {
        let path = non_empty_path(texts).map(Into::into);
        path.ok_or_else(|| vec!["is empty".into()])
    });
    option.entry.required = true;
    option
}

/// The secret in a file, or none; an empty path counts as none.
pub fn secret_file(variable: &'static str, accepts: &'static str) -> ConfigOption<Option<Secret>> {
    ConfigOption::new(variable, accepts, |texts| {
        let Some(path) = non_empty_path(texts) else {
            return Ok(None);
        };
        let secret = Secret::read(path)
            .map_err(|error| vec![format!("cannot read {}: {error}", path.display())])?;
        if secret.expose().is_empty() {
            return Err(vec![format!("{} is empty", path.display())]);
        }
        Ok(Some(secret))
    })
}
