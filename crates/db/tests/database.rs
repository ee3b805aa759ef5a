//! The database from outside: what is kept, what is refused, who waits for whom.
#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use serde::{Deserialize, Serialize};
use serde_json::json;
use wharf_db::{Db, Durability, Error, Index, Table};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Boat {
    name: String,
    harbours: Vec<String>,
}

const NAME: Index<Boat> = Index::unique("name", |boat| vec![boat.name.clone()]);
const HARBOUR: Index<Boat> = Index::shared("harbour", |boat| boat.harbours.clone());
const BOATS: Table<Boat> = Table::new("boats", 2).indexes(&[NAME, HARBOUR]);

fn boat(name: &str, harbours: &[&str]) -> Boat {
    Boat { name: name.into(), harbours: harbours.iter().map(|&h| h.into()).collect() }
}

fn open() -> (tempfile::TempDir, Db) {
    let folder = tempfile::tempdir().unwrap();
    let db = Db::open(folder.path().join("t.db")).unwrap();
    (folder, db)
}

#[test]
fn documents_come_back_also_after_reopening() {
    let (folder, db) = open();
    db.write(|tx| BOATS.put(tx, "b", &boat("Anna", &["Kiel"]))).unwrap();
    db.write_with(Durability::Full, |tx| BOATS.put(tx, "a", &boat("Berta", &["Kiel", "Bergen"]))).unwrap();
    drop(db);
    let db = Db::open(folder.path().join("t.db")).unwrap();
    db.read(|view| {
        assert_eq!(BOATS.get(view, "b")?, Some(boat("Anna", &["Kiel"])));
        assert_eq!(BOATS.get(view, "c")?, None);
        assert_eq!(BOATS.keys(view)?, ["a", "b"]);
        assert_eq!(BOATS.count(view)?, 2);
        assert_eq!(BOATS.find(view, &NAME, "Berta")?.unwrap().0, "a");
        assert_eq!(BOATS.find_keys(view, &HARBOUR, "Kiel")?, ["a", "b"]);
        assert_eq!(BOATS.find_all(view, &HARBOUR, "Bergen")?.len(), 1);
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn prefixes_find_few_or_many() {
    let (_folder, db) = open();
    db.write(|tx| {
        for key in ["abc", "abd", "b", "ab"] {
            BOATS.put(tx, key, &boat(key, &[]))?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    let keys = |prefix, limit| db.read(|view| BOATS.keys_with_prefix(view, prefix, limit)).unwrap();
    assert_eq!(keys("ab", 9), ["ab", "abc", "abd"]);
    assert_eq!(keys("ab", 2), ["ab", "abc"]);
    assert_eq!(keys("abd", 2), ["abd"]);
    assert!(keys("%", 2).is_empty());
}

#[test]
fn unique_values_are_unique_and_move_with_their_document() {
    let (_folder, db) = open();
    db.write(|tx| BOATS.put(tx, "1", &boat("Anna", &["Kiel"]))).unwrap();
    let refused = db.write(|tx| {
        BOATS.put(tx, "3", &boat("Carla", &[]))?;
        BOATS.put(tx, "2", &boat("Anna", &[]))
    });
    assert!(
        matches!(refused, Err(Error::Duplicate { index: "name", value, holder, .. }) if value == "Anna" && holder == "1")
    );
    assert_eq!(db.read(|view| BOATS.keys(view)).unwrap(), ["1"], "the whole transaction is undone");
    db.write(|tx| {
        BOATS.put(tx, "1", &boat("Berta", &["Bergen"]))?;
        BOATS.put(tx, "2", &boat("Anna", &[]))
    })
    .unwrap();
    assert!(db.read(|view| BOATS.find_keys(view, &HARBOUR, "Kiel")).unwrap().is_empty());
    assert!(matches!(
        db.write(|tx| BOATS.insert(tx, "1", &boat("Dora", &[]))),
        Err(Error::Duplicate { index: "key", .. })
    ));
    assert!(db.write(|tx| BOATS.delete(tx, "1")).unwrap());
    assert!(!db.write(|tx| BOATS.delete(tx, "1")).unwrap());
    assert_eq!(db.read(|view| BOATS.find(view, &NAME, "Berta")).unwrap(), None);
}

#[test]
fn older_documents_are_migrated_and_newer_ones_refused() {
    const OLD: Table<serde_json::Value> = Table::new("boats", 1);
    const NEWER: Table<serde_json::Value> = Table::new("boats", 3);
    const MIGRATING: Table<Boat> = Table::new("boats", 2).migrate(|from, document| {
        assert_eq!(from, 1);
        Ok(json!({ "name": document["title"], "harbours": [] }))
    });
    let (_folder, db) = open();
    db.write(|tx| OLD.put(tx, "o", &json!({"title": "Anna"}))).unwrap();
    db.write(|tx| MIGRATING.put(tx, "n", &boat("Berta", &[]))).unwrap();
    let names = db.read(|view| MIGRATING.list(view)).unwrap();
    assert_eq!(names.iter().map(|(_, boat)| boat.name.as_str()).collect::<Vec<_>>(), ["Berta", "Anna"]);
    db.write(|tx| NEWER.put(tx, "x", &json!({}))).unwrap();
    let error = db.read(|view| BOATS.get(view, "x")).unwrap_err();
    assert!(matches!(&error, Error::NewerRecord { found: 3, supported: 2, .. }));
    assert!(error.to_string().contains("t.db"), "{error}");
}

#[test]
fn hooks_follow_the_fate_of_the_transaction() {
    let (_folder, db) = open();
    let (sender, receiver) = mpsc::channel();
    for fail in [false, true] {
        let _ = db.write(|tx| {
            let (done, undone, again) = (sender.clone(), sender.clone(), db.clone());
            tx.on_commit(move || {
                again.write(|tx| BOATS.put(tx, "hook", &boat("h", &[]))).unwrap();
                done.send("commit").unwrap();
            });
            tx.on_rollback(move || undone.send("rollback").unwrap());
            if fail { Err(Error::Locked { path: "x".into() }) } else { Ok(()) }
        });
    }
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), ["commit", "rollback"]);
}

#[test]
fn readers_see_one_state_and_do_not_wait() {
    let (_folder, db) = open();
    db.read(|view| {
        assert_eq!(BOATS.count(view)?, 0);
        let other = db.clone();
        std::thread::spawn(move || other.write(|tx| BOATS.put(tx, "1", &boat("Anna", &[]))))
            .join()
            .unwrap()
            .unwrap();
        assert_eq!(BOATS.count(view)?, 0);
        Ok::<_, Error>(())
    })
    .unwrap();
    db.write(|tx| {
        BOATS.put(tx, "2", &boat("Berta", &[]))?;
        assert_eq!(db.read(|view| BOATS.count(view))?, 1, "read inside a write");
        Ok::<_, Error>(())
    })
    .unwrap();
}

#[test]
fn many_threads_write_and_a_panic_undoes_only_its_own() {
    let (_folder, db) = open();
    let failed = Arc::new(AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (db, failed) = (db.clone(), Arc::clone(&failed));
            scope.spawn(move || {
                for i in 0..100 {
                    db.write(|tx| {
                        BOATS.put(tx, &format!("{thread}-{i}"), &boat(&format!("{thread}-{i}"), &[]))
                    })
                    .unwrap();
                }
                let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let _ = db.write(|tx| {
                        BOATS.put(tx, "lost", &boat("lost", &[]))?;
                        std::panic::resume_unwind(Box::new(()));
                        #[allow(unreachable_code)]
                        Ok::<_, Error>(())
                    });
                }));
                failed.fetch_add(usize::from(caught.is_err()), Ordering::Relaxed);
            });
        }
    });
    assert_eq!(failed.load(Ordering::Relaxed), 4);
    assert_eq!(db.read(|view| BOATS.count(view)).unwrap(), 400);
}

