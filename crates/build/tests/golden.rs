//! The Dockerfiles in `dockerfiles/`: what is planned for each, beside what Docker made of it (`record.py`) and what
//! other programs read in it (`views.py`).
#![allow(clippy::unwrap_used, missing_docs)]

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use expect_test::expect_file;
use serde_json::Value;
use wharf_build::dockerfile::Dockerfile;
use wharf_build::graph::Graph;
use wharf_build::plan::{Images, PlanOptions, ResolvedImage, check, plan};
use wharf_oci::image::ImageConfig;
use wharf_oci::{Digest, Platform};

/// Every image is like the one that `record.py` used.
struct Any;

impl Images for Any {
    fn resolve(&self, name: &str, platform: &Platform) -> Result<ResolvedImage, String> {
        let mut config = ImageConfig { os: "linux".to_owned(), ..ImageConfig::default() };
        config.architecture.clone_from(&platform.architecture);
        config.config.env = Some(vec!["PATH=/bin".to_owned()]);
        config.config.cmd = Some(vec!["sh".to_owned()]);
        Ok(ResolvedImage { reference: name.to_owned(), id: Digest::sha256(name.as_bytes()), config })
    }
}

fn options() -> PlanOptions {
    PlanOptions {
        build_args: [("BASE".to_owned(), "base".to_owned())].into(),
        // Docker builds for its host's platform when none is named, which is not the same as naming it.
        ..PlanOptions::default()
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/dockerfiles")
}

/// Name and path of each Dockerfile.
fn files() -> Vec<(String, PathBuf)> {
    let mut files: Vec<_> = fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "Dockerfile"))
        .map(|path| (path.file_stem().unwrap().to_string_lossy().into_owned(), path))
        .collect();
    files.sort();
    assert!(files.len() >= 60, "the Dockerfiles are here");
    files
}

fn graph(path: &Path) -> Result<Graph, String> {
    let file = Dockerfile::parse(&fs::read_to_string(path).unwrap()).map_err(|e| e.to_string())?;
    plan(&file, &options(), &Any).map_err(|e| e.to_string())
}

fn recorded(path: &Path) -> Option<Value> {
    let text = fs::read_to_string(path.with_extension("docker.json")).ok()?;
    Some(serde_json::from_str(&text).unwrap())
}

#[test]
fn plans() {
    for (_, path) in files() {
        let shown = match graph(&path) {
            Ok(graph) => show(&graph),
            Err(e) => format!("error: {e}\n"),
        };
        // The host's processor is in some of them.
        let host = Platform::host().architecture;
        expect_file![path.with_extension("plan")].assert_eq(&shown.replace(&host, "HOST"));
    }
}

fn show(graph: &Graph) -> String {
    let mut out = String::new();
    for (i, node) in graph.nodes.iter().enumerate() {
        let lines =
            node.lines.as_ref().map(|l| format!(" lines {}-{}", l.start(), l.end())).unwrap_or_default();
        writeln!(out, "{i} {}\n  stage {:?}{lines}\n  {:?}", node.name, node.stage, node.op).unwrap();
    }
    for output in &graph.outputs {
        writeln!(out, "root {}\n{}", output.root.0, serde_json::to_string(&output.config).unwrap()).unwrap();
        for (entry, node) in &output.history {
            let node = node.map(|node| format!(" <- {}", node.0)).unwrap_or_default();
            writeln!(out, "history {}{node}", entry.created_by.replace('\n', "\\n")).unwrap();
        }
    }
    out
}

