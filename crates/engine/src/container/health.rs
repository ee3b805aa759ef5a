//! Health of a container as a value: what a check asks for, and what the result of a probe makes of the health.

use std::{collections::VecDeque, time::Duration};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use wharf_api::container::Config;

use super::{Container, State};

/// How many results are kept.
const KEPT: usize = 5;
const DEFAULT_INTERVAL: Duration = Duration::from_secs(30);
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_START_INTERVAL: Duration = Duration::from_secs(5);
const DEFAULT_RETRIES: i64 = 3;
/// What runs a check in shell form if neither the container nor its image names a shell.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];

/// What the probes of a container say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HealthStatus {
    /// No probe has succeeded yet, and not enough have failed.
    #[default]
    Starting,
    /// The last probes succeeded, or too few failed since.
    Healthy,
    /// As many probes in a row as the check allows have failed.
    Unhealthy,
}

impl HealthStatus {
    /// The word clients know.
    pub const fn as_str(self) -> &'static str {
        match self {
            HealthStatus::Starting => "starting",
            HealthStatus::Healthy => "healthy",
            HealthStatus::Unhealthy => "unhealthy",
        }
    }
}

/// Health of a container with a check. The results are in memory only.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// What counts.
    pub status: HealthStatus,
    /// Failures in a row; those of the start period are not counted.
    pub failing_streak: i64,
    /// The last five results, the oldest first.
    #[serde(skip)]
    pub log: VecDeque<Probe>,
}

/// The result of one probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// When it was begun.
    pub start: Timestamp,
    /// When its result was there.
    pub end: Timestamp,
    /// 0 is success; -1 if it ran out of time or could not be run.
    pub exit_code: i32,
    /// What it printed, or why there is nothing.
    pub output: String,
}

/// A health check with its defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Program and arguments of a probe.
    pub(super) command: Vec<String>,
    /// Time a probe may take.
    pub(super) timeout: Duration,
    interval: Duration,
    start_period: Duration,
    start_interval: Duration,
    retries: i64,
}

impl Check {
    /// The check of a container, `None` if it has none. `image_shell` is the shell of its image.
    pub(crate) fn new(config: &Config, image_shell: Option<Vec<String>>) -> Option<Check> {
        let asked = config.healthcheck.as_ref()?;
        let (form, arguments) = asked.test.split_first()?;
        let mut command = match form.as_str() {
            "CMD" => Vec::new(),
            "CMD-SHELL" if !config.shell.is_empty() => config.shell.to_vec(),
            "CMD-SHELL" => image_shell
                .filter(|shell| !shell.is_empty())
                .unwrap_or_else(|| DEFAULT_SHELL.map(str::to_owned).to_vec()),
            // `NONE`, and what no engine knows.
            _ => return None,
        };
        command.extend_from_slice(arguments);
        let time = |nanoseconds: i64, default| match u64::try_from(nanoseconds) {
            Ok(0) | Err(_) => default,
            Ok(nanoseconds) => Duration::from_nanos(nanoseconds),
        };
        Some(Check {
            command,
            timeout: time(asked.timeout, DEFAULT_TIMEOUT),
            interval: time(asked.interval, DEFAULT_INTERVAL),
            start_period: time(asked.start_period, Duration::ZERO),
            start_interval: time(asked.start_interval, DEFAULT_START_INTERVAL),
            retries: if asked.retries > 0 { asked.retries } else { DEFAULT_RETRIES },
        })
    }

    /// How long to wait for the next probe of a container that has run for `age`.
    pub(super) fn delay(&self, status: HealthStatus, age: Duration) -> Duration {
        if age < self.start_period && status == HealthStatus::Starting {
            self.start_interval
        } else {
            self.interval
        }
    }
}

impl Health {
    /// Takes in the result of a probe that was begun when the container had run for `age`.
    pub(super) fn record(&mut self, check: &Check, age: Duration, probe: Probe) {
        let failed = probe.exit_code != 0;
        while self.log.len() >= KEPT {
            self.log.pop_front();
        }
        self.log.push_back(probe);
        if !failed {
            self.failing_streak = 0;
            self.status = HealthStatus::Healthy;
            return;
        }
        if self.status == HealthStatus::Starting && age < check.start_period {
            return;
        }
        self.failing_streak += 1;
        if self.failing_streak >= check.retries {
            self.status = HealthStatus::Unhealthy;
        }
    }
}

