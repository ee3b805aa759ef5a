//! The request bodies and error texts of the docker command line 28.5 for several hundred argument lists,
//! recorded by letting it talk to a server that only writes down what it gets.
//!
//! `golden.jsonl` holds a case a line: `args`, and either `error`, the message without usage line and pointer to
//! the help, or `differs` and `absent`, how the body differs from that of `create busybox`, which is the first line.

use std::{io, path::PathBuf};

use serde_json::{Map, Value};

use super::{CREATE, Surroundings, create_request};
use crate::parse::{self, Parsed};

struct Recorded;

impl Surroundings for Recorded {
    fn variable(&self, name: &str) -> Option<String> {
        (name == "GOLDEN").then(|| "from-client".to_owned())
    }

    fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let content: &[u8] = match path {
            "/folder/env1" => {
                b"# a comment\nA=1\n\nB=two words\n  LEAD=x\nGOLDEN\nNOSUCHVAR\nEMPTY=\nQ=\"quoted\"\nEQ=a=b\n"
            }
            "/folder/env2" => b"\xef\xbb\xbfBOM=1\r\nCR=2\r\n",
            "/folder/env3" => b"bad key=1\n",
            "/folder/env4" => b"=x\n",
            "/folder/env5" => b"A=\xff\xfe\n",
            "/folder/env6" => b"A=1\n\t#x\nB =2\n",
            "/folder/labels" => b"a.b=c\nonly\n# no\n x = y\n",
            "/folder/labels2" => b"a.b=c\nonly\n# no\n x=y\n",
            "/folder/seccomp.json" => {
                b"{\n  \"defaultAction\": \"SCMP_ACT_ALLOW\",\n \"x\": [1, 2]\n}\n"
            }
            "/folder" => return Err(io::Error::from_raw_os_error(21)),
            _ => return Err(io::Error::from_raw_os_error(2)),
        };
        Ok(content.to_vec())
    }

    fn folder(&self) -> PathBuf {
        PathBuf::from("/folder")
    }
}

/// The body, with the fields of endpoints that are not set left out.
fn body(args: &[String]) -> Result<Value, String> {
    let matches = match parse::parse(CREATE, false, args.to_vec())? {
        Parsed::Matches(matches) => matches,
        Parsed::Help { .. } => return Err("help".to_owned()),
    };
    let mut body = serde_json::to_value(create_request(&matches, &Recorded)?).unwrap();
    let endpoints = body["NetworkingConfig"]["EndpointsConfig"].as_object_mut().unwrap();
    for settings in endpoints.values_mut() {
        let empty = [Value::Null, Value::from(""), Value::from(0)];
        settings.as_object_mut().unwrap().retain(|_, value| !empty.contains(value));
    }
    Ok(body)
}

/// Applies `differs` and `absent` to the default body.
fn expected(default: &Value, case: &Value) -> Value {
    let mut body = default.clone();
    for (path, value) in case["differs"].as_object().unwrap_or(&Map::new()) {
        *body
            .pointer_mut(parent(path))
            .unwrap()
            .as_object_mut()
            .unwrap()
            .entry(leaf(path))
            .or_insert(Value::Null) = value.clone();
    }
    for path in case["absent"].as_array().unwrap_or(&Vec::new()) {
        let path = path.as_str().unwrap();
        body.pointer_mut(parent(path)).unwrap().as_object_mut().unwrap().remove(leaf(path));
    }
    body
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').unwrap().0
}

fn leaf(path: &str) -> &str {
    path.rsplit_once('/').unwrap().1
}

/// A value with the members of every object in order, so that texts can be compared.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<_> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            keys.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(keys.into_iter().collect())
        }
        other => other.clone(),
    }
}

#[test]
fn every_recorded_command_line_gives_the_recorded_request() {
    let lines: Vec<Value> =
        include_str!("golden.jsonl").lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let default = &lines[0]["body"];
    let mut wrong = Vec::new();
    for case in &lines[1..] {
        let args: Vec<String> = serde_json::from_value(case["args"].clone()).unwrap();
        let ours = match body(&args) {
            Ok(body) => sorted(&body).to_string(),
            Err(text) => text,
        };
        let theirs = match case["error"].as_str() {
            Some(text) => text.to_owned(),
            None => sorted(&expected(default, case)).to_string(),
        };
        if ours != theirs {
            wrong.push(format!("{args:?}\n  docker: {theirs}\n  wharf:  {ours}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {} differ\n{}", wrong.len(), lines.len() - 1, wrong.join("\n"));
}
