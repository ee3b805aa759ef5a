//! How fast a container's output becomes its log.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Result;

use super::{Cli, figures, in_turn};

/// Measured rounds: each writes hundreds of megabytes.
const ROUNDS: usize = 5;
/// What a round writes, in MB.
const MEGABYTES: f64 = 6.0 * 67.1088;

/// Log capture: 64 KiB writes of 100-byte lines, in MB a second (so that more is better).
///
/// # Errors
/// A measured command failed.
pub(super) fn capture(sides: &[Cli]) -> Result<()> {
    let rates = in_turn(sides, ROUNDS, rate)?;
    let ratio = rates.get(1).map(|peer| rates[0] / peer);
    figures("log capture", &rates, |rate| format!("{rate:.0} MB/s"), ratio);
    Ok(())
}

fn rate(side: &Cli) -> Result<f64> {
    // The file is read from the page cache and written in blocks of 64 KiB; making it is not measured.
    let make = "l=$(head -c 99 /dev/zero | tr '\\0' x); yes $l | head -c 67108800 >/b";
    let write = "sleep 0.2; cat /b /b /b /b /b /b";
    let script = format!("{make}; touch /made; while [ ! -e /go ]; do sleep 0.01; done; {write}");
    let options = ["--log-opt", "max-size=50m", "--log-opt", "max-file=2"];
    let args =
        [&["run", "-d", "--name", "wharf-bench-log"], &options[..], &[&side.image, "sh", "-c", &script]];
    side.run(&args.concat())?;
    while side.run(&["exec", "wharf-bench-log", "test", "-e", "/made"]).is_err() {
        thread::sleep(Duration::from_millis(50));
    }
    side.run(&["exec", "wharf-bench-log", "touch", "/go"])?;
    let begin = Instant::now();
    side.run(&["wait", "wharf-bench-log"])?;
    let seconds = begin.elapsed().as_secs_f64() - 0.2;
    side.run(&["rm", "-f", "wharf-bench-log"])?;
    Ok(MEGABYTES / seconds)
}
