//! Backups, run by hand from the CronJob.

use std::time::Duration;

use hello_e2e::manifests::{Script, job_end, job_from, job_log};
use hello_e2e::{Hello, Result, ensure, greeting, with_namespace};
use serde_json::json;

/// Prints what is on the volume, and what PostgreSQL's own programs read in it.
const READ: &str = r"
cd /backups
echo '# files'; ls
echo '# list'; for dump in *.dump; do pg_restore --list $dump; done
echo '# rows in the archive'; pg_restore --data-only --file=- ./*.dump | grep -c alice
echo '# rows in the text'; grep -c alice ./*.sql
";

#[tokio::test]
async fn a_backup_run_by_hand_leaves_readable_dumps() -> Result<()> {
    with_namespace("backup", async |s| {
        let spec = json!({"replicas": 1, "backup": {"schedule": "0 2 * * *"}});
        let hello = Hello::apply(s, "hello", spec).await?;
        hello.serving().await?;
        hello
            .http()
            .await?
            .must_put("alice", greeting::born_in(5))
            .await?;

        job_from(s, "hello-backup", "by-hand").await?;
        let (job, succeeded) = job_end(s, "by-hand", Duration::from_secs(90)).await?;
        let log = job_log(s, "by-hand").await?;
        ensure!(succeeded, "the backup failed: {:?}\n{log}", job.status);

        let reader = Script {
            name: "reader",
            image: &hello.postgres_image().await?,
            script: READ,
            backups: Some("hello-backup"),
        };
        let said = reader.run(s, Duration::from_secs(60)).await?;
        let section = |title: &str| {
            said.split("# ")
                .find_map(|part| part.strip_prefix(title))
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let files = section("files");
        let names: Vec<&str> = files.split_whitespace().collect();
        let stem = |name: &str, end: &str| name.strip_suffix(end).map(str::to_owned);
        ensure!(
            names.len() == 2
                && stem(names[0], ".dump").is_some_and(|stem| is_backup_name(&stem))
                && stem(names[0], ".dump") == stem(names[1], ".sql"),
            "the volume holds {names:?}, not one archive and one text of the same time"
        );
        ensure!(
            section("list").contains("TABLE DATA public users"),
            "pg_restore --list reads: {}",
            section("list")
        );
        ensure!(section("rows in the archive") == "1", "{said}");
        ensure!(section("rows in the text") == "1", "{said}");
        Ok(())
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
