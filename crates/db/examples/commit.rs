//! Measures a commit: `commit FOLDER` writes records of 4 KiB one by one, durably and not, and reads them.
#![allow(clippy::print_stdout)]

use std::time::{Duration, Instant};

use wharf_db::{Db, Durability, Error, Index, Table};

const NAME: Index<Vec<String>> = Index::unique("name", |words| words[..1].to_vec());
const WORDS: Table<Vec<String>> = Table::new("words", 1).indexes(&[NAME]);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::args().nth(1).ok_or("usage: commit FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    let db = Db::open(format!("{folder}/commit.db"))?;
    for durability in [Durability::Normal, Durability::Full] {
        let mut times = Vec::new();
        for n in 0..2000 {
            // Different for each pass: SQLite does not write what is there already.
            let record = vec![format!("name-{n}"), format!("{durability:?}").repeat(800)];
            let start = Instant::now();
            db.write_with(durability, |tx| WORDS.put(tx, &n.to_string(), &record))?;
            times.push(start.elapsed());
        }
        print(&format!("commit, {durability:?}"), times);
    }
    let mut times = Vec::new();
    for n in 0..2000 {
        let start = Instant::now();
        db.read(|view| WORDS.get(view, &n.to_string()))?;
        times.push(start.elapsed());
    }
    print("get", times);
    let start = Instant::now();
    let count = db.read(|view| Ok::<_, Error>(WORDS.list(view)?.len()))?;
    println!("list of {count}: {:?}", start.elapsed());
    Ok(())
}

fn print(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let at = |share: usize| times[times.len() * share / 1000];
    println!("{what}: median {:?}, 99 % {:?}, most {:?}", at(500), at(990), at(999));
}
