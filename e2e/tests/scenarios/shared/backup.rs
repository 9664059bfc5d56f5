//! Backups: run by hand from the CronJob, requested by annotation, failing, and restored as the documentation describes.

use std::time::{Duration, Instant};

use hello_e2e::cluster::command;
use hello_e2e::markdown::blocks;
use hello_e2e::scenario::documented;
use hello_e2e::scenario::jobs::{job_end, job_from, job_log};
use hello_e2e::scenario::script::Script;
use hello_e2e::service::greeting;
use hello_e2e::service::psql::psql;
use hello_e2e::{Context, Hello, Result, ensure, scenario};
use serde_json::json;

use crate::{expect_greeting, repository};

/// Prints the files on the volume, and what PostgreSQL's own programs read in them.
const READ: &str = r"
cd /backups
echo '# files'; ls
echo '# list'; for dump in *.dump; do pg_restore --list $dump; done
echo '# rows in the archive'; pg_restore --data-only --file=- ./*.dump | grep -c alice
echo '# rows in the text'; grep -c alice ./*.sql
";

#[tokio::test]
async fn a_backup_run_by_hand_leaves_readable_dumps() -> Result<()> {
    scenario::run("backup", async |s| {
        let spec = json!({"replicas": 1, "backup": {"schedule": "0 2 * * *"}});
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        hello
            .http()
            .await?
            .must_put("alice", greeting::born_in(5))
            .await?;

        job_from(s, "hello-backup", "by-hand").await?;
        let (job, succeeded) = job_end(s, "by-hand", Duration::from_secs(120)).await?;
        let log = job_log(s, "by-hand").await?;
        ensure!(succeeded, "the backup failed: {:?}\n{log}", job.status);

        let reader = Script {
            name: "reader",
            image: &hello.postgres_image().await?,
            script: READ,
            backups: Some("hello-backup"),
        };
        let printed = reader.run(s, Duration::from_secs(60)).await?;
        let section = |title: &str| {
            printed
                .split("# ")
                .find_map(|part| part.strip_prefix(title))
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let files = section("files");
        let names: Vec<&str> = files.split_whitespace().collect();
        let stem = |name: &str, end: &str| name.strip_suffix(end).map(str::to_owned);
        ensure!(
            names.len() == 3
                && stem(names[0], ".dump").is_some_and(|stem| is_backup_name(&stem))
                && stem(names[0], ".dump") == stem(names[1], ".json")
                && stem(names[0], ".dump") == stem(names[2], ".sql"),
            "the volume holds {names:?}, not archive, manifest and text of the same time"
        );
        ensure!(
            section("list").contains("TABLE DATA public users"),
            "pg_restore --list reads: {}",
            section("list")
        );
        ensure!(section("rows in the archive") == "1", "{printed}");
        ensure!(section("rows in the text") == "1", "{printed}");
        Ok(())
    })
    .await
}

#[tokio::test]
async fn a_backup_is_requested_proved_and_reported_and_so_is_a_failure() -> Result<()> {
    scenario::run("backup-proof", async |s| {
        let spec = json!({"replicas": 1, "backup": {"schedule": "0 2 * * *"}});
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        let http = hello.http().await?;
        http.must_put("alice", greeting::born_in(5)).await?;

        hello.request_backup("first").await?;
        let proved = hello.backups_reported("Verified").await?;
        let backup = proved.status.and_then(|status| status.backup);
        let backup = backup.context("there is no status.backup")?;
        let verified = backup
            .last_verified
            .clone()
            .context("nothing is verified")?;
        ensure!(
            is_backup_name(&verified.file) && verified.rows >= 1 && verified.seconds > 0.0,
            "{verified:?}"
        );
        s.figure(format!("restored in {:.2} s", verified.seconds));
        let wide = [
            "--namespace",
            &s.namespace,
            "get",
            "helloservices",
            "--output=wide",
        ];
        let table = command::output("kubectl", &wide, "", Duration::from_secs(30)).await?;
        ensure!(
            table.contains("BACKUP") && table.contains("RESTORE"),
            "{table}"
        );

        // The role cannot log in: nothing is dumped, and what was proved is still known.
        psql(s, &hello, "ALTER ROLE hello_backup NOLOGIN").await?;
        hello.request_backup("second").await?;
        let failed = hello.backups_reported("Privileges").await?;
        let after = failed.status.and_then(|status| status.backup);
        let after = after.context("there is no status.backup")?;
        ensure!(
            after.last_verified.as_ref() == Some(&verified)
                && after.last_request != backup.last_request,
            "{after:?}"
        );
        hello.ready(Duration::from_secs(10)).await?;

        psql(s, &hello, "ALTER ROLE hello_backup LOGIN").await?;
        hello.request_backup("third").await?;
        hello.backups_reported("Verified").await?;
        Ok(())
    })
    .await
}

#[tokio::test]
async fn the_commands_of_the_documentation_restore_lost_data() -> Result<()> {
    scenario::run("restore", async |s| {
        let text = std::fs::read_to_string(repository().join("docs/recover.md"))?;
        let steps: Vec<String> = blocks(&text)
            .into_iter()
            .filter(|block| block.is_marked("executed"))
            .map(|block| block.text)
            .collect();
        let (backup, restore) = steps
            .split_first()
            .context("docs/recover.md shows no commands")?;
        ensure!(!restore.is_empty(), "docs/recover.md has no restore");

        let spec = json!({"replicas": 2, "backup": {"schedule": "0 2 * * *"}});
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        let (kept, changed, later) = (
            greeting::born_in(5),
            greeting::born_in(6),
            greeting::born_in(7),
        );
        let http = hello.http().await?;
        http.must_put("alice", kept).await?;
        documented::run(s, backup).await?;
        // Changes after the backup: one user is overwritten, one is new.
        http.must_put("alice", changed).await?;
        http.must_put("bob", later).await?;

        let began = Instant::now();
        documented::run(s, &restore.join("\n")).await?;
        s.figure(format!(
            "restored and Ready after {:.1} s",
            began.elapsed().as_secs_f64()
        ));
        hello.serving().await?;
        let http = hello.http().await?;
        expect_greeting(&http, "alice", kept).await?;
        let bob = http.get("bob").await?;
        ensure!(
            bob.status == 404,
            "bob was created after the backup and still exists: {bob:?}"
        );
        // The restored service accepts writes.
        http.must_put("bob", later).await?;
        expect_greeting(&http, "bob", later).await
    })
    .await
}

/// `hello-YYYYMMDDTHHMMSSZ`
fn is_backup_name(stem: &str) -> bool {
    let pattern = "hello-00000000T000000Z";
    stem.len() == pattern.len()
        && stem
            .chars()
            .zip(pattern.chars())
            .all(|(is, wanted)| match wanted {
                '0' => is.is_ascii_digit(),
                other => is == other,
            })
}
