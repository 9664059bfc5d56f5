//! The command line, and the page that documents its options.

use std::fmt::Write;
use std::path::Path;

use super::*;
use crate::config::{
    BackupConfig, DestinationConfig, RestoreConfig, ScratchServerConfig, Section, StageConfig,
    VerifyConfig,
};

#[test]
fn the_command_line_is_consistent() {
    command().debug_assert();
}

#[test]
fn each_command_is_read() {
    let database = "--database-url=sqlite::memory:";
    let read = |arguments: &[&str]| parse([&["hello-app"], arguments].concat()).unwrap();
    assert!(matches!(read(&["serve", database]), Command::Serve(_)));
    assert!(matches!(read(&["migrate", database]), Command::Migrate(_)));
    assert!(matches!(read(&["seed", database]), Command::Seed(_)));
    let folder = "--directory=/x";
    let backup = |arguments: &[&str]| match read(&[&["backup"], arguments].concat()) {
        Command::Backup(command) => command,
        other => panic!("{other:?}"),
    };
    assert!(matches!(
        backup(&["run", database, folder]),
        BackupCommand::Run(_)
    ));
    for (output, expected) in [("json", true), ("table", false)] {
        let BackupCommand::List { json, .. } = backup(&["list", folder, "-o", output]) else {
            panic!("another command");
        };
        assert_eq!(json, expected);
    }
    assert!(matches!(
        backup(&["verify", "latest", folder]),
        BackupCommand::Verify { name, .. } if name == "latest"
    ));
    assert!(matches!(
        backup(&["fetch", "latest", folder, "--to=/y"]),
        BackupCommand::Fetch { to, .. } if to == Path::new("/y")
    ));
    assert!(matches!(
        backup(&["scratch-server", folder]),
        BackupCommand::ScratchServer(_)
    ));
    assert!(matches!(read(&["openapi"]), Command::Openapi));
    assert!(matches!(read(&["healthcheck"]), Command::Healthcheck(_)));
    let Command::InstallTo { directory } = read(&["install-to", "/x"]) else {
        panic!("another command");
    };
    assert_eq!(directory, PathBuf::from("/x"));
}

/// The lists of arguments in YAML, as the operator's tests record what its pods run.
fn arguments_in(text: &str) -> Vec<Vec<String>> {
    let mut lists = Vec::new();
    let mut lines = text.lines().map(str::trim).peekable();
    while let Some(line) = lines.next() {
        if line.trim_start_matches("- ") != "args:" {
            continue;
        }
        let mut list = Vec::new();
        while let Some(item) = lines.peek().and_then(|line| line.strip_prefix("- ")) {
            list.push(item.trim_matches('\'').to_owned());
            lines.next();
        }
        lists.push(list);
    }
    lists
}

#[test]
fn what_the_operators_pods_run_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../operator/tests/golden");
    let mut read = Vec::new();
    for name in ["minimal", "full", "cloudnativepg", "external"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.objects.yaml"))).unwrap();
        for mut list in arguments_in(&text) {
            // Other containers run PostgreSQL's programs.
            let commands = ["serve", "migrate", "backup", "install-to"];
            if !list
                .first()
                .is_some_and(|first| commands.contains(&&**first))
            {
                continue;
            }
            // In the pods, a variable names the file with the address.
            if list[0] == "migrate" || list.starts_with(&["backup".to_owned(), "run".to_owned()]) {
                list.push("--database-url=postgres://a@b/c".to_owned());
            }
            if list.contains(&"--s3-bucket".to_owned()) {
                list.extend(
                    ["--s3-access-key-id=a", "--s3-secret-access-key=b"].map(str::to_owned),
                );
            }
            let all = [vec!["hello-app".to_owned()], list.clone()].concat();
            let command = parse(all).unwrap_or_else(|error| panic!("{name}: {list:?}: {error:?}"));
            read.push(match command {
                Command::Backup(BackupCommand::Run(_)) => "backup run",
                Command::Backup(BackupCommand::ScratchServer(_)) => "backup scratch-server",
                Command::Migrate(_) => "migrate",
                _ => "other",
            });
        }
    }
    for (command, times) in [
        ("backup run", 4),
        ("backup scratch-server", 4),
        ("migrate", 4),
    ] {
        let found = read.iter().filter(|read| **read == command).count();
        assert_eq!(found, times, "{command}");
    }
}

