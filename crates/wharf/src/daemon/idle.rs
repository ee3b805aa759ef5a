//! An engine at rest holds little memory.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;
use wharf_sys::memory::release_unused;

/// How often the engine looks at what it did.
const PERIOD: Duration = Duration::from_secs(2);
/// Processor time in a period that still counts as rest: timers, health checks.
const REST: Duration = Duration::from_millis(10);
/// Processor time after which there may be something to give back.
const WORTH: Duration = Duration::from_millis(10);

/// Gives memory back each time the engine comes to rest, first after its start. Never returns.
///
/// Processor time tells rest from work whatever the work is: calls, transfers, ends of containers.
pub(super) async fn release_at_rest() {
    let mut period = tokio::time::interval_at(Instant::now() + PERIOD, PERIOD);
    period.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let (mut previous, mut released) = (processor_time(), None);
    loop {
        period.tick().await;
        let now = processor_time();
        if now - previous < REST && released.is_none_or(|then| now - then > WORTH) {
            // May wait for the heap's locks.
            let _ = tokio::task::spawn_blocking(release_unused).await;
            released = Some(processor_time());
        }
        previous = now;
    }
}

fn processor_time() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().unwrap_or_default()
}
