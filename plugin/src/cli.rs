//! The command line.

use std::ffi::OsString;

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};

use crate::{
    backup, backups,
    cluster::{Cluster, Place},
    completion,
    error::{Exit, Result},
    logs, pause, promote, psql, restore, status,
    terminal::Terminal,
    top,
};

/// Looks after HelloServices: what they are made of, what is wrong and what to do, backups, restores, logs.
#[derive(Debug, Parser)]
#[command(
    name = "kubectl-hello",
    bin_name = "kubectl hello",
    version,
    max_term_width = 100,
    disable_help_subcommand = true,
    after_help = "\
Exit codes:
  0  as wanted
  1  it works, and something is not as wanted: a service is not well, a backup failed, a restore was refused
  2  the arguments are not valid
  3  it could not be done: no such service, no right, no answer

Each command has examples: kubectl hello COMMAND --help"
)]
struct Cli {
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show what a service is made of, what is wrong, and what to type next
    #[command(after_help = "\
The exit code is 0 only when each service is Ready, for its newest spec, and not Degraded.

Examples:
  kubectl hello status                        # all services of the namespace
  kubectl hello status hello --watch          # again whenever it changes
  kubectl hello status hello -o json | jq -r '.problems[].next'")]
    Status(status::Options),
    /// Make a backup now
    #[command(after_help = "\
The backup counts when it has been restored and compared. It starts when no other backup and no migration is at work.

Examples:
  kubectl hello backup hello                  # only ask for it
  kubectl hello backup hello --wait           # until it is proved")]
    Backup(backup::Options),
    /// Show the backups of a service
    #[command(after_help = "\
Examples:
  kubectl hello backups hello
  kubectl hello backups hello -o json")]
    Backups(backups::Options),
    /// Bring the data of a service back from a backup
    #[command(after_help = "\
The backup is restored beside the live data and compared. When rows would be lost, they are counted, and you are asked;
where nobody can be asked, the restore waits, and the exit code is 1.

Examples:
  kubectl hello restore hello                 # from the newest backup
  kubectl hello restore hello --from=hello-20260501T020000Z
  kubectl hello restore hello --accept-data-loss   # without a question")]
    Restore(restore::Options),
    /// Keep the operator from changing anything about a service
    #[command(after_help = "\
The service goes on serving, and its status is still reported. Neither migrations nor requested backups start.

Examples:
  kubectl hello pause hello")]
    Pause(pause::Options),
    /// Let the operator go on
    #[command(after_help = "\
Examples:
  kubectl hello resume hello")]
    Resume(pause::Options),
    /// Show the logs of all parts of a service, merged by time
    #[command(after_help = "\
Examples:
  kubectl hello logs hello                    # the newest 100 lines of each container
  kubectl hello logs hello --part=app,database --since=10m --tail=-1
  kubectl hello logs hello -f                 # go on, also with pods that start later")]
    Logs(logs::Options),
    /// Show what the containers of a service use, beside what they ask for and may have
    #[command(after_help = "\
It needs the metrics API of the cluster. Percentages are of the limit.

Examples:
  kubectl hello top hello
  kubectl hello top hello -o json | jq '.[] | select(.part == \"database\").memory'")]
    Top(top::Options),
    /// Let another server of a CloudNativePG database take the writes
    #[command(after_help = "\
Writes wait, or are answered with 503, for some seconds. It needs the right to change the status of the Cluster.

Examples:
  kubectl hello promote hello                 # the first healthy server that does not have them
  kubectl hello promote hello --to=hello-db-3")]
    Promote(promote::Options),
    /// Open a session with the database, as its superuser
    #[command(after_help = "\
Runs psql in the pod of the server through `kubectl exec`, for which you need the right. Not for external databases.

Examples:
  kubectl hello psql hello
  kubectl hello psql hello -- --command='SELECT count(*) FROM users'")]
    Psql(psql::Options),
    /// Print a script that completes words
    #[command(after_help = "\
`kubectl hello` is completed by kubectl itself, which asks the program kubectl_complete-hello.

Examples:
  source <(kubectl hello completion bash)     # for `kubectl-hello` itself
  kubectl hello completion kubectl > ~/bin/kubectl_complete-hello && chmod +x ~/bin/kubectl_complete-hello")]
    Completion(completion::Options),
    /// Print the manual page
    #[command(after_help = "\
Examples:
  kubectl hello manual > ~/.local/share/man/man1/kubectl-hello.1")]
    Manual,
}

