//! Starting, listing and entering containers.

use std::{thread, time::Instant};

use anyhow::Result;

use super::{Cli, compare, row};

/// Containers in the measurements of many.
pub(super) const MANY: usize = 100;
/// Starts at a time in the measurement of parallel starts.
const PARALLEL: usize = 8;

/// One command at a time: `run`, `exec`.
///
/// # Errors
/// A measured command failed.
pub(super) fn single(sides: &[Cli]) -> Result<()> {
    for (title, network) in [("run --rm, bridge", "bridge"), ("run --rm, --network none", "none")] {
        compare(title, sides, |side| side.time(&["run", "--rm", "--network", network, &side.image, "true"]))?;
    }
    for side in sides {
        side.run(&["run", "-d", "--name", "wharf-bench-exec", &side.image, "sleep", "100000"])?;
    }
    compare("exec true", sides, |side| side.time(&["exec", "wharf-bench-exec", "true"]))?;
    for side in sides {
        side.run(&["rm", "-f", "wharf-bench-exec"])?;
    }
    Ok(())
}

/// A hundred containers: starting them eight at a time, listing them.
///
/// # Errors
/// A measured command failed.
pub(super) fn many(sides: &[Cli]) -> Result<()> {
    let start = |side: &Cli| {
        let begin = Instant::now();
        thread::scope(|scope| {
            let workers: Vec<_> = (0..PARALLEL)
                .map(|worker| {
                    scope.spawn(move || {
                        for number in (worker..MANY).step_by(PARALLEL) {
                            let name = format!("wharf-bench-{number}");
                            side.run(&["run", "-d", "--name", &name, &side.image, "sleep", "100000"])?;
                        }
                        Ok::<_, anyhow::Error>(())
                    })
                })
                .collect();
            workers
                .into_iter()
                .try_for_each(|worker| worker.join().map_err(|_| anyhow::anyhow!("panicked"))?)
        })?;
        Ok::<_, anyhow::Error>(begin.elapsed().as_secs_f64())
    };
    let times: Vec<f64> = sides.iter().map(start).collect::<Result<_>>()?;
    row(&format!("{MANY} starts, {PARALLEL} at a time"), &times);
    compare(&format!("ps with {MANY} containers"), sides, |side| side.time(&["ps"]))?;
    for side in sides {
        let names: Vec<_> = (0..MANY).map(|number| format!("wharf-bench-{number}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        side.run(&[&["rm", "-f"], names.as_slice()].concat())?;
    }
    Ok(())
}
