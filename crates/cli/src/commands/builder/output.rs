//! `--output`: where the result goes.

use std::{
    fs::{self, File},
    io::{IsTerminal, Read, Write},
    path::{Path, PathBuf},
};

use wharf_api::build::Export;

use crate::{Error, Result, value};

/// Where the result goes.
#[derive(Debug, Default)]
pub(crate) struct Outputs {
    /// One or more.
    list: Vec<Output>,
    /// Names that images get besides those of `--tag`.
    pub(super) names: Vec<String>,
    /// Images are pushed.
    pub(super) push: bool,
    /// Times of files in layers that are later than `SOURCE_DATE_EPOCH` become it.
    pub(super) rewrite_timestamp: bool,
}

/// One place.
#[derive(Debug, Default, PartialEq)]
enum Output {
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
    /// The image as an archive that is unpacked.
    Layout(PathBuf),
}

/// The fields of one `--output`.
#[derive(Default)]
struct Fields {
    kind: String,
    dest: Option<PathBuf>,
    /// Whether what is an archive is left packed.
    tar: bool,
}

impl Outputs {
    /// Reads the values of `--output`, with `--push` and `--load`.
    ///
    /// # Errors
    /// In the words of the reference client.
    pub(super) fn parse(given: &[String], push: bool, load: bool) -> Result<Self> {
        let mut outputs = Self { push, ..Self::default() };
        for text in given {
            let output = outputs.one(text)?;
            outputs.list.push(output);
        }
        let wants_image = outputs.list.is_empty() || push || load;
        if wants_image && !outputs.list.contains(&Output::Image) {
            outputs.list.push(Output::Image);
        }
        let to_stdout = outputs.list.iter().filter(|output| output.is_stdout()).count();
        if to_stdout > 1 {
            return Err(Error::message("multiple outputs configured to write to stdout"));
        }
        Ok(outputs)
    }

    fn one(&mut self, text: &str) -> Result<Output> {
        let fields = value::split_record(text).map_err(Error::message)?;
        if let [only] = fields.as_slice()
            && !only.contains('=')
        {
            return Ok(if only == "-" { Output::Tar(None) } else { Output::Folder(only.into()) });
        }
        let mut found = Fields { tar: true, ..Fields::default() };
        let pair = |field: &'_ String| {
            let pair = field.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
            pair.ok_or_else(|| Error::message(format!("invalid value {field}")))
        };
        for (key, value) in fields.iter().map(pair).collect::<Result<Vec<_>>>()? {
            match key.to_lowercase().as_str() {
                "type" => found.kind = value,
                "dest" => found.dest = Some(value).filter(|dest| dest != "-").map(PathBuf::from),
                "tar" => found.tar = value != "false",
                "push" => self.push |= value == "true",
                "name" => self.names.extend(value.split(',').map(str::to_owned)),
                "rewrite-timestamp" => self.rewrite_timestamp |= value == "true",
                "unpack" | "compression" | "oci-mediatypes" => {}
                other => {
                    return Err(Error::message(format!(
                        "output option {other:?} is not supported by this version"
                    )));
                }
            }
        }
        self.output(found)
    }

    fn output(&mut self, fields: Fields) -> Result<Output> {
        let Fields { kind, dest, tar } = fields;
        let terminal = || std::io::stdout().is_terminal();
        Ok(match (kind.as_str(), dest) {
            ("local", Some(dest)) => Output::Folder(dest),
            ("local", None) => return Err(Error::message("dest is required for local exporter")),
            ("oci", Some(dest)) | ("docker", Some(dest)) if !tar => Output::Layout(dest),
            ("oci", None) if !tar => return Err(Error::message("dest is required for oci exporter")),
            ("tar" | "oci", None) if terminal() => {
                return Err(Error::message(format!(
                    "dest file is required for {kind} exporter. refusing to write to console"
                )));
            }
            ("tar", dest) => Output::Tar(dest),
            ("oci", dest) | ("docker", dest @ Some(_)) => Output::Archive(dest),
            ("docker" | "image" | "moby", _) => Output::Image,
            ("registry", _) => {
                self.push = true;
                Output::Image
            }
            ("cacheonly", _) => Output::Nothing,
            ("", _) => return Err(Error::message("type is required for output")),
            (other, _) => {
                return Err(Error::message(format!(
                    "failed to solve: exporter {other:?} could not be found"
                )));
            }
        })
    }

    /// What the engine has to make, in the order of the outputs.
    ///
    /// # Errors
    /// The engine keeps no images for several platforms.
    pub(super) fn exports(&self, platforms: usize) -> Result<Vec<Export>> {
        let export = |output: &Output| match output {
            Output::Image if platforms > 1 && self.push => Ok(Export::Push),
            // compat: in the words of a client of an engine that keeps one image under a name.
            Output::Image if platforms > 1 => Err(Error::message(
                "Multi-platform build is not supported for the docker driver.\nSwitch to an output that can hold \
                 several platforms (--push, or --output of type oci, local or tar), and try again.",
            )),
            Output::Image => Ok(Export::Image),
            Output::Nothing => Ok(Export::Nothing),
            Output::Folder(_) | Output::Tar(_) => Ok(Export::Files),
            Output::Archive(_) | Output::Layout(_) => Ok(Export::Archive),
        };
        self.list.iter().map(export).collect()
    }

    /// Whether one of them is made of files and has no image.
    pub(super) fn has_files(&self) -> bool {
        self.list.iter().any(|output| matches!(output, Output::Folder(_) | Output::Tar(_)))
    }

    /// Takes what the engine sent for one of them.
    ///
    /// # Errors
    /// The place cannot be written to.
    pub(super) fn take(&self, place: usize, mut bytes: impl Read) -> Result<()> {
        match self.list.get(place) {
            None | Some(Output::Image | Output::Nothing) => {
                std::io::copy(&mut bytes, &mut std::io::sink())?;
            }
            Some(Output::Folder(folder) | Output::Layout(folder)) => unpack(folder, bytes)?,
            Some(Output::Tar(dest) | Output::Archive(dest)) => match dest {
                None => {
                    let mut stdout = std::io::stdout().lock();
                    std::io::copy(&mut bytes, &mut stdout)?;
                    stdout.flush()?;
                }
                Some(dest) => {
                    let failed = |error| Error::file("open", dest.display().to_string(), error);
                    let mut file = File::create(dest).map_err(failed)?;
                    std::io::copy(&mut bytes, &mut file)?;
                }
            },
        }
        Ok(())
    }
}