impl State {
    /// The health at the begin of a run; earlier results are kept, as Docker keeps them.
    pub(super) fn begin_health(&mut self, config: &Config) {
        let log = self.health.take().map(|health| health.log).unwrap_or_default();
        self.health = Check::new(config, None).map(|_| Health { log, ..Health::default() });
    }

    /// compat: a container that is not probed any more, because it has ended or is paused, counts as unhealthy.
    pub(super) fn suspend_health(&mut self) {
        if let Some(health) = &mut self.health {
            health.status = HealthStatus::Unhealthy;
        }
    }
}

impl Container {
    /// `starting`, `healthy`, `unhealthy`, or `none` for a container without a check.
    pub fn health_word(&self) -> &'static str {
        self.state.health.as_ref().map_or("none", |health| health.status.as_str())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use wharf_api::container::Healthcheck;

    use super::*;

    fn config(test: &[&str]) -> Config {
        let test = test.iter().map(|word| (*word).to_owned()).collect();
        Config { healthcheck: Some(Healthcheck { test, ..Healthcheck::default() }), ..Config::default() }
    }

    fn check(start_period: u64, retries: i64) -> Check {
        let start_period = Duration::from_secs(start_period);
        Check { start_period, retries, ..Check::new(&config(&["CMD", "true"]), None).unwrap() }
    }

    /// The status and streak after each of the probes given as (age of the container in seconds, exit code).
    fn after(check: &Check, probes: &[(u64, i32)]) -> Vec<(HealthStatus, i64)> {
        let mut health = Health::default();
        let mut record = |&(age, exit_code): &(u64, i32)| {
            let at = Timestamp::UNIX_EPOCH;
            let probe = Probe { start: at, end: at, exit_code, output: String::new() };
            health.record(check, Duration::from_secs(age), probe);
            assert!(health.log.len() <= KEPT);
            (health.status, health.failing_streak)
        };
        probes.iter().map(&mut record).collect()
    }

    use HealthStatus::{Healthy, Starting, Unhealthy};

    #[test]
    fn failures_in_a_row_make_it_unhealthy_and_one_success_healthy() {
        let seen = after(&check(0, 2), &[(1, 1), (2, 0), (3, 1), (4, -1), (5, 7), (6, 0)]);
        let expected =
            [(Starting, 1), (Healthy, 0), (Healthy, 1), (Unhealthy, 2), (Unhealthy, 3), (Healthy, 0)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn failures_of_the_start_period_count_only_after_a_success() {
        assert_eq!(
            after(&check(10, 1), &[(1, 1), (9, 1), (10, 1)]),
            [(Starting, 0), (Starting, 0), (Unhealthy, 1)]
        );
        assert_eq!(after(&check(10, 1), &[(1, 0), (2, 1)]), [(Healthy, 0), (Unhealthy, 1)]);
    }

    #[test]
    fn the_last_five_results_are_kept() {
        let mut health = Health::default();
        for exit_code in 0..7 {
            let at = Timestamp::UNIX_EPOCH;
            let probe = Probe { start: at, end: at, exit_code, output: String::new() };
            health.record(&check(0, 3), Duration::ZERO, probe);
        }
        assert_eq!(health.log.iter().map(|probe| probe.exit_code).collect::<Vec<_>>(), [2, 3, 4, 5, 6]);
    }

    #[test]
    fn probes_come_at_the_start_interval_until_the_first_result_that_counts() {
        let check = check(10, 3);
        let delay = |status, age| check.delay(status, Duration::from_secs(age));
        assert_eq!(delay(Starting, 0), DEFAULT_START_INTERVAL);
        assert_eq!(delay(Starting, 10), DEFAULT_INTERVAL);
        assert_eq!(delay(Healthy, 0), DEFAULT_INTERVAL);
    }

    #[test]
    fn forms_of_a_check() {
        let command = |test: &[&str]| Check::new(&config(test), None).map(|check| check.command.join(" "));
        assert_eq!(command(&["CMD", "a", "b"]).unwrap(), "a b");
        assert_eq!(command(&["CMD-SHELL", "a && b"]).unwrap(), "/bin/sh -c a && b");
        assert_eq!([command(&["NONE"]), command(&[]), command(&["OTHER", "x"])], [None, None, None]);
        let shell = Some(vec!["/bin/ash".to_owned(), "-xc".to_owned()]);
        let check = Check::new(&config(&["CMD-SHELL", "a"]), shell).unwrap();
        assert_eq!(check.command, ["/bin/ash", "-xc", "a"]);
        assert_eq!((check.timeout, check.retries), (DEFAULT_TIMEOUT, DEFAULT_RETRIES));
    }
}
