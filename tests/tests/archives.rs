//! Archives of images on their way between this engine and Docker's.

#![allow(clippy::unwrap_used, missing_docs)]

use std::fs;

use wharf_tests::{Archive, Oracle, TestDaemon};

#[test]
fn docker_loads_what_is_saved_here_and_the_other_way_round() {
    let Some(oracle) = Oracle::find("archives") else { return };
    let daemon = TestDaemon::start("archives");
    let name = format!("wharf-archives-{}:1", std::process::id());
    let (file, back) = (daemon.folder.join("image.tar"), daemon.folder.join("back.tar"));
    let (file, back) = (file.to_str().unwrap(), back.to_str().unwrap());
    fs::write(file, Archive::busybox("there and back").to_tar(&name)).unwrap();
    daemon.run(&["load", "-q", "-i", file]);
    let about = ["inspect", "-f", "{{.Id}} {{.RootFS.Layers}} {{.Config.Cmd}}", &name];
    let before = daemon.run(&about);
    daemon.run(&["save", "-o", file, &name]);
    assert_eq!(oracle.docker(&["load", "-q", "-i", file]).ok(), format!("Loaded image: {name}"));
    assert_eq!(oracle.docker(&about).ok(), before);
    assert_eq!(oracle.docker(&["run", "--rm", &name]).ok(), "there and back");
    let built = format!("wharf-archives-{}:2", std::process::id());
    let commit = format!(
        "id=$(docker create {name} true) && docker cp /etc/hostname $id:/etc/added && \
         docker commit -c 'CMD [\"cat\", \"/etc/added\"]' $id {built} && docker rm $id"
    );
    // Docker's own layers as well.
    oracle.script(&commit);
    oracle.docker(&["save", "-o", back, &name, &built]).ok();
    let theirs = oracle.docker(&["inspect", "-f", "{{.Id}}", &built]).ok();
    let said = oracle.docker(&["run", "--rm", &built]).ok();
    oracle.docker(&["rmi", &name, &built]).ok();
    daemon.run(&["rmi", &name]);
    daemon.run(&["load", "-q", "-i", back]);
    assert_eq!(daemon.run(&about), before);
    assert_eq!(daemon.run(&["inspect", "-f", "{{.Id}}", &built]), theirs);
    assert_eq!(daemon.run(&["run", "--rm", &built]), said);
    assert_eq!(daemon.run(&["run", "--rm", &name]), "there and back");
}
