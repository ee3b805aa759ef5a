//! The `wharf` binary: picks a subcommand or an `argv[0]` name and hands over.

fn main() {}
