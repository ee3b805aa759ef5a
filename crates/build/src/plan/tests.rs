use expect_test::{Expect, expect};
use wharf_oci::image::ImageConfig;

use super::*;

/// Any image is there; `onbuild:*` has triggers.
struct Any;

impl Images for Any {
    fn resolve(&self, name: &str, platform: &Platform) -> Result<ResolvedImage, String> {
        if name.contains("missing") {
            return Err("not found".to_owned());
        }
        let mut config = ImageConfig {
            os: "linux".into(),
            architecture: platform.architecture.clone(),
            ..Default::default()
        };
        config.config.env = Some(vec!["PATH=/bin".to_owned()]);
        config.config.cmd = Some(vec!["sh".to_owned()]);
        if name.contains("onbuild") {
            config.config.on_build =
                Some(vec!["COPY --from=other /a /b".to_owned(), "RUN echo t".to_owned()]);
        }
        Ok(ResolvedImage { reference: name.to_owned(), id: Digest::sha256(name.as_bytes()), config })
    }
}

fn linux() -> PlanOptions {
    PlanOptions { platforms: vec![Platform::parse("linux/amd64").unwrap()], ..PlanOptions::default() }
}

fn planned(text: &str, options: &PlanOptions) -> Result<Graph, String> {
    let file = Dockerfile::parse(text).map_err(|e| e.to_string())?;
    plan(&file, options, &Any).map_err(|e| format!("{e} {:?}", e.lines))
}

fn names(text: &str, options: &PlanOptions, expected: Expect) {
    let shown = match planned(text, options) {
        Ok(graph) => graph.nodes.iter().map(|node| format!("{}\n", node.name)).collect(),
        Err(e) => format!("! {e}\n"),
    };
    expected.assert_eq(&shown);
}

#[test]
fn only_what_the_target_needs_is_planned() {
    let text = "FROM a AS build\nRUN make\nCOPY . /src\nFROM a AS unused\nRUN no\nFROM scratch\nWORKDIR /w\nCOPY --from=build /out /\n";
    names(
        text,
        &linux(),
        expect![[r#"
            [build 1/3] FROM docker.io/library/a:latest
            scratch
            [build 2/3] RUN make
            [internal] load build context
            [build 3/3] COPY . /src
            [stage-2 1/2] WORKDIR /w
            [stage-2 2/2] COPY --from=build /out /
        "#]],
    );
    names(
        text,
        &PlanOptions { target: Some("unused".to_owned()), ..linux() },
        expect![[r#"
            [unused 1/2] FROM docker.io/library/a:latest
            [unused 2/2] RUN no
        "#]],
    );
}

#[test]
fn triggers_of_the_base_come_first() {
    names(
        "FROM a AS other\nFROM onbuild\nRUN own\n",
        &linux(),
        expect![[r#"
            [stage-1 1/2] FROM docker.io/library/onbuild:latest
            [other 1/1] FROM docker.io/library/a:latest
            [stage-1 2/4] ONBUILD COPY --from=other /a /b
            [stage-1 3/4] ONBUILD RUN echo t
            [stage-1 4/4] RUN own
        "#]],
    );
}

#[test]
fn errors_have_dockers_words() {
    let all = [
        "FROM $NOPE",
        "FROM UPPER",
        "FROM missing",
        "FROM a AS a\nCOPY --from=a /a /b",
        "FROM a\nCOPY --from=3 /a /b",
        "FROM a\nCOPY --from=$X /a /b",
        "FROM a\nRUN --mount=type=bogus true",
        "FROM a\nRUN --mount=type=bind true",
        "FROM a\nENV a=${b:x}",
        "FROM a\nENV a=${b",
        "FROM a\nSTOPSIGNAL BOGUS",
        "FROM a\nEXPOSE abc",
        "FROM a\nCOPY --chmod=zzz a b",
        "FROM a\nADD --checksum=sha256:bad f /x",
        "FROM --platform=bogus a",
        "ARG x=1",
    ];
    let shown = all.map(|text| format!("{}\n", planned(text, &linux()).err().unwrap_or_default())).concat();
    expect![[r#"
        base name ($NOPE) should not be blank Some(1..=1)
        failed to parse stage name "UPPER": invalid reference format: repository name (library/UPPER) must be lowercase Some(1..=1)
        missing: not found Some(1..=1)
        circular dependency detected on stage: a Some(2..=2)
        invalid stage index 3 Some(2..=2)
        variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround Some(2..=2)
        unsupported mount type "bogus" Some(2..=2)
        invalid mount target "/" Some(2..=2)
        failed to process "${b:x}": unsupported modifier (:x) in substitution Some(2..=2)
        failed to process "${b": unsupported modifier (�) in substitution Some(2..=2)
        invalid signal: BOGUS Some(2..=2)
        invalid containerPort: abc Some(2..=2)
        invalid syntax Some(2..=2)
        checksum requires HTTP(S) or Git sources Some(2..=2)
        failed to parse platform bogus: "bogus": unknown operating system or architecture: invalid argument Some(1..=1)
        dockerfile contains no stages to build
    "#]].assert_eq(&shown);
}