#[test]
fn a_second_opening_is_refused() {
    let (folder, db) = open();
    assert!(matches!(Db::open(folder.path().join("t.db")), Err(Error::Locked { .. })));
    drop(db);
    Db::open(folder.path().join("t.db")).unwrap();
}

#[test]
fn damaged_foreign_and_newer_files_are_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let junk = folder.path().join("junk.db");
    std::fs::write(&junk, vec![7; 9000]).unwrap();
    let error = Db::open(&junk).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("junk.db"), "{error}");
    assert_eq!(std::fs::read(&junk).unwrap(), vec![7; 9000]);

    let foreign = folder.path().join("foreign.db");
    rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(Db::open(&foreign), Err(Error::Corrupt { .. })));

    let newer = folder.path().join("newer.db");
    drop(Db::open(&newer).unwrap());
    rusqlite::Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version=99").unwrap();
    let error = Db::open(&newer).unwrap_err();
    assert!(matches!(error, Error::NewerFormat { found: 99, .. }) && error.to_string().contains("newer.db"));
}

#[test]
fn a_torn_page_is_found_at_opening() {
    let (folder, db) = open();
    db.write(|tx| {
        for i in 0..2000 {
            BOATS.put(tx, &i.to_string(), &boat(&format!("boat {i}"), &["Kiel"]))?;
        }
        Ok::<_, Error>(())
    })
    .unwrap();
    drop(db);
    let path = folder.path().join("t.db");
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 64 * 4096, "closing moved the log into the file");
    for page in [20, 30, 40] {
        bytes[page * 4096..(page + 1) * 4096].fill(0xA5);
    }
    std::fs::write(&path, bytes).unwrap();
    let error = Db::open(&path).unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }) && error.to_string().contains("t.db"), "{error}");
}

#[test]
fn the_log_is_moved_into_the_file_by_itself() {
    let (folder, db) = open();
    for i in 0..600 {
        db.write(|tx| BOATS.put(tx, &i.to_string(), &boat(&i.to_string(), &["Kiel"]))).unwrap();
    }
    let path = folder.path().join("t.db");
    for _ in 0..200 {
        if std::fs::metadata(&path).unwrap().len() > 10 * 4096 {
            return;
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    panic!("no checkpoint happened");
}

#[test]
fn compacting_gives_space_back_and_keeps_the_rows() {
    let (folder, db) = open();
    let size = || {
        ["t.db", "t.db-wal"]
            .map(|name| std::fs::metadata(folder.path().join(name)).unwrap().len())
            .iter()
            .sum::<u64>()
    };
    let fill = |count: u32| {
        db.write(|tx| {
            for i in 0..count {
                BOATS.put(tx, &i.to_string(), &boat(&format!("boat {i}"), &["Kiel"]))?;
            }
            Ok::<_, Error>(())
        })
    };
    fill(8000).unwrap();
    db.write(|tx| (10..8000).try_for_each(|i| BOATS.delete(tx, &i.to_string()).map(drop))).unwrap();
    let before = size();
    assert!(before > 2 << 20, "{before}");
    // An idle reading connection must not keep the log.
    db.read(|view| BOATS.count(view)).unwrap();
    db.compact().unwrap();
    let after = size();
    assert!(after < 256 << 10, "{after}");
    assert_eq!(db.read(|view| BOATS.count(view)).unwrap(), 10);
    // While somebody reads, nothing waits and nothing breaks.
    fill(4000).unwrap();
    db.read(|view| {
        db.compact().unwrap();
        BOATS.count(view).map(|count| assert_eq!(count, 4000))
    })
    .unwrap();
    fill(10).unwrap();
}
