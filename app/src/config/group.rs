//! Groups of options. Each option is one entry of an [`option_group!`]: the entry gives the flag, the
//! variable, the default, the check, the help and the documentation.

use clap::ArgMatches;

use super::ConfigErrors;
use super::option::{ConfigOption, Entry};

/// Options that belong together. [`option_group!`] implements it.
pub trait OptionGroup: Sized {
    /// The heading over the options in `--help` and in the documentation.
    const HEADING: &'static str;

    /// The options, in order.
    fn entries() -> Vec<Entry>;

    /// The checked values; `None` when a mistake was recorded.
    fn read_group(matches: &ArgMatches, errors: &mut ConfigErrors) -> Option<Self>;

    /// How mistakes name the option `name`.
    fn label(name: &str) -> String {
        label(&Self::entries(), name)
    }
}

fn label(entries: &[Entry], name: &str) -> String {
    entries
        .iter()
        .find(|entry| entry.name == name)
        .map_or_else(|| name.to_owned(), Entry::label)
}

impl ConfigErrors {
    /// Reads one option, or records what is wrong with it and what it accepts.
    pub(super) fn value<T>(
        &mut self,
        matches: &ArgMatches,
        name: &'static str,
        option: ConfigOption<T>,
    ) -> Option<T> {
        let mistakes = match option.read(matches, name) {
            Ok(value) => return Some(value),
            Err(mistakes) => mistakes,
        };
        let entry = option.named(name, "");
        for mistake in mistakes {
            self.record(&entry.label(), format!("{mistake}; give {}", entry.accepts));
        }
        None
    }

    /// Records which options lack the ones they need, or have others beside them that they exclude.
    pub(super) fn relations(&mut self, entries: &[Entry], matches: &ArgMatches) {
        let given = |name: &str| {
            entries
                .iter()
                .any(|entry| entry.name == name && entry.is_given(matches))
        };
        for entry in entries.iter().filter(|entry| entry.is_given(matches)) {
            if let Some(needed) = entry.needs.filter(|needed| !given(needed)) {
                self.record(&entry.label(), format!("needs {}", label(entries, needed)));
            }
            if let Some(excluded) = entry.excludes.filter(|excluded| given(excluded)) {
                let excluded = label(entries, excluded);
                self.record(
                    &entry.label(),
                    format!("cannot be used together with {excluded}"),
                );
            }
        }
    }
}

/// Declares a group of options: a struct with a checked value for each, and the table of them. The doc
/// comment of a field is the option's help; its name is the flag.
macro_rules! option_group {
    (
        $(#[doc = $about:literal])+
        $heading:literal => pub struct $group:ident {
            $( $(#[doc = $help:literal])+ $name:ident: $type:ty = $option:expr, )+
        }
    ) => {
        $(#[doc = $about])+
        #[derive(Debug, Clone)]
        pub struct $group {
            $( $(#[doc = $help])+ pub $name: $type, )+
        }

        impl $crate::config::OptionGroup for $group {
            const HEADING: &'static str = $heading;

            fn entries() -> Vec<$crate::config::Entry> {
                vec![$({
                    let option: $crate::config::option::ConfigOption<$type> = $option;
                    option.named(stringify!($name), concat!($($help),+))
                }),+]
            }

            fn read_group(
                matches: &clap::ArgMatches,
                errors: &mut $crate::config::ConfigErrors,
            ) -> Option<Self> {
                errors.relations(&Self::entries(), matches);
                // Each is read before any is missed, so that all mistakes are recorded.
                $( let $name = errors.value(matches, stringify!($name), $option); )+
                Some(Self { $( $name: $name?, )+ })
            }
        }
    };
}

pub(super) use option_group;
