//! Which images a Dockerfile names: whose registries may want credentials.

use wharf_oci::Platform;

use super::{PlanOptions, globals};
use crate::dockerfile::{Dockerfile, Kind};
use crate::expand::Lexer;

/// Names after `FROM` and `COPY --from`, as build arguments make them. Some may be stages' and not images'; what cannot
/// be expanded is left out, as the plan tells what is wrong with it.
pub fn named_images(file: &Dockerfile, options: &PlanOptions) -> Vec<String> {
    let lexer = Lexer::new(file.directives.escape);
    let platform = options.platforms.first().cloned().unwrap_or_else(Platform::host);
    let Ok(variables) = globals::of(file, options, &platform, &lexer) else { return Vec::new() };
    let instructions = file.stages.iter().flat_map(|stage| &stage.instructions);
    let sources = instructions.filter_map(|instruction| match &instruction.kind {
        Kind::Copy(_, flags) => flags.from.as_ref(),
        _ => None,
    });
    let names = file.stages.iter().map(|stage| &stage.base).chain(sources);
    names.filter_map(|name| Some(lexer.expand(name, &variables).ok()?.text)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_put_in() {
        let text = "ARG HOST=a.example\nARG TAG\nFROM $HOST/x:${TAG:-1} AS one\nFROM one\nCOPY --from=b.example/y /z /\n";
        let file = Dockerfile::parse(text).unwrap();
        let mut options = PlanOptions::default();
        assert_eq!(named_images(&file, &options), ["a.example/x:1", "one", "b.example/y"]);
        options.build_args.insert("TAG".to_owned(), "2".to_owned());
        assert_eq!(named_images(&file, &options)[0], "a.example/x:2");
    }
}