#[test]
fn other_command_lines_are_refused() {
    for arguments in [
        &["hello-app"][..],
        &["hello-app", "dance"],
        &["hello-app", "serve", "--dance"],
        &["hello-app", "install-to"],
        &["hello-app", "backup"],
        &["hello-app", "backup", "dance"],
        &["hello-app", "backup", "verify", "--directory=/x"],
        &["hello-app", "backup", "fetch", "latest", "--directory=/x"],
        &["hello-app", "backup", "list", "--directory=/x", "-o", "xml"],
        &["hello-app", "--help"],
    ] {
        assert!(
            matches!(parse(arguments), Err(CliError::Usage(_))),
            "{arguments:?}"
        );
    }
    for wrong in [
        &["hello-app", "seed", "--count=many"][..],
        &["hello-app", "backup", "list"],
        &["hello-app", "backup", "list", "--s3-bucket=backups"],
    ] {
        assert!(
            matches!(parse(wrong), Err(CliError::Config(_))),
            "{wrong:?}"
        );
    }
}

#[test]
fn the_page_of_options_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let page = page();
    if std::env::var_os("UPDATE_CONFIGURATION").is_some() {
        std::fs::write(path, &page).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        page,
        "write it again: UPDATE_CONFIGURATION=1 cargo test -p hello-app --lib cli"
    );
}

/// The variables of all options.
fn variables() -> Vec<&'static str> {
    all_sections()
        .into_iter()
        .flat_map(|(_, sections)| sections)
        .flat_map(|section| section.entries)
        .map(|entry| entry.variable)
        .collect()
}

#[test]
fn pages_about_the_app_name_only_variables_that_exist() {
    let known = variables();
    let mut found = 0;
    for page in ["api.md", "auth.md"] {
        let path = format!("{}/../docs/{page}", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(path).unwrap();
        let words = text.split(|letter: char| letter != '_' && !letter.is_ascii_alphanumeric());
        for name in words.filter(|word| word.starts_with("HELLO_")) {
            assert!(known.contains(&name), "{page}: {name}");
            found += 1;
        }
    }
    assert!(found > 10, "{found}");
}

#[test]
fn the_operator_sets_only_variables_that_exist() {
    let known = variables();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../operator/tests/golden");
    let mut found = 0;
    for file in std::fs::read_dir(folder).unwrap() {
        let objects = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let names = objects
            .lines()
            .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("name: "));
        for name in names.filter(|name| name.starts_with("HELLO_")) {
            assert!(known.contains(&name), "{name}");
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}

/// The options of each command.
fn all_sections() -> [(&'static str, Vec<Section>); 14] {
    [
        ("serve", ServeConfig::sections()),
        ("migrate", MigrateConfig::sections()),
        ("backup run", BackupConfig::sections()),
        ("backup list", DestinationConfig::sections()),
        ("backup verify", VerifyConfig::sections()),
        ("backup fetch", DestinationConfig::sections()),
        ("backup scratch-server", ScratchServerConfig::sections()),
        ("restore stage", StageConfig::sections()),
        ("restore swap", RestoreConfig::sections()),
        ("restore undo", RestoreConfig::sections()),
        ("restore drop-previous", RestoreConfig::sections()),
        ("restore discard", RestoreConfig::sections()),
        ("seed", SeedConfig::sections()),
        ("healthcheck", AdminOptions::sections()),
    ]
}

/// The options of all commands, by group. A group is described once.
fn page() -> String {
    let mut groups: Vec<(Section, Vec<&str>)> = Vec::new();
    for (command, sections) in all_sections() {
        for section in sections {
            match groups
                .iter_mut()
                .find(|(known, _)| known.heading == section.heading)
            {
                Some((_, users)) => users.push(command),
                None => groups.push((section, vec![command])),
            }
        }
    }
    let mut page = String::from(
        "# Configuration of hello-app\n\n\
         <!-- Written by a test of app/src/cli.rs; do not edit. -->\n\n\
         Each option is a flag and an environment variable; the flag wins. An empty variable \
         counts as not set. All mistakes are reported at once, at the start.\n",
    );
    for (section, commands) in groups {
        let commands: Vec<_> = commands.iter().map(|name| format!("`{name}`")).collect();
        write!(
            page,
            "\n## {}\n\nUsed by {}.\n\n| Option | Default | Accepts | Effect |\n| --- | --- | --- | --- |\n",
            section.heading,
            commands.join(", ")
        )
        .unwrap();
        for entry in section.entries {
            let default = match entry.default {
                Some(default) => format!("`{default}`"),
                None if entry.required => "required".into(),
                None => "unset".into(),
            };
            writeln!(
                page,
                "| `{}`<br>`{}` | {default} | {} | {} |",
                entry.flag(),
                entry.variable,
                entry.accepts,
                entry.help
            )
            .unwrap();
        }
    }
    page
}
