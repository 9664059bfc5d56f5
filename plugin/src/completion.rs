//! Completion: scripts for `kubectl-hello`, and the words that `kubectl` asks for when `kubectl hello` is typed.

use std::time::Duration;

use clap::{Args, Command};
use clap_complete::Shell;

use crate::{
    cluster::{Cluster, Place},
    error::{Exit, Result},
    terminal::Terminal,
};

/// Name of the program.
const PROGRAM: &str = "kubectl-hello";
/// Longest time to look for names of services: somebody waits at a prompt.
const TIMEOUT: Duration = Duration::from_secs(2);
/// What tells kubectl that file names are no candidates.
const NO_FILES: &str = ":4";

/// Options of `completion`.
#[derive(Clone, Debug, Args)]
pub struct Options {
    /// The shell, or `kubectl` for the program that kubectl asks
    #[arg(value_parser = ["bash", "zsh", "fish", "kubectl"])]
    pub shell: String,
}

/// Prints a script.
pub fn script(
    mut command: Command,
    options: &Options,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    if options.shell == "kubectl" {
        terminal.print("#!/bin/sh\nexec kubectl-hello __complete \"$@\"\n")?;
        return Ok(Exit::Well);
    }
    // The value was checked above.
    if let Ok(shell) = options.shell.parse::<Shell>() {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut command, PROGRAM, &mut script);
        terminal.print(&String::from_utf8_lossy(&script))?;
    }
    Ok(Exit::Well)
}

/// Prints the manual page.
pub fn manual(command: Command, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    terminal.print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Well)
}

/// Prints the words that may come in place of the last of these, as kubectl expects them.
pub async fn words(
    command: &Command,
    typed: &[String],
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    let begun = typed.last().map_or("", String::as_str);
    let mut found = candidates(command, typed);
    if wants_service(command, typed) {
        found.extend(services(typed).await);
    }
    found.retain(|word| word.starts_with(begun));
    found.push(NO_FILES.to_owned());
    terminal.print(&(found.join("\n") + "\n"))?;
    Ok(Exit::Well)
}

/// The verb that was typed, with what stands before and behind.
fn verb<'a>(command: &'a Command, typed: &[String]) -> Option<(&'a Command, usize)> {
    let earlier = typed.split_last().map_or(typed, |(_, earlier)| earlier);
    let at = |word: &String| command.find_subcommand(word);
    earlier
        .iter()
        .enumerate()
        .find_map(|(index, word)| Some((at(word)?, index)))
}

/// Verbs, or options and their values.
fn candidates(command: &Command, typed: &[String]) -> Vec<String> {
    let begun = typed.last().map_or("", String::as_str);
    let Some((verb, _)) = verb(command, typed) else {
        let verbs = command.get_subcommands();
        return verbs.map(|verb| verb.get_name().to_owned()).collect();
    };
    if !begun.starts_with('-') {
        return vec![];
    }
    let options = verb.get_arguments().chain(command.get_arguments());
    let longs = options.filter_map(|option| Some(format!("--{}", option.get_long()?)));
    let mut longs: Vec<String> = longs.collect();
    longs.sort();
    longs.dedup();
    longs
}

/// Whether the name of a service comes next.
fn wants_service(command: &Command, typed: &[String]) -> bool {
    let begun = typed.last().map_or("", String::as_str);
    let Some((verb, index)) = verb(command, typed) else {
        return false;
    };
    let mut positionals = verb.get_positionals();
    let named = positionals
        .next()
        .is_some_and(|argument| argument.get_id() == "name");
    let between = typed.get(index + 1..typed.len() - 1).unwrap_or_default();
    named && !begun.starts_with('-') && between.iter().all(|word| word.starts_with('-'))
}

/// The names of the services where the options point; none when that takes too long.
async fn services(typed: &[String]) -> Vec<String> {
    let place = place(typed);
    let look = async {
        let cluster = Cluster::open(&place).await.ok()?;
        let services = cluster.all_services().await.ok()?;
        let names = services
            .into_iter()
            .filter_map(|service| service.metadata.name);
        Some(names.collect())
    };
    let found = tokio::time::timeout(TIMEOUT, look).await;
    found.ok().flatten().unwrap_or_default()
}

/// The place that the options name which have their values by `=`, or before a verb.
fn place(typed: &[String]) -> Place {
    let value = |long: &str, short: Option<&str>| {
        let prefix = format!("{long}=");
        typed.iter().enumerate().find_map(|(index, word)| {
            let behind = || typed.get(index + 1).cloned();
            match word.strip_prefix(&prefix) {
                Some(value) => Some(value.to_owned()),
                None => (word == long || Some(&**word) == short)
                    .then(behind)
                    .flatten(),
            }
        })
    };
    Place {
        kubeconfig: value("--kubeconfig", None).map(Into::into),
        context: value("--context", None),
        namespace: value("--namespace", Some("-n")),
    }
}
