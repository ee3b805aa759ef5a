//! What a client asks about a Dockerfile instead of having it built: `docker build --check`, `--call=outline`.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::Value;
use tonic::Status;
use wharf_api::build::{Export, Failure};
use wharf_build::dockerfile::Dockerfile;
use wharf_build::plan::{PlanOptions, outline};
use wharf_build::{Warning, report};

use super::super::connection::{Build, Connection};
use super::super::proto::control::SolveRequest;
use super::super::proto::gateway;
use super::super::{failure, options};
use super::Solve;

/// A question.
enum Question {
    Lint,
    Outline,
    Targets,
}

/// Answers the question that a gateway asks, with the documents that its client prints.
///
/// # Errors
/// There is no such question; the Dockerfile cannot be read.
pub(in super::super) async fn answer(
    connection: Arc<Connection>,
    build: Arc<Build>,
    request: &SolveRequest,
    asked: &gateway::SolveRequest,
) -> Result<HashMap<String, Vec<u8>>, Status> {
    let question = match asked.frontend_opt.get("requestid").map(String::as_str) {
        Some("frontend.lint") => Question::Lint,
        Some("frontend.outline") => Question::Outline,
        Some("frontend.targets") => Question::Targets,
        _ => return Err(failure::unsupported_request(&asked.frontend_opt)),
    };
    let options = options::read(request, asked)?;
    let mut solve = Solve::new(connection, build, request, options).await?;
    let (document, code) = solve.question(question).await?;
    let text = serde_json::to_vec_pretty(&document).map_err(|error| Status::internal(error.to_string()))?;
    Ok(HashMap::from([
        ("result.json".to_owned(), text.clone()),
        ("result.txt".to_owned(), text),
        ("result.statuscode".to_owned(), code.to_string().into_bytes()),
        ("version".to_owned(), b"1.0.0".to_vec()),
    ]))
}

impl Solve {
    /// The answer, and the client's exit code.
    async fn question(&mut self, question: Question) -> Result<(Value, u8), Status> {
        let folders = self.load().await?;
        let text = &self.source.text;
        let file = Dockerfile::parse(text).map_err(|error| {
            let lines = error.lines.map(|lines| (*lines.start(), *lines.end()));
            self.failed(&Failure { message: error.message, lines, step: None })
        })?;
        match question {
            Question::Targets => Ok((report::targets(&file), 0)),
            Question::Outline => {
                let options = PlanOptions {
                    target: self.options.request.target.clone(),
                    build_args: self.options.request.build_args.clone(),
                    ..PlanOptions::default()
                };
                let found = outline(&file, &options).map_err(|error| {
                    self.failed(&Failure { message: error.to_string(), ..Failure::default() })
                })?;
                Ok((report::outline(&file, &found), 0))
            }
            Question::Lint => {
                self.options.request.exports = vec![Export::Check];
                self.options.outputs.clear();
                let outcome = self.build(folders).await?;
                let warning = |warning: wharf_api::build::Warning| Warning {
                    check: warning.check,
                    message: warning.message,
                    description: warning.description,
                    lines: warning.lines.0..=warning.lines.1,
                };
                let warnings: Vec<_> = outcome.warnings.into_iter().map(warning).collect();
                let document = report::lint(&self.source.name, &self.source.text, &warnings);
                Ok((document, u8::from(!warnings.is_empty())))
            }
        }
    }
}