/// Runs the verb of the arguments.
pub async fn run(
    arguments: impl IntoIterator<Item = OsString>,
    terminal: &mut Terminal<'_>,
) -> Result<Exit> {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    // What kubectl asks while words are typed; these may be of any form.
    if let [_, verb, typed @ ..] = &*arguments
        && verb == "__complete"
    {
        let typed: Vec<String> = typed
            .iter()
            .map(|word| word.to_string_lossy().into())
            .collect();
        return completion::words(&Cli::command(), &typed, terminal).await;
    }
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => return usage(&error, terminal),
    };
    match &cli.verb {
        Verb::Completion(options) => return completion::script(Cli::command(), options, terminal),
        Verb::Manual => return completion::manual(Cli::command(), terminal),
        _ => {}
    }
    let cluster = Cluster::open(&cli.place).await?;
    match &cli.verb {
        Verb::Status(options) => status::run(&cluster, options, terminal).await,
        Verb::Backup(options) => backup::run(&cluster, options, terminal).await,
        Verb::Backups(options) => backups::run(&cluster, options, terminal).await,
        Verb::Restore(options) => restore::run(&cluster, options, terminal).await,
        Verb::Pause(options) => pause::run(&cluster, options, true, terminal).await,
        Verb::Resume(options) => pause::run(&cluster, options, false, terminal).await,
        Verb::Logs(options) => logs::run(&cluster, options, terminal).await,
        Verb::Top(options) => top::run(&cluster, options, terminal).await,
        Verb::Promote(options) => promote::run(&cluster, options, terminal).await,
        Verb::Psql(options) => psql::run(&cluster, options, terminal).await,
        Verb::Completion(_) | Verb::Manual => Ok(Exit::Well),
    }
}