#[test]
fn images_are_those_that_docker_makes() {
    let mut compared = 0;
    let mut wrong = String::new();
    for (name, path) in files() {
        let Some(recorded) = recorded(&path) else { continue };
        if recorded.get("config").is_none() {
            continue;
        }
        let graph = graph(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        let output = &graph.outputs[0];
        let config = serde_json::to_value(&output.config).unwrap();
        let history: Vec<&str> = output.history.iter().map(|(entry, _)| entry.created_by.as_str()).collect();
        let mut steps: Vec<String> = graph.nodes.iter().map(|node| node.name.clone()).collect();
        steps.retain(|name| name.starts_with('[') && !name.starts_with("[internal]"));
        steps.iter_mut().for_each(|name| *name = name.replace("docker.io/library/base:latest", "BASE"));
        steps.sort();
        let mut expected_steps: Vec<String> = strings(&recorded["steps"]);
        expected_steps.iter_mut().for_each(|name| *name = name.replace("docker.io/BASE:latest", "BASE"));
        for (what, ours, theirs) in [
            ("config", sorted(config), sorted(recorded["config"].clone())),
            ("author", Value::from(output.author.clone()), recorded["author"].clone()),
            ("history", Value::from(history), recorded["history"].clone()),
            ("steps", Value::from(steps), Value::from(expected_steps)),
        ] {
            if ours != theirs {
                write!(wrong, "{name} {what}\n  ours   {ours}\n  theirs {theirs}\n").unwrap();
            }
        }
        compared += 1;
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared >= 40, "only {compared} were recorded");
}

#[test]
fn checks_find_what_dockers_find() {
    let mut wrong = String::new();
    for (name, path) in files() {
        let Some(recorded) = recorded(&path) else { continue };
        let Ok(file) = Dockerfile::parse(&fs::read_to_string(&path).unwrap()) else { continue };
        let found = check(&file, &options(), &Any).warnings;
        let mut ours: Vec<String> =
            found.iter().map(|w| format!("{} {} {}", w.lines.start(), w.check, w.message)).collect();
        let mut theirs: Vec<String> = recorded["checks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|c| format!("{} {} {}", c[1], c[0].as_str().unwrap(), c[2].as_str().unwrap()))
            .collect();
        ours.sort();
        theirs.sort();
        theirs.dedup();
        if ours != theirs {
            write!(wrong, "{name}\n  ours   {ours:#?}\n  theirs {theirs:#?}\n").unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Instructions by line as dockerfile-parse reads them; it knows no here-documents.
#[test]
fn instructions_are_those_that_others_read() {
    let views: Value = serde_json::from_str(include_str!("views.json")).unwrap();
    for (name, path) in files() {
        let text = fs::read_to_string(&path).unwrap();
        if text.contains("<<") || text.contains("escape=`") {
            continue;
        }
        let file = Dockerfile::parse(&text).unwrap();
        // An empty line ends an instruction for it, as it will for Docker some day.
        if !file.empty_continuations.is_empty() {
            continue;
        }
        let mut ours: Vec<(String, usize, usize)> = Vec::new();
        let mut add = |keyword: &str, lines: &std::ops::RangeInclusive<usize>| {
            ours.push((keyword.to_uppercase(), *lines.start(), *lines.end()));
        };
        file.global_args.iter().for_each(|arg| add(&arg.keyword, &arg.lines));
        for stage in &file.stages {
            add("FROM", &stage.lines);
            stage.instructions.iter().for_each(|i| add(&i.keyword, &i.lines));
        }
        let theirs: Vec<(String, usize, usize)> =
            serde_json::from_value(views[&name]["dockerfile-parse"].clone()).unwrap();
        assert_eq!(ours, theirs, "{name}");
    }
}

/// Findings that hadolint and the build checks share, by line, in files that hadolint can read.
#[test]
fn shared_checks_agree_with_hadolint() {
    let views: Value = serde_json::from_str(include_str!("views.json")).unwrap();
    let mut compared = 0;
    for (name, path) in files() {
        let found: Vec<(String, usize)> = serde_json::from_value(views[&name]["hadolint"].clone()).unwrap();
        if found.iter().any(|(code, _)| code == "DL1000") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let file = Dockerfile::parse(&text).unwrap();
        let ours = check(&file, &options(), &Any).warnings;
        for (code, rule) in [("DL4000", "MaintainerDeprecated"), ("DL3024", "DuplicateStageName")] {
            if file.directives.check.is_some() {
                continue;
            }
            let theirs: Vec<usize> = found.iter().filter(|(c, _)| c == code).map(|(_, line)| *line).collect();
            let ours: Vec<usize> =
                ours.iter().filter(|w| w.check == rule).map(|w| *w.lines.start()).collect();
            assert_eq!(ours, theirs, "{name} {rule}");
            compared += ours.len();
        }
    }
    assert!(compared >= 2, "only {compared} findings are shared");
}

fn strings(value: &Value) -> Vec<String> {
    serde_json::from_value(value.clone()).unwrap()
}

/// Keys in order, so that only content counts; what is `null` or an empty text is not there.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.into_iter().filter(|(_, v)| !v.is_null() && v != "").collect();
            entries.sort_by(|a, b| a.0.cmp(&b.0));
            entries.into_iter().map(|(key, value)| (key, sorted(value))).collect()
        }
        value => value,
    }
}
