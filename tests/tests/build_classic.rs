//! `POST /build`: what the classic builder's clients are told, and the images that it leaves.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::Command,
};

use serde_json::Value;
use wharf_tests::TestDaemon;

/// Sends a context; returns the documents of the answer, and their texts together.
fn post(daemon: &TestDaemon, query: &str, dockerfile: &str) -> (Vec<Value>, String) {
    let folder = daemon.context(dockerfile, &[("f", "x")]);
    let tar = Command::new("tar").arg("-C").arg(&folder).args(["-c", "."]).output().unwrap().stdout;
    let mut stream = UnixStream::connect(daemon.host().trim_start_matches("unix://")).unwrap();
    let length = tar.len();
    write!(
        stream,
        "POST /v1.51/build?{query} HTTP/1.0\r\nHost: docker\r\nContent-Type: application/x-tar\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    stream.write_all(&tar).unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    let body = response.split_once("\r\n\r\n").unwrap().1;
    let documents: Vec<Value> =
        serde_json::Deserializer::from_str(body).into_iter::<Value>().map(|found| found.unwrap()).collect();
    let text = documents.iter().filter_map(|document| document["stream"].as_str()).collect();
    (documents, text)
}

/// Ids of processes differ from build to build.
fn without_places(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        match line.split_once("Running in ").or(line.split_once("container ")) {
            Some(_) => out.push_str(&line[..line.len() - 12]),
            None => out.push_str(line),
        }
        out.push('\n');
    }
    out
}

#[test]
fn every_instruction_is_told_with_its_image() {
    let daemon = TestDaemon::start("buildclassic");
    let dockerfile = "FROM busybox\nRUN echo hello; echo made >/m\nENV A=b\nCOPY f /f\nCMD [\"sh\"]\n";
    let (documents, text) = post(&daemon, "t=classic&rm=1", dockerfile);
    let history = daemon.run(&["history", "-q", "classic"]);
    let ids: Vec<&str> = history.lines().collect();
    let base = daemon.run(&["image", "ls", "-q", "busybox"]);
    let expected = format!(
        "Step 1/5 : FROM busybox\n ---> {base}\nStep 2/5 : RUN echo hello; echo made >/m\n ---> Running in \nhello\n \
         ---> Removed intermediate container \n ---> {}\nStep 3/5 : ENV A=b\n ---> Running in \n ---> Removed \
         intermediate container \n ---> {}\nStep 4/5 : COPY f /f\n ---> {}\nStep 5/5 : CMD [\"sh\"]\n ---> Running in \n \
         ---> Removed intermediate container \n ---> {}\nSuccessfully built {}\nSuccessfully tagged classic:latest\n",
        ids[3], ids[2], ids[1], ids[0], ids[0]
    );
    assert_eq!(without_places(&text), expected);
    let aux: Vec<_> = documents.iter().filter_map(|document| document["aux"]["ID"].as_str()).collect();
    assert_eq!(aux, [daemon.run(&["image", "inspect", "-f", "{{.Id}}", "classic"])]);
    // What is between is only listed with all, and goes with the last.
    assert_eq!(daemon.run(&["images", "-q"]).lines().count(), 2);
    assert_eq!(daemon.run(&["images", "-aq"]).lines().count(), 5);
    let (_, again) = post(&daemon, "t=again&rm=1", dockerfile);
    let expected = format!(
        "Step 1/5 : FROM busybox\n ---> {base}\nStep 2/5 : RUN echo hello; echo made >/m\n ---> Using cache\n ---> {}\n\
         Step 3/5 : ENV A=b\n ---> Using cache\n ---> {}\nStep 4/5 : COPY f /f\n ---> Using cache\n ---> {}\n\
         Step 5/5 : CMD [\"sh\"]\n ---> Using cache\n ---> {}\nSuccessfully built {}\nSuccessfully tagged again:latest\n",
        ids[3], ids[2], ids[1], ids[0], ids[0]
    );
    assert_eq!(again, expected);
    let removed = daemon.run(&["rmi", "classic", "again"]);
    assert_eq!(removed.lines().filter(|line| line.starts_with("Deleted: ")).count(), 4, "{removed}");
    assert_eq!(daemon.run(&["images", "-aq"]).lines().count(), 1);
    // Quietly, the id is all; nothing else is left of it.
    let (documents, text) = post(&daemon, "q=1&t=quiet", dockerfile);
    assert_eq!(text.trim(), daemon.run(&["image", "inspect", "-f", "{{.Id}}", "quiet"]));
    assert_eq!(documents.len(), 1, "{documents:?}");
    assert_eq!(daemon.run(&["images", "-aq"]).lines().count(), 2);
}

#[test]
fn stages_labels_and_failures_are_told() {
    let daemon = TestDaemon::start("buildcstages");
    let dockerfile = "FROM busybox AS a\nRUN echo x >/x\nFROM a AS b\nLABEL z=1\nFROM scratch\nCOPY --link --from=b /x /y\n";
    let (_, text) = post(&daemon, "t=stages&labels=%7B%22k%22%3A%22v%22%7D", dockerfile);
    let id = daemon.run(&["image", "ls", "-q", "stages"]);
    for part in [
        "Step 3/7 : FROM a AS b\n ---> ",
        "Step 5/7 : FROM scratch\n ---> \nStep 6/7 : COPY --link --from=b /x /y\n ---> ",
        "Step 7/7 : LABEL k=v\n ---> Running in ",
        &format!(" ---> {id}\nSuccessfully built {id}\n"),
    ] {
        assert!(text.contains(part), "{part:?} in {text}");
    }
    let (documents, text) = post(&daemon, "rm=0", "FROM busybox\nRUN echo fails; exit 3\nRUN true\n");
    assert!(text.ends_with("fails\n"), "{text}");
    let last = documents.last().unwrap();
    let message = "The command '/bin/sh -c echo fails; exit 3' returned a non-zero code: 3";
    assert_eq!(last["errorDetail"], serde_json::json!({"code": 3, "message": message}));
    assert_eq!(last["error"], message);
    let (_, text) = post(&daemon, "forcerm=1", "FROM busybox\nRUN echo fails; exit 3\n");
    assert!(without_places(&text).ends_with("fails\n ---> Removed intermediate container \n"), "{text}");
    let (documents, _) = post(&daemon, "", "FROM busybox\nCOPY nope /x\n");
    assert_eq!(
        documents.last().unwrap()["error"],
        "COPY failed: file not found in build context or excluded by .dockerignore: stat nope: file does not exist"
    );
    let (documents, _) = post(&daemon, "", "FROM busybox\nRUNN x\n");
    assert_eq!(
        documents[0]["message"],
        "dockerfile parse error on line 2: unknown instruction: RUNN (did you mean RUN?)"
    );
    let (documents, _) = post(&daemon, "squash=1", "FROM busybox\n");
    assert_eq!(documents[0]["message"], "squash is only supported with experimental mode");
    assert_eq!(daemon.run(&["ps", "-aq"]), "");
}