/// Help, the version, or what is wrong with the arguments.
fn usage(error: &clap::Error, terminal: &mut Terminal<'_>) -> Result<Exit> {
    let text = error.render();
    let text = if terminal.color {
        text.ansi().to_string()
    } else {
        text.to_string()
    };
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            terminal.print(&text)?;
            Ok(Exit::Well)
        }
        _ => {
            terminal.report(text.trim_end());
            Ok(Exit::Usage)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The output and the exit code of a command that needs no cluster.
    async fn ran(words: &[&str]) -> (String, String, Exit) {
        let (mut output, mut remarks) = (Vec::new(), Vec::new());
        let mut terminal = Terminal::plain(&mut output, &mut remarks, None);
        let words = ["kubectl-hello"].iter().chain(words).map(OsString::from);
        let exit = crate::run(words, &mut terminal).await;
        drop(terminal);
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (text(output), text(remarks), exit)
    }

    #[test]
    fn the_definition_is_sound_and_each_verb_has_examples() {
        Cli::command().debug_assert();
        for verb in Cli::command().get_subcommands() {
            let help = verb
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            let example = format!("kubectl hello {}", verb.get_name());
            assert!(help.contains(&example), "{}: {help}", verb.get_name());
        }
    }

    /// The words of a command as a shell reads them; quotes are single ones.
    fn words(command: &str) -> Vec<String> {
        let command = command.split(" | ").next().unwrap_or(command);
        let command = command.split(" > ").next().unwrap_or(command);
        let mut words = vec![];
        for (index, piece) in command.split('\'').enumerate() {
            if index % 2 == 0 {
                words.extend(piece.split_whitespace().map(str::to_owned));
            } else if let Some(last) = words.last_mut() {
                last.push_str(piece);
            }
        }
        words
    }

    /// Whether a command line is one of ours; one that is not valid fails the test.
    fn is_accepted(line: &str) -> bool {
        let line = line.split(" # ").next().unwrap_or(line).trim();
        let (line, end) = match line.strip_prefix("source <(") {
            Some(line) => (line, ")"),
            None => (line, ""),
        };
        let Some(rest) = line.strip_prefix("kubectl hello ") else {
            return false;
        };
        let rest = words(rest.trim_end_matches(end));
        let arguments = ["kubectl-hello".to_owned()].into_iter().chain(rest);
        let parsed = Cli::try_parse_from(arguments);
        assert!(parsed.is_ok(), "{line}: {parsed:?}");
        true
    }

    #[test]
    fn the_commands_of_the_documentation_are_accepted() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/plugin.md");
        let page = std::fs::read_to_string(path).unwrap();
        let accepted = page.lines().filter(|line| is_accepted(line)).count();
        assert!(accepted > 15, "{accepted}");
        for verb in Cli::command().get_subcommands() {
            let name = verb.get_name();
            assert!(page.contains(&format!("kubectl hello {name}")), "{name}");
            let help = verb
                .get_after_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            assert!(help.lines().any(is_accepted), "{name}: {help}");
        }
        let example = include_str!("../tests/fixtures/status/degraded.txt");
        assert!(
            page.contains(example),
            "the example of a status is another one"
        );
    }

    #[test]
    fn the_next_commands_of_reasons_are_accepted() {
        let of_services = hello_crds::REASONS_WITH_A_COMMAND
            .iter()
            .map(|reason| hello_crds::next_command(reason));
        let of_restores = hello_crds::RESTORE_REASONS_WITH_A_COMMAND;
        let of_restores = of_restores
            .iter()
            .map(|reason| hello_crds::next_command_of_restore(reason));
        let ours = of_services
            .chain(of_restores)
            .flatten()
            .filter(|next| is_accepted(next));
        assert!(ours.count() > 5);
    }

    #[tokio::test]
    async fn wrong_arguments_are_explained() {
        let (_, remarks, exit) = ran(&["restore"]).await;
        assert_eq!(exit, Exit::Usage);
        assert!(remarks.contains("kubectl hello restore"), "{remarks}");
        let (output, _, exit) = ran(&["--help"]).await;
        assert_eq!(exit, Exit::Well);
        assert!(output.contains("Exit codes:"), "{output}");
    }

    #[tokio::test]
    async fn a_kubeconfig_that_cannot_be_used_is_named() {
        let (_, remarks, exit) = ran(&["status", "--kubeconfig=/does/not/exist"]).await;
        assert_eq!(exit, Exit::Unable);
        assert!(remarks.contains("/does/not/exist"), "{remarks}");
        assert!(remarks.contains("--kubeconfig"), "{remarks}");
    }

    #[tokio::test]
    async fn scripts_and_the_manual_know_the_verbs() {
        for shell in ["bash", "zsh", "fish"] {
            let (output, _, exit) = ran(&["completion", shell]).await;
            assert_eq!(exit, Exit::Well);
            assert!(
                output.contains("backups") && output.contains("kubectl-hello"),
                "{shell}"
            );
        }
        assert!(ran(&["manual"]).await.0.contains("backups"));
        assert_eq!(ran(&["completion", "tcsh"]).await.2, Exit::Usage);
    }

    #[tokio::test]
    async fn kubectl_gets_the_words_that_may_come_next() {
        let words = async |typed: &[&str]| ran(&[&["__complete"], typed].concat()).await.0;
        assert_eq!(words(&["ba"]).await, "backup\nbackups\n:4\n");
        assert_eq!(words(&["re"]).await, "restore\nresume\n:4\n");
        assert_eq!(words(&["backup", "x", "--w"]).await, "--wait\n:4\n");
        assert_eq!(words(&["-n", "a", "stat"]).await, "status\n:4\n");
        let here = "--kubeconfig=/does/not/exist";
        assert_eq!(words(&["backup", here, "x"]).await, ":4\n");
        assert!(!words(&[""]).await.contains("__complete"));
    }
}
