//! `system check`: whether the engine's database and its disk agree.

use wharf_api::system::CheckReport;

use crate::{Cli, Error, Matches, Result, command::Command, flag::Flag, print};

static FLAGS: &[Flag] = &[Flag::bool("repair", "Mend what can be mended without losing data")];

/// The definition. Docker has no such command.
pub(crate) const COMMAND: Command =
    Command::new("check", "[OPTIONS]", "Check that the engine's records and files agree")
        .flags(FLAGS)
        .run(run);

fn run(cli: &Cli, m: &Matches) -> Result<()> {
    let client = cli.client()?;
    let report: CheckReport = cli.block_on(async { Ok(client.system_check(m.bool("repair")).await?) })?;
    for problem in &report.problems {
        let mended = if problem.mended { " (mended)" } else { "" };
        print::line(&format!("{}: {}{mended}", problem.subject, problem.what));
    }
    let left = report.problems.iter().filter(|problem| !problem.mended).count();
    match (report.problems.len(), left) {
        (0, _) => print::line("No problems found"),
        (all, 0) => print::line(&format!("Problems found: {all}, all mended")),
        (all, left) => return Err(Error::message(format!("problems found: {all}, mended: {}", all - left))),
    }
    Ok(())
}
