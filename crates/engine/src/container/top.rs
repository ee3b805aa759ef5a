//! `top`: the processes of a container, as ps(1) of the host shows them.

use std::process::Command;

use wharf_api::container::TopResponse;
use wharf_runtime::Cgroup;

use crate::{Engine, Error, Result};

impl Engine {
    /// Lists the processes with the columns that `arguments` of ps(1) choose; empty means `-ef`.
    ///
    /// # Errors
    /// No such container, not running (409), or ps(1) is missing or refuses its arguments.
    pub fn container_top(&self, name: &str, arguments: &str) -> Result<TopResponse> {
        let entry = self.containers.find(name)?;
        self.running(&entry)?;
        let failed = |error: wharf_runtime::Error| Error::system(error.to_string()).caused_by(error);
        let pids =
            Cgroup::open(&self.cgroup_path(&entry.get())).and_then(|group| group.pids()).map_err(failed)?;
        let arguments = if arguments.is_empty() { "-ef" } else { arguments };
        let output = Command::new("ps").args(arguments.split_whitespace()).output().map_err(|error| {
            let words = match error.kind() {
                std::io::ErrorKind::NotFound => "exec: \"ps\": executable file not found in $PATH".to_owned(),
                _ => crate::error::io_words(&error),
            };
            Error::system(format!("ps: {words}"))
        })?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(Error::system(format!("ps: {}", words.trim())));
        }
        parse(&String::from_utf8_lossy(&output.stdout), &pids)
    }
}

/// Keeps the lines whose column `PID` is one of `pids`; the last column takes the rest of its line.
fn parse(text: &str, pids: &[i32]) -> Result<TopResponse> {
    let mut lines = text.lines();
    let titles: Vec<String> =
        lines.next().unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    let pid_column = titles
        .iter()
        .position(|title| title == "PID")
        .ok_or_else(|| Error::system("Couldn't find PID field in ps output"))?;
    let row = |line: &str| {
        let mut rest = line.trim_start();
        let mut fields = Vec::new();
        for _ in 1..titles.len() {
            let (field, after) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
            fields.push(field.to_owned());
            rest = after.trim_start();
        }
        fields.push(rest.trim_end().to_owned());
        let pid = fields.get(pid_column)?.parse().ok()?;
        pids.contains(&pid).then_some(fields)
    };
    let processes = lines.filter_map(row).collect();
    Ok(TopResponse { processes, titles })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_the_containers_processes_are_kept() {
        let text = "UID  PID CMD\nroot   1 /sbin/init\nroot  42 sleep 10 20\n";
        let table = parse(text, &[42]).unwrap();
        assert_eq!(table.titles, ["UID", "PID", "CMD"]);
        assert_eq!(table.processes, [["root", "42", "sleep 10 20"]]);
        assert!(parse("A B\n", &[1]).is_err());
    }
}
