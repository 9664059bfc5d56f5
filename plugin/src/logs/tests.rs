//! Logs as a kubelet serves them: from an API server that knows nothing else.

use std::{
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use super::*;

fn pod(name: &str, labels: Value, state: Value) -> Value {
    let status = json!({"name": "main", "image": "", "imageID": "", "ready": true, "restartCount": 1, "state": state});
    json!({"metadata": {"name": name, "labels": labels}, "status": {"containerStatuses": [status]}})
}

fn part(part: &str) -> Value {
    json!({"app.kubernetes.io/component": part})
}

#[test]
fn logs_are_those_of_containers_that_were_started() {
    let running = json!({"running": {}});
    let starting = json!({"waiting": {"reason": "ContainerCreating"}});
    let pods = json!([
        pod("app", part("app"), running.clone()),
        pod("new", part("app"), starting),
        pod("server", json!({"cnpg.io/cluster": "x-db"}), running),
        {},
    ]);
    let pods: Vec<Pod> = serde_json::from_value(pods).unwrap();
    let names = |parts: &[Component]| -> Vec<String> {
        sources(&pods, parts).iter().map(Source::prefix).collect()
    };
    assert_eq!(names(&[]), ["app/main", "server/main"]);
    assert_eq!(names(&[Component::Database]), ["server/main"]);
    assert_eq!(names(&[Component::Backup]), [""; 0]);
}

#[test]
fn a_line_has_its_time_and_cannot_steer_the_terminal() {
    let source = Source {
        pod: "p".into(),
        container: "c".into(),
        starts: 0,
    };
    let line = Line::read(&source, "2026-01-01T00:00:00.5Z a \u{1b}[31mb");
    assert_eq!(line.time, Some("2026-01-01T00:00:00.5Z".parse().unwrap()));
    assert_eq!(line.text, "p/c  a \u{fffd}[31mb\n");
    let line = Line::read(&source, "unable to");
    assert_eq!((line.time, &*line.text), (None, "p/c  unable to\n"));
}

/// What the server answers to a request for this path, and whether it is an error.
fn answer(path: &str) -> (&'static str, String) {
    let service = json!({"apiVersion": hello_crds::API_VERSION, "kind": hello_crds::KIND,
        "metadata": {"name": "demo"}, "spec": {}});
    let running = json!({"running": {}});
    let pods = [
        pod("app", part("app"), running.clone()),
        pod("db", part("database"), running.clone()),
        pod("gone", part("backup"), running),
    ];
    let is_ours = path.contains("kubernetes.io%2Fname");
    let list = json!({"apiVersion": "v1", "kind": "PodList", "metadata": {},
        "items": if is_ours { &pods[..] } else { &[] }});
    let timed = path.contains("timestamps=true");
    let line = |time: &str, text: &str| match timed {
        true => format!("2026-01-01T00:00:{time}Z {text}\n"),
        false => format!("{text}\n"),
    };
    if path.contains("/pods/app/log?") {
        ("200 OK", line("01", "one") + &line("03.5", "three"))
    } else if path.contains("/pods/db/log?") {
        ("200 OK", line("02.123456789", "two"))
    } else if path.contains("/pods/gone/log?") {
        let status = json!({"kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound",
            "message": "the pod is gone"});
        ("404 Not Found", status.to_string())
    } else if path.contains("/pods?") {
        ("200 OK", list.to_string())
    } else {
        ("200 OK", service.to_string())
    }
}

/// Serves one connection.
async fn serve(mut stream: TcpStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let request = String::from_utf8_lossy(&request);
    let (code, body) = answer(request.split(' ').nth(1).unwrap_or_default());
    let kind = if body.starts_with('{') {
        "application/json"
    } else {
        "text/plain"
    };
    let head = format!(
        "HTTP/1.1 {code}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}

/// A kubeconfig for such a server, which ends with the runtime.
async fn kubeconfig(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(serve(stream));
        }
    });
    let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": "team-a"}}],
        "clusters": [{"name": "test", "cluster": {"server": format!("http://{address}")}}],
        "users": [{"name": "test", "user": {}}]});
    let path = folder.join("config");
    std::fs::write(&path, config.to_string()).unwrap();
    format!("--kubeconfig={}", path.display())
}

/// A reader that has enough after some lines, as `head` has.
#[derive(Clone, Default)]
struct Reader {
    text: Arc<Mutex<String>>,
    enough: Option<usize>,
}

impl io::Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut text = self.text.lock().unwrap();
        if self
            .enough
            .is_some_and(|enough| text.lines().count() >= enough)
        {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        text.push_str(&String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What a command writes, what it remarks, and how it ends.
async fn ran(words: &[&str], enough: Option<usize>) -> (String, String, Exit) {
    let folder = tempfile::tempdir().unwrap();
    let config = kubeconfig(folder.path()).await;
    let output = Reader {
        enough,
        ..Default::default()
    };
    let remarks = Reader::default();
    let mut terminal = Terminal::plain(output.clone(), remarks.clone(), None);
    let words = ["kubectl-hello", "logs", "demo", &config]
        .into_iter()
        .chain(words.iter().copied());
    let exit = crate::run(words.map(Into::into), &mut terminal).await;
    drop(terminal);
    let text = |reader: Reader| reader.text.lock().unwrap().clone();
    (text(output), text(remarks), exit)
}

#[tokio::test]
async fn logs_of_all_parts_are_merged_by_time_and_what_is_gone_is_named() {
    let (output, remarks, exit) = ran(&[], None).await;
    assert_eq!(
        output, "app/main  one\ndb/main  two\napp/main  three\n",
        "{remarks}"
    );
    assert_eq!(exit, Exit::Well);
    assert!(
        remarks.contains("gone/main: ") && remarks.contains("the pod is gone"),
        "{remarks}"
    );
    let (output, _, _) = ran(&["--part=database"], None).await;
    assert_eq!(output, "db/main  two\n");
    let (_, remarks, exit) = ran(&["--part=migration"], None).await;
    assert_eq!(exit, Exit::Unable, "{remarks}");
}

/// Each log ends at once here, and is not read again: nothing comes twice, and it goes on until nobody reads.
#[tokio::test]
async fn logs_are_followed_until_nobody_reads() {
    let (output, _, exit) = ran(&["--follow", "--part=app,database"], Some(2)).await;
    assert_eq!(exit, Exit::Well, "as every program of a pipe");
    let lines: BTreeSet<&str> = output.lines().collect();
    assert_eq!(lines.len(), 2, "{output}");
    for line in lines {
        assert!(
            ["app/main  one", "app/main  three", "db/main  two"].contains(&line),
            "{line}"
        );
    }
}
