//! Reading the json-file log of a container: rotated files, tailing, and following across rotations.
//!
//! The writer (the container's monitor) names the files `<path>`, `<path>.1`, `<path>.2` … from new to old; with
//! compression the rotated ones end in `.gz`.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

/// Size of one step when a file is scanned backwards for line ends.
const BLOCK: u64 = 64 * 1024;

/// A position in the sequence of log files of one container.
pub(crate) struct LogFiles {
    path: PathBuf,
    /// Opened files in the order they are read; the first is being read. All are opened at once, so that a rotation
    /// while reading renames them without any effect.
    files: VecDeque<Source>,
    /// Inode of the newest file opened so far.
    newest: Option<u64>,
    /// Bytes of a last line that the writer has not finished.
    partial: Vec<u8>,
}

type Source = Box<dyn BufRead + Send>;

impl LogFiles {
    /// Opens the log at `path`, positioned at its oldest line, or `tail` lines before its end.
    ///
    /// A log that does not exist (yet) is empty.
    pub(crate) fn open(path: &Path, tail: Option<usize>) -> io::Result<Self> {
        let mut log =
            LogFiles { path: path.to_owned(), files: VecDeque::new(), newest: None, partial: Vec::new() };
        let mut wanted = tail;
        for file in files_new_to_old(path) {
            if wanted == Some(0) && log.newest.is_some() {
                break;
            }
            let Some((source, inode, lines)) = open(&file, wanted)? else { continue };
            log.newest.get_or_insert(inode);
            log.files.push_front(source);
            wanted = wanted.map(|n| n - lines.min(n));
        }
        Ok(log)
    }

    /// The next complete line without its line end, or `None` at the present end of the log.
    pub(crate) fn next_line(&mut self, line: &mut Vec<u8>) -> io::Result<bool> {
        line.clear();
        loop {
            let Some(source) = self.files.front_mut() else { return Ok(false) };
            source.read_until(b'\n', &mut self.partial)?;
            if self.partial.last() == Some(&b'\n') {
                self.partial.pop();
                std::mem::swap(line, &mut self.partial);
                self.partial.clear();
                return Ok(true);
            }
            if self.files.len() == 1 {
                return Ok(false);
            }
            // A line never spans two files: what is left of an older one was cut off by a crash of its writer.
            self.files.pop_front();
            self.partial.clear();
        }
    }

    /// Queues the files that appeared by rotation since the last look; `false` if there are none.
    pub(crate) fn follow_rotation(&mut self) -> io::Result<bool> {
        let mut newer = Vec::new();
        for file in files_new_to_old(&self.path) {
            let Some((source, inode, _)) = open(&file, None)? else { continue };
            if Some(inode) == self.newest {
                break;
            }
            newer.push((source, inode));
        }
        let Some(&(_, newest)) = newer.first() else { return Ok(false) };
        self.newest = Some(newest);
        self.files.extend(newer.into_iter().rev().map(|(source, _)| source));
        Ok(true)
    }
}

/// The files that exist for the log at `path`, the live one first.
fn files_new_to_old(path: &Path) -> Vec<PathBuf> {
    let mut files = vec![path.to_owned()];
    for n in 1.. {
        let plain = suffixed(path, &format!(".{n}"));
        let packed = suffixed(path, &format!(".{n}.gz"));
        if plain.exists() {
            files.push(plain);
        } else if packed.exists() {
            files.push(packed);
        } else {
            break;
        }
    }
    files
}

fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Opens one log file, at its start or `tail` lines before its end; also returns its inode and how many lines follow
/// (0 when `tail` is not given). `None` if the file vanished.
fn open(path: &Path, tail: Option<usize>) -> io::Result<Option<(Source, u64, usize)>> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let inode = file.metadata()?.ino();
    if path.extension().is_some_and(|extension| extension == "gz") {
        let mut text = Vec::new();
        MultiGzDecoder::new(file).read_to_end(&mut text)?;
        let (start, lines) = match tail {
            Some(wanted) => tail_of_text(&text, wanted),
            None => (0, 0),
        };
        text.drain(..start);
        return Ok(Some((Box::new(io::Cursor::new(text)), inode, lines)));
    }
    let mut lines = 0;
    if let Some(wanted) = tail {
        let (start, found) = tail_of_file(&file, wanted)?;
        file.seek(SeekFrom::Start(start))?;
        lines = found;
    }
    Ok(Some((Box::new(BufReader::with_capacity(BLOCK as usize, file)), inode, lines)))
}