impl Output {
    fn is_stdout(&self) -> bool {
        matches!(self, Self::Tar(None) | Self::Archive(None))
    }
}

fn unpack(folder: &Path, bytes: impl Read) -> Result<()> {
    fs::create_dir_all(folder).map_err(|error| Error::file("mkdir", folder.display().to_string(), error))?;
    let mut archive = tar::Archive::new(bytes);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(false);
    Ok(archive.unpack(folder)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(given: &[&str]) -> std::result::Result<Outputs, String> {
        let given: Vec<_> = given.iter().map(|text| (*text).to_owned()).collect();
        Outputs::parse(&given, false, false).map_err(|error| error.to_string())
    }

    #[test]
    fn outputs_are_exports() {
        let exports = |given: &[&str]| {
            parse(given).and_then(|outputs| outputs.exports(1).map_err(|error| error.to_string()))
        };
        assert_eq!(exports(&[]), Ok(vec![Export::Image]));
        assert_eq!(exports(&["out"]), Ok(vec![Export::Files]));
        assert_eq!(exports(&["type=oci,dest=x"]), Ok(vec![Export::Archive]));
        assert_eq!(exports(&["type=cacheonly"]), Ok(vec![Export::Nothing]));
        assert_eq!(
            exports(&["type=oci,dest=x,tar=false", "type=image", "a"]),
            Ok(vec![Export::Archive, Export::Image, Export::Files])
        );
        for (given, expected) in [
            (&["type=what"][..], "failed to solve: exporter \"what\" could not be found"),
            (&["type=local"], "dest is required for local exporter"),
            (&["a=b,c"], "invalid value c"),
            (&["-", "type=tar"], "multiple outputs configured to write to stdout"),
        ] {
            assert_eq!(exports(given), Err(expected.to_owned()));
        }
    }

    #[test]
    fn flags_add_an_image() {
        let outputs =
            |push, load| Outputs::parse(&["out".to_owned()], push, load).map(|outputs| outputs.list);
        let (folder, image) = (Output::Folder("out".into()), Output::Image);
        assert!(outputs(false, false).is_ok_and(|list| list == [folder]));
        assert!(outputs(true, false).is_ok_and(|list| list[1] == image));
        assert!(outputs(false, true).is_ok_and(|list| list[1] == image));
    }

    #[test]
    fn images_for_several_platforms_are_only_pushed() {
        let image = parse(&["type=image"]).and_then(|outputs| outputs.exports(2).map_err(|e| e.to_string()));
        assert!(image.is_err_and(|error| error.starts_with("Multi-platform build is not supported")));
        let pushed =
            parse(&["type=registry"]).and_then(|outputs| outputs.exports(2).map_err(|e| e.to_string()));
        assert_eq!(pushed, Ok(vec![Export::Push]));
    }
}
