//! Building beside another builder: cold, cached, and a context of many files.

use std::{cell::Cell, fs, path::Path};

use anyhow::Result;

use super::{Cli, in_turn, row};

/// Measured rounds.
const ROUNDS: usize = 5;
/// Files of the large context, and folders they are in.
const FILES: usize = 5000;
const FOLDERS: usize = 100;

/// Ten small steps, and a context of thousands of files: new, unchanged, with one change.
///
/// # Errors
/// A measured command failed.
pub(super) fn builds(sides: &[Cli], folder: &Path) -> Result<()> {
    let count = Cell::new(0u64);
    let salt = || {
        count.set(count.get() + 1);
        format!("SALT={}-{}", std::process::id(), count.get())
    };
    let (steps, context) = (folder.join("steps"), folder.join("context"));
    ten_steps(&steps, &sides[0].image)?;
    many_files(&context, &sides[0].image, "")?;
    let build = |side: &Cli, folder: &Path, salt: &str| {
        side.time(&["build", "-q", "--build-arg", salt, "-t", "wharf-bench-build", &folder.to_string_lossy()])
    };
    row("build, 10 small steps, cold", &in_turn(sides, ROUNDS, |side| build(side, &steps, &salt()))?);
    let cached = in_turn(sides, ROUNDS, |side| {
        let salt = salt();
        build(side, &steps, &salt)?;
        build(side, &steps, &salt)
    })?;
    row("build, 10 small steps, cached", &cached);
    let files = |what: &str| format!("build, {FILES} files, {what}");
    let new = in_turn(sides, ROUNDS, |side| {
        // Another folder with other contents: nothing of it is known, and nothing old is deleted in its place.
        let folder = folder.join(salt());
        many_files(&folder, &side.image, &salt())?;
        build(side, &folder, "SALT=")
    })?;
    row(&files("new"), &new);
    row(&files("unchanged"), &in_turn(sides, ROUNDS, |side| build(side, &context, "SALT="))?);
    row(
        &files("one changed"),
        &in_turn(sides, ROUNDS, |side| {
            fs::write(context.join("src/d7/changed"), salt())?;
            build(side, &context, "SALT=")
        })?,
    );
    for side in sides {
        side.run(&["rmi", "-f", "wharf-bench-build"])?;
        side.run(&["builder", "prune", "-af"])?;
    }
    Ok(())
}

fn ten_steps(folder: &Path, image: &str) -> Result<()> {
    fs::create_dir_all(folder)?;
    let mut dockerfile = format!("FROM {image}\nARG SALT=0\nRUN echo $SALT >/salt\n");
    for number in 0..4 {
        fs::write(folder.join(format!("f{number}")), format!("{number}\n").repeat(100))?;
        dockerfile +=
            &format!("COPY f{number} /f{number}\nRUN mkdir -p /d{number} && cp /f{number} /d{number}/x\n");
    }
    Ok(fs::write(folder.join("Dockerfile"), dockerfile + "RUN ls / >/list\n")?)
}

fn many_files(folder: &Path, image: &str, salt: &str) -> Result<()> {
    for number in 0..FOLDERS {
        fs::create_dir_all(folder.join(format!("src/d{number}")))?;
    }
    for number in 0..FILES {
        let path = folder.join(format!("src/d{}/f{number}.txt", number % FOLDERS));
        fs::write(path, format!("file {number} {salt}\n").repeat(60))?;
    }
    let dockerfile = format!("FROM {image}\nARG SALT=0\nRUN echo base >/base\nCOPY src /src\nRUN true\n");
    Ok(fs::write(folder.join("Dockerfile"), dockerfile)?)
}
