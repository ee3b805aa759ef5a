//! Images on their way: push, save, load, import, removal; and lists of very many.

use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Cli, compare, fixture, in_turn, registries::Registry, seconds};

/// Measured rounds: each moves hundreds of megabytes.
const ROUNDS: usize = 5;
/// Layers of the image that is moved, and megabytes of each.
const LAYERS: usize = 2;
const MEGABYTES: usize = 210;
/// Megabytes of the images that are removed, and files of the one with many.
const REMOVED: usize = 600;
const FILES: usize = 30_000;
/// Images in the measurement of lists.
const MANY: usize = 1000;

/// Push to an empty registry, push of what is there, `save`, `load`.
///
/// # Errors
/// A measured command failed.
pub(super) fn transfers(sides: &[Cli], folder: &Path) -> Result<()> {
    let context = folder.join("layers");
    fixture::layers(&context, LAYERS, MEGABYTES)?;
    let context = context.to_string_lossy().into_owned();
    let archive = folder.join("image.tar").to_string_lossy().into_owned();
    for side in sides {
        side.run(&["build", "-q", "-t", "wharf-bench-layers", &context])?;
    }
    fs::remove_dir_all(&context)?;
    let title = |what: &str| format!("{what}, {} MB in {LAYERS} layers", LAYERS * MEGABYTES);
    let mut known = vec![Vec::new(); sides.len()];
    let cold = in_turn(sides, ROUNDS, |side| {
        let registry = Registry::reference(&folder.join("registry"))?;
        let name = format!("{}/wharf-bench/layers:1", registry.address);
        side.run(&["tag", "wharf-bench-layers", &name])?;
        let seconds = side.time(&["push", "-q", &name])?;
        let at = sides.iter().position(|other| other.name == side.name).unwrap_or_default();
        known[at].push(side.time(&["push", "-q", &name])?);
        side.run(&["rmi", &name])?;
        Ok(seconds)
    })?;
    seconds(&title("push to an empty registry"), &cold);
    let known: Vec<f64> = known.into_iter().map(super::median).collect();
    super::row("push again, everything known", &known);

    let saved = in_turn(sides, ROUNDS, |side| {
        let seconds = side.time(&["save", "-o", &archive, "wharf-bench-layers"])?;
        fs::remove_file(&archive)?;
        Ok(seconds)
    })?;
    seconds(&title("save"), &saved);
    sides[0].run(&["save", "-o", &archive, "wharf-bench-layers"])?;
    for side in sides {
        // What a build keeps would make loading a matter of names.
        side.run(&["builder", "prune", "-af"])?;
    }
    let loaded = in_turn(sides, ROUNDS, |side| {
        side.run(&["rmi", "wharf-bench-layers"])?;
        settle();
        side.time(&["load", "-q", "-i", &archive])
    })?;
    seconds(&title("load"), &loaded);
    for side in sides {
        side.run(&["rmi", "wharf-bench-layers"])?;
    }
    Ok(fs::remove_file(&archive)?)
}

/// `import` and `rmi` of large images: of few files and of many.
///
/// # Errors
/// A measured command failed.
pub(super) fn removal(sides: &[Cli], folder: &Path) -> Result<()> {
    let archive = folder.join("files.tar");
    for count in [60, FILES] {
        fixture::files(&archive, count, REMOVED)?;
        let mut imported = vec![Vec::new(); sides.len()];
        let removed = in_turn(sides, ROUNDS, |side| {
            let at = sides.iter().position(|other| other.name == side.name).unwrap_or_default();
            imported[at].push(side.time(&["import", &archive.to_string_lossy(), "wharf-bench-files"])?);
            settle();
            side.time(&["rmi", "wharf-bench-files"])
        })?;
        let imported: Vec<f64> = imported.into_iter().map(super::median).collect();
        seconds(&format!("import, {REMOVED} MB in {count} files"), &imported);
        super::row(&format!("rmi, {REMOVED} MB in {count} files"), &removed);
    }
    Ok(fs::remove_file(&archive)?)
}

/// `images` and `system df` with a thousand images.
///
/// # Errors
/// A measured command failed.
pub(super) fn lists(sides: &[Cli], folder: &Path) -> Result<()> {
    let archive = folder.join("many.tar");
    fixture::images(&archive, "wharf-bench-many", MANY)?;
    for side in sides {
        side.run(&["load", "-q", "-i", &archive.to_string_lossy()])?;
    }
    settle();
    compare(&format!("images with {MANY} images"), sides, |side| side.time(&["images"]))?;
    compare(&format!("system df with {MANY} images"), sides, |side| side.time(&["system", "df"]))?;
    let names: Vec<_> = (0..MANY).map(|number| format!("wharf-bench-many/i{number}:t")).collect();
    for side in sides {
        let begin = Instant::now();
        for names in names.chunks(MANY / 2) {
            let names: Vec<_> = names.iter().map(String::as_str).collect();
            side.run(&[&["rmi"], names.as_slice()].concat())?;
        }
        eprintln!("{}: {MANY} images removed in {:.1} s", side.name, begin.elapsed().as_secs_f64());
    }
    Ok(fs::remove_file(&archive)?)
}

/// Lets work end that a command leaves to the background, so that the next one is not measured with it.
fn settle() {
    std::thread::sleep(Duration::from_secs(1));
}
