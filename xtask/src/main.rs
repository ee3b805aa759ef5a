//! Developer tasks: test, bench, tidy.

fn main() {}
