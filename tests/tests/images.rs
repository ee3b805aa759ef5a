//! Images: made of containers and archives, listed, removed, saved and loaded.
#![allow(clippy::unwrap_used)]

use wharf_tests::TestDaemon;

/// A value out of an image's `inspect`.
fn image(daemon: &TestDaemon, name: &str, template: &str) -> String {
    daemon.run(&["image", "inspect", "-f", template, name])
}

#[test]
fn commit_keeps_files_configuration_and_history() {
    let daemon = TestDaemon::start("commit");
    let script = "rm /bin/vi; rm -r /tmp; mkdir /tmp; echo x >/tmp/x; ln /tmp/x /tmp/y; mknod /nul c 1 3; echo v >/vol/f";
    daemon.run(&[
        "run", "--name", "c1", "-v", "/vol", "-l", "x=y", "-e", "FOO=bar", "busybox", "sh", "-c", script,
    ]);
    let changes = ["-c", "ENV A=b", "-c", "CMD cat /tmp/y", "-c", "LABEL x=z"];
    let id = daemon.run(&[&["commit", "-a", "me", "-m", "why"], &changes[..], &["c1", "new:1"]].concat());
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
    let config = image(&daemon, "new:1", "{{json .Config.Env}} {{json .Config.Cmd}} {{json .Config.Labels}}");
    assert_eq!(config, r#"["FOO=bar","A=b"] ["/bin/sh","-c","cat /tmp/y"] {"x":"z"}"#);
    assert_eq!(image(&daemon, "new:1", "{{.Author}} {{.Comment}} {{len .RootFS.Layers}}"), "me why 2");
    assert_eq!(image(&daemon, "new:1", "{{.Parent}}"), image(&daemon, "busybox", "{{.Id}}"));
    let history = daemon.run(&["history", "--no-trunc", "--format", "{{.CreatedBy}}|{{.Comment}}", "new:1"]);
    assert_eq!(history.lines().next().unwrap(), format!("sh -c {script}|why"));
    assert_eq!(daemon.run(&["run", "--rm", "new:1"]), "x");
    let check = "test ! -e /bin/vi && test -c /nul && test ! -e /vol/f && test -d /vol && stat -c %h /tmp/x";
    assert_eq!(daemon.run(&["run", "--rm", "new:1", "sh", "-c", check]), "2");
    // Nothing changed, no layer.
    daemon.run(&["create", "--name", "c2", "busybox"]);
    daemon.run(&["commit", "c2", "same"]);
    assert_eq!(image(&daemon, "same", "{{len .RootFS.Layers}}"), "1");
}

#[test]
fn commit_freezes_what_runs_and_refuses_what_it_cannot_do() {
    let daemon = TestDaemon::start("commitrun");
    daemon.run(&["run", "-d", "--name", "busy", "busybox", "sh", "-c", "echo one >/f; exec sleep 1000"]);
    let since = daemon.run(&["info", "-f", "{{.SystemTime}}"]);
    daemon.run(&["commit", "busy", "frozen:1"]);
    daemon.run(&["commit", "--pause=false", "busy"]);
    assert_eq!(daemon.run(&["inspect", "-f", "{{.State.Status}}", "busy"]), "running");
    daemon.run(&["pause", "busy"]);
    daemon.run(&["commit", "busy"]);
    assert_eq!(daemon.run(&["inspect", "-f", "{{.State.Status}}", "busy"]), "paused");
    let until = daemon.run(&["info", "-f", "{{.SystemTime}}"]);
    let events = daemon.run(&["events", "--since", &since, "--until", &until, "--format", "{{.Action}}"]);
    assert_eq!(
        events.lines().collect::<Vec<_>>(),
        ["pause", "tag", "commit", "unpause", "commit", "pause", "commit"]
    );
    for (args, message) in [
        (&["commit", "nosuch"][..], "Error response from daemon: No such container: nosuch"),
        (&["commit", "-c", "RUN x", "busy"], "Error response from daemon: RUN is not a valid change command"),
        (
            &["commit", "-c", "SHELL [\"x\"]", "busy"],
            "Error response from daemon: SHELL is not a valid change command",
        ),
        (
            &["commit", "busy", "UPPER"],
            "invalid reference format: repository name (library/UPPER) must be lowercase",
        ),
    ] {
        let output = daemon.wharf(args);
        assert_eq!((output.code, output.stderr.trim_end()), (1, message));
    }
}
