//! Measures what a layer costs: `ingest LAYER FOLDER [TIMES]` stores the layer in a new store under FOLDER, reads its
//! tar back, and removes it, TIMES times.
#![allow(clippy::print_stdout)]

use std::fs::File;
use std::time::Instant;

use wharf_db::Db;
use wharf_store::{LayerSource, Store};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, layer, folder, rest @ ..] = args.as_slice() else {
        return Err("usage: ingest LAYER FOLDER [TIMES]".into());
    };
    let times: u32 = rest.first().map_or(Ok(5), |times| times.parse())?;
    std::fs::create_dir_all(folder)?;
    let db = Db::open(format!("{folder}/wharf.db"))?;
    let store = Store::open(folder, db)?;
    for _ in 0..times {
        let lease = store.lease();
        let start = Instant::now();
        let info = store.ingest_layer(File::open(layer)?, LayerSource::default(), &lease)?;
        let ingest = start.elapsed();
        let start = Instant::now();
        store.layer_tar(&info.chain_id)?.verify()?;
        let rebuild = start.elapsed();
        let start = Instant::now();
        store.sync()?;
        let sync = start.elapsed();
        drop(lease);
        store.empty_trash()?;
        let rate = |time: std::time::Duration| info.tar_size as f64 / 1e6 / time.as_secs_f64();
        println!(
            "tar {} MB, files {} MB: ingest {ingest:.3?} = {:.0} MB/s, rebuild and verify {rebuild:.3?} = {:.0} MB/s, sync {sync:.3?}",
            info.tar_size / 1_000_000,
            info.size / 1_000_000,
            rate(ingest),
            rate(rebuild),
        );
    }
    Ok(())
}
