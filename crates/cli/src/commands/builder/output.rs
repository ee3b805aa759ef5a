//! `--output`: where the result goes.

use std::{
    fs::{self, File},
    io::{Read, Write},
    path::PathBuf,
};

use wharf_api::build::Export;

use crate::{Error, Result, value};

/// Where the result goes.
#[derive(Debug, Default)]
pub(crate) struct Output {
    target: Target,
    /// The image is pushed afterwards.
    pub(super) push: bool,
    /// Times of files in layers that are later than `SOURCE_DATE_EPOCH` become it.
    pub(super) rewrite_timestamp: bool,
}

#[derive(Debug, Default)]
enum Target {
    /// Into the engine.
    #[default]
    Image,
    /// Nowhere.
    Nothing,
    /// Files into a folder.
    Folder(PathBuf),
    /// Files as a tar; `None` for standard output.
    Tar(Option<PathBuf>),
    /// The image as an archive; `None` for standard output.
    Archive(Option<PathBuf>),
}

impl Output {
    pub(super) fn parse(given: &[String], push: bool) -> Result<Self> {
        let mut output = Self { push, ..Self::default() };
        let text = match given {
            [] => return Ok(output),
            [text] => text,
            _ => return Err(Error::message("multiple outputs are not supported by this version")),
        };
        if !text.contains('=') {
            output.target = if text == "-" { Target::Tar(None) } else { Target::Folder(text.into()) };
            return Ok(output);
        }
        let (mut kind, mut place) = (String::new(), None);
        for field in value::split_record(text).map_err(Error::message)? {
            match field.split_once('=').unwrap_or((&field, "")) {
                ("type", value) => kind = value.to_owned(),
                ("dest", value) => place = Some(value.to_owned()).filter(|place| place != "-"),
                ("rewrite-timestamp", value) => output.rewrite_timestamp = value == "true",
                ("push", value) => output.push |= value == "true",
                ("name" | "unpack" | "compression" | "oci-mediatypes", _) => {}
                (other, _) => {
                    return Err(Error::message(format!(
                        "output option {other:?} is not supported by this version"
                    )));
                }
            }
        }
        let place = place.map(PathBuf::from);
        output.target = match (kind.as_str(), place) {
            ("local", Some(place)) => Target::Folder(place),
            ("local", None) => return Err(Error::message("dest is required for local exporter")),
            ("tar", place) => Target::Tar(place),
            ("oci", place) | ("docker", place @ Some(_)) => Target::Archive(place),
            ("docker" | "image" | "moby", _) => Target::Image,
            ("registry", _) => {
                output.push = true;
                Target::Image
            }
            ("cacheonly", _) => Target::Nothing,
            ("", _) => return Err(Error::message("type is required for output")),
            (other, _) => return Err(Error::message(format!("exporter {other:?} could not be found"))),
        };
        Ok(output)
    }

    /// What the engine has to send.
    pub(super) fn export(&self) -> Export {
        match self.target {
            Target::Image => Export::Image,
            Target::Nothing => Export::Nothing,
            Target::Folder(_) | Target::Tar(_) => Export::Files,
            Target::Archive(_) => Export::Archive,
        }
    }

    /// Takes what the engine sends.
    ///
    /// # Errors
    /// The place cannot be written to.
    pub(super) fn take(&self, mut bytes: impl Read) -> Result<()> {
        match &self.target {
            Target::Image | Target::Nothing => {
                std::io::copy(&mut bytes, &mut std::io::sink())?;
            }
            Target::Folder(folder) => {
                fs::create_dir_all(folder)
                    .map_err(|error| Error::file("mkdir", folder.display().to_string(), error))?;
                let mut archive = tar::Archive::new(bytes);
                archive.set_preserve_permissions(true);
                archive.set_preserve_ownerships(false);
                archive.unpack(folder)?;
            }
            Target::Tar(place) | Target::Archive(place) => match place {
                None => {
                    let mut stdout = std::io::stdout().lock();
                    std::io::copy(&mut bytes, &mut stdout)?;
                    stdout.flush()?;
                }
                Some(place) => {
                    let failed = |error| Error::file("open", place.display().to_string(), error);
                    let mut file = File::create(place).map_err(failed)?;
                    std::io::copy(&mut bytes, &mut file)?;
                }
            },
        }
        Ok(())
    }
}