/// Where the last `wanted` lines of `text` begin, and how many lines follow from there.
fn tail_of_text(text: &[u8], wanted: usize) -> (usize, usize) {
    let mut lines = 0;
    for (at, _) in text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
        if lines == wanted {
            return (at + 1, lines);
        }
        lines += 1;
    }
    (0, lines)
}

/// As [`tail_of_text`] for a file, read from its end so that a huge log costs what its tail costs.
fn tail_of_file(file: &File, wanted: usize) -> io::Result<(u64, usize)> {
    let mut end = file.metadata()?.len();
    let mut lines = 0;
    let mut block = vec![0; BLOCK as usize];
    while end > 0 {
        let start = end.saturating_sub(BLOCK);
        let text = &mut block[..(end - start) as usize];
        file.read_exact_at(text, start)?;
        for (at, _) in text.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            if lines == wanted {
                return Ok((start + at as u64 + 1, lines));
            }
            lines += 1;
        }
        end = start;
    }
    Ok((0, lines))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::{fs, io::Write};

    use super::*;

    fn read_all(log: &mut LogFiles) -> Vec<String> {
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        while log.next_line(&mut line).unwrap() {
            lines.push(String::from_utf8(line.clone()).unwrap());
        }
        lines
    }

    fn fixture() -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-json.log");
        let mut packed = flate2::write::GzEncoder::new(
            File::create(dir.path().join("x-json.log.2.gz")).unwrap(),
            flate2::Compression::fast(),
        );
        packed.write_all(b"a\nb\n").unwrap();
        packed.finish().unwrap();
        fs::write(dir.path().join("x-json.log.1"), "c\nd\n").unwrap();
        fs::write(&path, "e\nf\n").unwrap();
        (dir, path)
    }

    #[test]
    fn reads_all_files_from_the_oldest_on() {
        let (_dir, path) = fixture();
        assert_eq!(read_all(&mut LogFiles::open(&path, None).unwrap()), ["a", "b", "c", "d", "e", "f"]);
    }

    #[test]
    fn tails_across_files() {
        let (_dir, path) = fixture();
        for (tail, expected) in [
            (0, &[][..]),
            (1, &["f"]),
            (2, &["e", "f"]),
            (3, &["d", "e", "f"]),
            (5, &["b", "c", "d", "e", "f"]),
            (99, &["a", "b", "c", "d", "e", "f"]),
        ] {
            assert_eq!(read_all(&mut LogFiles::open(&path, Some(tail)).unwrap()), expected, "tail {tail}");
        }
    }

    #[test]
    fn a_line_is_returned_once_it_is_complete() {
        let (_dir, path) = fixture();
        let mut log = LogFiles::open(&path, Some(0)).unwrap();
        let mut writer = File::options().append(true).open(&path).unwrap();
        writer.write_all(b"half").unwrap();
        assert!(read_all(&mut log).is_empty());
        writer.write_all(b" done\n").unwrap();
        assert_eq!(read_all(&mut log), ["half done"]);
    }

    #[test]
    fn follows_several_rotations() {
        let (dir, path) = fixture();
        let mut log = LogFiles::open(&path, Some(0)).unwrap();
        for (text, next) in [("g\n", "h\n"), ("i\n", "j\n")] {
            let mut writer = File::options().append(true).open(&path).unwrap();
            writer.write_all(text.as_bytes()).unwrap();
            fs::rename(dir.path().join("x-json.log.1"), dir.path().join("x-json.log.2")).unwrap();
            fs::rename(&path, dir.path().join("x-json.log.1")).unwrap();
            fs::write(&path, next).unwrap();
        }
        let mut lines = read_all(&mut log);
        while log.follow_rotation().unwrap() {
            lines.extend(read_all(&mut log));
        }
        assert_eq!(lines, ["g", "h", "i", "j"]);
    }
}
