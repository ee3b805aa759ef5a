//! Building images with the real binary.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Stdio,
};

use wharf_tests::TestDaemon;

/// The kernel deletes links some time after their namespace.
fn nothing_left(daemon: &TestDaemon) {
    let gone = wharf_tests::until(std::time::Duration::from_secs(20), || daemon.leftovers().is_empty());
    assert!(gone, "{:?}", daemon.leftovers());
}

#[test]
fn steps_are_cached_by_what_goes_in() {
    let daemon = TestDaemon::start("buildcache");
    let text = "FROM busybox\nRUN cat /proc/sys/kernel/random/uuid >/id\nCOPY f /f\nRUN cat /f /id >/both\n";
    let folder = daemon.context(text, &[("f", "one\n")]);
    let first = daemon.build(&folder, &["-t", "a"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(first.cached(), [""; 0]);
    let id = |name: &str| daemon.run(&["image", "inspect", "-f", "{{.Id}}", name]);
    assert_eq!(daemon.build(&folder, &["-t", "b"]).cached().len(), 3);
    assert_eq!(id("a"), id("b"), "the same build is the same image");
    fs::write(folder.join("f"), "two\n").unwrap();
    assert_eq!(
        daemon.build(&folder, &["-t", "c"]).cached(),
        ["[2/4] RUN cat /proc/sys/kernel/random/uuid >/id"]
    );
    assert!(daemon.run(&["run", "--rm", "c", "cat", "/both"]).starts_with("two\n"));
    let uuid = |name: &str| daemon.run(&["run", "--rm", name, "cat", "/id"]);
    assert_eq!(uuid("a"), uuid("c"));
    fs::set_permissions(folder.join("f"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(daemon.build(&folder, &["-t", "d"]).cached().len(), 1, "modes matter");
    assert_eq!(daemon.build(&folder, &["--no-cache", "-t", "e"]).cached(), [""; 0]);
    assert_ne!(uuid("a"), uuid("e"));
    nothing_left(&daemon);
}

#[test]
fn a_failing_step_shows_where_and_why() {
    let daemon = TestDaemon::start("buildfail");
    let folder = daemon.context("FROM busybox\nRUN echo before; exit 9\nRUN true\n", &[]);
    let failed = daemon.build(&folder, &[]);
    assert_eq!(failed.code, 1);
    for part in [
        " before\n",
        "Dockerfile:2\n",
        "   2 | >>> RUN echo before; exit 9\n",
        "ERROR: failed to build: failed to solve: process \"/bin/sh -c echo before; exit 9\" did not complete \
         successfully: exit code: 9\n",
    ] {
        assert!(failed.stderr.contains(part), "{part:?} in {}", failed.stderr);
    }
    assert_eq!(daemon.run(&["ps", "-aq"]), "");
    let folder = daemon.context("FROM busybox\nENV A=b\nWORKDIR /w\nRUN echo left >file; false\n", &[]);
    assert_eq!(daemon.build(&folder, &[]).code, 1);
    assert_eq!(daemon.run(&["builder", "shell", "sh", "-c", "cat file; echo $A"]), "left\nb");
    let again = daemon.wharf(&["builder", "shell"]);
    assert_eq!(again.stderr, "Error response from daemon: no failed build step is kept\n");
    assert_eq!(daemon.run(&["images", "-aq"]).lines().count(), 1);
    nothing_left(&daemon);
}

#[test]
fn copies_stay_inside_and_know_their_owners() {
    let daemon = TestDaemon::start("buildcopy");
    let text = "FROM busybox AS other\nRUN ln -s /etc /out; mkdir /d; echo x >/d/x; chown 5:6 /d/x\n\
                FROM busybox\nRUN ln -s ../../../../../../tmp/escape /link\nCOPY f /link/f\n\
                COPY --from=other /out/passwd /passwd\nCOPY --from=other /d /d\nCOPY --chown=app --chmod=640 f /own\n\
                COPY . /all/\nWORKDIR /made/here\nCOPY f .\n";
    let folder = daemon.context(text, &[("f", "content\n"), ("sub/deep/g", "g\n")]);
    symlink("/etc/shadow", folder.join("outside")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o644),
        0,
    )
    .unwrap();
    let built = daemon.build(&folder, &["-t", "copies"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let script = "cat /tmp/escape/f /made/here/f; head -1 /passwd; stat -c '%u:%g' /d/x; stat -c '%u:%g %a' /own; \
                  readlink /all/outside; cat /all/sub/deep/g; ls /all";
    assert_eq!(
        daemon.run(&["run", "--rm", "copies", "sh", "-c", script]),
        "content\ncontent\nroot:x:0:0:root:/root:/bin/sh\n5:6\n1000:1000 640\n/etc/shadow\ng\nDockerfile\nf\noutside\nsub"
    );
    assert!(!Path::new("/tmp/escape/f").exists());
}

#[test]
fn many_files_arrive_as_they_are() {
    let daemon = TestDaemon::start("buildmany");
    let text = "FROM busybox\nRUN mkdir -p /there/d1; echo old >/there/d1/f0; echo other >/there/other\n\
                COPY src /new/\nCOPY src /there/\nCOPY src/d1 src/d2 /two/\n";
    let folder = daemon.context(text, &[]);
    // `d1.b` stands between `d1` and what is in it.
    for (number, parent) in ["d1", "d1/deep", "d1.b", "d2"].into_iter().cycle().take(600).enumerate() {
        let path = folder.join("src").join(parent).join(format!("f{number}"));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("{number}\n").repeat(number % 50)).unwrap();
        let mode = if number % 3 == 0 { 0o755 } else { 0o640 };
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        symlink("f0", path.with_extension("link")).unwrap();
    }
    let old = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
    for parent in ["d1/deep", "d1", "d1.b", "d2"] {
        fs::File::open(folder.join("src").join(parent)).unwrap().set_modified(old).unwrap();
    }
    let built = daemon.build(&folder, &["-t", "many"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let list = "export LC_ALL=C; find d1 d1.b d2 | sort | xargs stat -c '%n %f %Y'; \
                find d1 d1.b d2 -type f | sort | xargs cat | md5sum";
    let here = std::process::Command::new("sh").args(["-c", list]).current_dir(folder.join("src")).output();
    let here = String::from_utf8(here.unwrap().stdout).unwrap();
    assert!(here.lines().count() > 1200 && here.contains("d1/deep 41ed 1000000000\n"), "{here}");
    let seen = |place: &str| daemon.run(&["run", "--rm", "-w", place, "many", "sh", "-c", list]);
    assert_eq!(seen("/new"), here.trim_end());
    assert_eq!(seen("/there"), here.trim_end());
    let script = "cat /there/other /there/d1/f0 | wc -l; ls /two | wc -l; ls /two/deep | wc -l";
    assert_eq!(daemon.run(&["run", "--rm", "many", "sh", "-c", script]), "1\n601\n300");
    // A failure in the middle of it leaves nothing, and does not keep the next build from succeeding.
    let text = format!("{text}RUN mkdir -p /bad/d2/f3\nCOPY src /bad/\n");
    fs::write(folder.join("Dockerfile"), text).unwrap();
    let failed = daemon.build(&folder, &["-t", "bad"]);
    assert!(failed.code == 1 && failed.stderr.contains("it is a directory"), "{}", failed.stderr);
    fs::remove_file(folder.join("src/d2/f3")).unwrap();
    assert_eq!(daemon.build(&folder, &["-t", "bad"]).code, 0);
    nothing_left(&daemon);
}

#[test]
fn mounts_leave_nothing_behind() {
    let daemon = TestDaemon::start("buildmounts");
    let text = "FROM busybox\n\
        RUN --mount=type=secret,id=s --mount=type=cache,target=/c --mount=type=bind,source=f,target=/b \
        --mount=type=tmpfs,target=/t cat /run/secrets/s /b >/got; echo x >>/c/n; touch /t/x\n\
        RUN --mount=type=cache,target=/c wc -l </c/n >/count\n";
    let folder = daemon.context(text, &[("f", "bound\n")]);
    let secret = daemon.folder.join("secret");
    fs::write(&secret, "hidden\n").unwrap();
    let secret = format!("id=s,src={}", secret.display());
    let built = daemon.build(&folder, &["--secret", &secret, "-t", "m"]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    let script = "cat /got /count; ls -d /c /b /t /run 2>/dev/null; true";
    assert_eq!(daemon.run(&["run", "--rm", "m", "sh", "-c", script]), "hidden\nbound\n1");
    nothing_left(&daemon);
}

#[test]
fn files_come_out() {
    let daemon = TestDaemon::start("buildout");
    let text =
        "FROM busybox AS make\nRUN mkdir /o && echo made >/o/a\nFROM scratch\nCOPY --from=make /o/a /sub/a\n";
    let folder = daemon.context(text, &[]);
    let out = daemon.folder.join("out");
    let built = daemon.build(&folder, &["-o", out.to_str().unwrap()]);
    assert_eq!(built.code, 0, "{}", built.stderr);
    assert_eq!(fs::read_to_string(out.join("sub/a")).unwrap(), "made\n");
    assert_eq!(fs::read_dir(&out).unwrap().count(), 1);
    assert_eq!(daemon.run(&["images", "-q"]).lines().count(), 1, "only the base");
}

#[test]
fn the_cache_is_pruned() {
    let daemon = TestDaemon::start("buildprune");
    let folder = daemon.context("FROM busybox\nRUN dd if=/dev/zero of=/z bs=1024 count=100\n", &[]);
    daemon.build(&folder, &["-t", "im"]);
    let count = || {
        let rows = daemon.run(&["system", "df", "--format", "{{.TotalCount}}"]);
        rows.lines().last().unwrap().to_owned()
    };
    assert_eq!(count(), "1");
    daemon.run(&["rmi", "im"]);
    assert!(daemon.run(&["builder", "prune", "-af"]).contains("Total:\t102.4kB"));
    assert_eq!(count(), "0");
}

#[test]
fn a_client_that_goes_away_ends_its_build() {
    let daemon = TestDaemon::start("buildgone");
    let folder = daemon.context("FROM busybox\nRUN echo began; exec sleep 1234\n", &[]);
    let mut client = daemon.command(&["build", "--progress", "plain", folder.to_str().unwrap()]);
    let mut client = client.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = std::io::BufRead::lines(std::io::BufReader::new(client.stderr.take().unwrap()));
    assert!(lines.any(|line| line.unwrap().ends_with(" began")));
    client.kill().unwrap();
    client.wait().unwrap();
    nothing_left(&daemon);
}

#[test]
fn entitlements_are_asked_for() {
    let daemon = TestDaemon::start("buildallow");
    let folder = daemon.context("FROM busybox\nRUN --security=insecure grep CapEff /proc/self/status\n", &[]);
    let refused = |args: &[&str], reason: &str| {
        let output = daemon.build(&folder, args);
        assert_eq!(output.code, 1, "{}", output.stderr);
        assert!(output.stderr.contains(&format!("ERROR: failed to build: {reason}\n")), "{}", output.stderr);
    };
    refused(&[], "failed to solve: failed to load LLB: security.insecure is not allowed");
    refused(
        &["--allow", "network.host"],
        "failed to solve: failed to load LLB: security.insecure is not allowed",
    );
    refused(&["--allow", "bogus"], "unknown entitlement bogus");
    assert_eq!(daemon.build(&folder, &["--allow", "security.insecure"]).code, 0);
    let folder = daemon.context("FROM busybox\nRUN --network=host true\n", &[]);
    refused(&[], "failed to solve: failed to load LLB: network.host is not allowed");
    assert_eq!(daemon.build(&folder, &["--network", "host"]).code, 0);
    assert_eq!(daemon.build(&folder, &["--allow", "network.host"]).code, 0);
}

/// Docker leaves xz to a program of the host and copies the archive as it is where that is missing.
#[test]
fn xz_is_unpacked() {
    let daemon = TestDaemon::start("buildxz");
    let folder = daemon.context("FROM busybox\nADD a.txz /a/\n", &[]);
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("dockerfiles/context/archive.txz");
    fs::copy(packed, folder.join("a.txz")).unwrap();
    assert_eq!(daemon.build(&folder, &["-t", "xz"]).code, 0);
    assert_eq!(daemon.run(&["run", "--rm", "xz", "cat", "/a/in/p.txt"]), "packed");
}

#[test]
fn what_is_not_understood_is_refused() {
    let daemon = TestDaemon::start("buildrefuse");
    let refused = |dockerfile: &str, args: &[&str], reason: &str| {
        let output = daemon.build(&daemon.context(dockerfile, &[]), args);
        assert_ne!(output.code, 0, "{dockerfile}");
        assert!(output.stderr.contains(reason), "{reason}: {}", output.stderr);
    };
    refused(
        "# syntax=example/buildpack:1\nFROM busybox\n",
        &[],
        "frontend example/buildpack:1: only Dockerfiles",
    );
    refused("FROM busybox\n", &["--ssh", "default"], "make sure SSH_AUTH_SOCK is set");
    let required = "FROM busybox\nRUN --mount=type=ssh,required true\n";
    refused(required, &[], "no SSH key \"default\" forwarded from the client");
    let optional =
        "# syntax=docker/dockerfile:1\nFROM busybox\nRUN --mount=type=ssh test -z \"$SSH_AUTH_SOCK\"\n";
    assert_eq!(daemon.build(&daemon.context(optional, &[]), &[]).code, 0);
}
