//! A program on a terminal.

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use rustix::{
    pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt},
    termios::{Winsize, tcsetwinsize},
};

use crate::until;

/// A program that has a new terminal as its controlling one.
#[derive(Debug)]
pub struct Pty {
    child: Child,
    master: File,
    seen: Arc<Mutex<Vec<u8>>>,
    /// How much of what was seen earlier calls of [`Pty::expect`] have consumed.
    matched: usize,
}

impl Pty {
    /// Starts `command` on a terminal of 24 rows and 80 columns.
    pub fn spawn(command: &Command) -> Pty {
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ioctl_tiocgptpeer(&master, flags).unwrap();
        let mut session = Command::new("setsid");
        session.args(["--ctty", "--wait"]).arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            session.env(key, value.unwrap_or_default());
        }
        session.stdin(Stdio::from(slave.try_clone().unwrap()));
        session.stdout(Stdio::from(slave.try_clone().unwrap())).stderr(Stdio::from(slave));
        let child = session.spawn().expect("the tests need setsid of util-linux");
        let master = File::from(master);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (mut reader, writer) = (master.try_clone().unwrap(), seen.clone());
        // Ends with EIO once nothing has the other side open.
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = reader.read(&mut buffer) {
                writer.lock().unwrap().extend_from_slice(&buffer[..length]);
            }
        });
        let pty = Pty { child, master, seen, matched: 0 };
        pty.resize(24, 80);
        pty
    }

    /// Changes the size of the terminal.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&self.master, size).unwrap();
    }

    /// Types `keys`.
    pub fn send(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` appears after what earlier calls found.
    pub fn expect(&mut self, text: &str) {
        let found = until(Duration::from_secs(20), || {
            let seen = self.seen.lock().unwrap();
            let rest = &seen[self.matched..];
            let place = rest.windows(text.len()).position(|window| window == text.as_bytes());
            place.is_some_and(|place| {
                self.matched += place + text.len();
                true
            })
        });
        assert!(found, "{text:?} did not appear after byte {} of {:?}", self.matched, self.text());
    }

    /// All that appeared so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap()).into_owned()
    }

    /// Waits for the end of the program; returns its exit code.
    pub fn wait(&mut self) -> i32 {
        let ended = until(Duration::from_secs(20), || self.child.try_wait().unwrap().is_some());
        assert!(ended, "the program did not end: {:?}", self.text());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
