//! What comes out of a build: the same for the same input, for several platforms, to several places.

#![allow(clippy::unwrap_used, missing_docs)]

use std::{
    fs,
    time::{Duration, SystemTime},
};

use wharf_tests::TestDaemon;

/// The id of an image.
fn id(daemon: &TestDaemon, name: &str) -> String {
    daemon.run(&["image", "inspect", "-f", "{{.Id}}", name])
}

/// Gives the base image of one engine to another.
fn share_base(from: &TestDaemon, to: &TestDaemon) {
    let tar = from.folder.join("base.tar");
    from.run(&["save", "-o", tar.to_str().unwrap(), "busybox"]);
    to.run(&["load", "-i", tar.to_str().unwrap()]);
}

#[test]
fn the_same_input_gives_the_same_image() {
    let text = "FROM busybox AS make\nRUN mkdir -p /o/sub && echo made >/o/sub/a && ln /o/sub/a /o/b && rm /bin/nc\n\
                FROM busybox\nARG SOURCE_DATE_EPOCH\nRUN echo \"$SOURCE_DATE_EPOCH\" >/epoch; rm -f /bin/vi\n\
                COPY --from=make /o /o\nCOPY . /ctx/\nCOPY <<EOF /inline/doc\ntext\nEOF\nWORKDIR /w/here\n\
                COPY --link sub /linked/\nLABEL a=b\n";
    let files = [("sub/f", "one"), ("sub/g", "two"), ("z", ""), ("a", "")];
    let one = TestDaemon::start("buildrep1");
    // The second engine has one processor, a file system that was filled in another order, and other times.
    let cpu = {
        let mut set = rustix::thread::CpuSet::new();
        set.set(0);
        set
    };
    rustix::thread::sched_setaffinity(None, &cpu).unwrap();
    let two = TestDaemon::start("buildrep2");
    share_base(&one, &two);
    let first = one.context(text, &files);
    let mut backwards = files;
    backwards.reverse();
    let second = two.context(text, &backwards);
    let later = SystemTime::now() + Duration::from_secs(86_400);
    for (path, _) in files {
        fs::File::options().write(true).open(second.join(path)).unwrap().set_modified(later).unwrap();
    }
    let mut ids = Vec::new();
    for (daemon, folder) in [(&one, &first), (&two, &second)] {
        let args = ["--reproducible", "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-t", "same"];
        let built = daemon.build(folder, &args);
        assert_eq!(built.code, 0, "{}", built.stderr);
        ids.push(id(daemon, "same"));
        assert_eq!(daemon.run(&["image", "inspect", "-f", "{{.Created}}", "same"]), "2023-11-14T22:13:20Z");
        let script = "cat /epoch; find / -xdev -newermt @1700000000 ! -path '/dev*' ! -path '/etc*' ! -path '/proc*' \
                      ! -path '/sys*' ! -path / 2>/dev/null; stat -c %Y /inline/doc /linked /ctx/z /o/b";
        let expected = format!("1700000000\n{}", ["1700000000"; 4].join("\n"));
        assert_eq!(daemon.run(&["run", "--rm", "same", "sh", "-c", script]), expected);
    }
    assert_eq!(ids[0], ids[1]);
    // Without it, each build has times of its own.
    for (daemon, folder) in [(&one, &first), (&two, &second)] {
        assert_eq!(daemon.build(folder, &["-t", "other"]).code, 0);
    }
    assert_ne!(id(&one, "other"), id(&two, "other"));
    // The flag alone is as good as the beginning of time; an output's option needs to be told the time.
    assert_eq!(one.build(&first, &["--reproducible", "-t", "zero"]).code, 0);
    assert_eq!(one.run(&["image", "inspect", "-f", "{{.Created}}", "zero"]), "1970-01-01T00:00:00Z");
    let output =
        ["--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-o", "type=image,rewrite-timestamp=true", "-t", "o"];
    assert_eq!(one.build(&first, &output).code, 0);
    assert_eq!(id(&one, "o"), ids[0]);
    let bad = one.build(&first, &["--build-arg", "SOURCE_DATE_EPOCH=soon"]);
    assert!(bad.stderr.contains("invalid SOURCE_DATE_EPOCH: soon"), "{}", bad.stderr);
}

#[test]
fn a_linked_copy_survives_another_base() {
    let daemon = TestDaemon::start("buildlink");
    let text = |mark: &str| {
        format!(
            "FROM busybox\nRUN echo {mark} >/base; mkdir -p /etc/app /d && ln -s /etc/app /lnk; echo old >/d/old\n\
             COPY --link f /d/f\nCOPY --link --chown=7:8 f /lnk/f\nRUN cat /base /d/f /d/old /lnk/f >/all\n"
        )
    };
    let folder = daemon.context(&text("one"), &[("f", "copied\n")]);
    let first = daemon.build(&folder, &["-t", "one"]);
    assert_eq!(first.code, 0, "{}", first.stderr);
    assert_eq!(first.cached(), [""; 0]);
    fs::write(folder.join("Dockerfile"), text("two")).unwrap();
    let second = daemon.build(&folder, &["-t", "two"]);
    assert_eq!(second.cached(), ["[3/5] COPY --link f /d/f", "[4/5] COPY --link --chown=7:8 f /lnk/f"]);
    for name in ["one", "two"] {
        let script = "cat /all; ls /etc/app; test ! -L /lnk && stat -c %u:%g /lnk/f";
        let seen = daemon.run(&["run", "--rm", name, "sh", "-c", script]);
        assert_eq!(seen, format!("{name}\ncopied\nold\ncopied\n7:8"));
    }
    // Its layer is the same blob in both.
    let layers = |name: &str| daemon.run(&["image", "inspect", "-f", "{{json .RootFS.Layers}}", name]);
    let (one, two): (Vec<String>, Vec<String>) =
        (serde_json::from_str(&layers("one")).unwrap(), serde_json::from_str(&layers("two")).unwrap());
    assert_eq!(one[2..4], two[2..4]);
    assert_ne!(one[1], two[1]);
    // Another file is another layer; an owner by name is looked up in the base.
    fs::write(folder.join("f"), "changed\n").unwrap();
    assert_eq!(daemon.build(&folder, &[]).cached().len(), 1);
    let named =
        "FROM busybox\nRUN echo 'bob:x:44:55::/:/bin/sh' >>/etc/passwd\nCOPY --link --chown=bob f /f\n";
    let folder = daemon.context(named, &[("f", "")]);
    assert_eq!(daemon.build(&folder, &["-t", "named"]).code, 0);
    assert_eq!(daemon.run(&["run", "--rm", "named", "stat", "-c", "%u:%g", "/f"]), "44:55");
    // Images and cache gone, nothing of it stays.
    daemon.run(&["rmi", "one", "two", "named"]);
    daemon.run(&["builder", "prune", "-af"]);
    assert_eq!(daemon.run(&["system", "check"]), "No problems found");
}
