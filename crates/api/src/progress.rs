//! JSON lines of pull, load, import, push and build.

use crate::go::omit;

document! {
    /// One line of a progress stream.
    pub struct Progress {
        /// Text to print as it is (load, build).
        #[serde(skip_serializing_if = "omit")]
        pub stream: String,
        /// What is being done, for example `Downloading`.
        #[serde(skip_serializing_if = "omit")]
        pub status: String,
        /// How far it is; an empty document for a step without a measure.
        #[serde(rename = "progressDetail", skip_serializing_if = "omit")]
        pub detail: Option<ProgressDetail>,
        /// The same as a drawn bar.
        #[serde(skip_serializing_if = "omit")]
        pub progress: String,
        /// What it concerns: short layer id or tag.
        #[serde(skip_serializing_if = "omit")]
        pub id: String,
        /// Why it failed.
        #[serde(rename = "errorDetail", skip_serializing_if = "omit")]
        pub error_detail: Option<ErrorDetail>,
        /// The same as a text.
        #[serde(skip_serializing_if = "omit")]
        pub error: String,
        /// A result for programs.
        #[serde(skip_serializing_if = "omit")]
        pub aux: Option<serde_json::Value>,
    }
}

document! {
    /// How far a step is.
    pub struct ProgressDetail {
        /// Done so far.
        #[serde(skip_serializing_if = "omit")]
        pub current: i64,
        /// To be done; 0 when not known.
        #[serde(skip_serializing_if = "omit")]
        pub total: i64,
        /// `s` when the numbers are seconds; empty means bytes.
        #[serde(skip_serializing_if = "omit")]
        pub units: String,
    }
}

document! {
    /// Why a step failed.
    pub struct ErrorDetail {
        /// Exit code of a build step.
        #[serde(skip_serializing_if = "omit")]
        pub code: i64,
        /// In words.
        pub message: String,
    }
}

impl Progress {
    /// A line that concerns the whole operation.
    pub fn status(status: impl Into<String>) -> Self {
        Progress { status: status.into(), ..Progress::default() }
    }

    /// A line that concerns one layer and has no measure.
    pub fn step(id: impl Into<String>, status: impl Into<String>) -> Self {
        Progress {
            id: id.into(),
            status: status.into(),
            detail: Some(ProgressDetail::default()),
            ..Progress::default()
        }
    }

    /// A line that tells how far one layer is, in bytes; `total` 0 means unknown.
    pub fn bytes(id: impl Into<String>, status: impl Into<String>, current: i64, total: i64) -> Self {
        let detail = ProgressDetail { current, total, units: String::new() };
        Progress { id: id.into(), status: status.into(), detail: Some(detail), ..Progress::default() }
    }

    /// Text to print as it is.
    pub fn stream(text: impl Into<String>) -> Self {
        Progress { stream: text.into(), ..Progress::default() }
    }

    /// The last line of a failed operation.
    pub fn error(message: impl Into<String>) -> Self {
        let message = message.into();
        Progress {
            error_detail: Some(ErrorDetail { code: 0, message: message.clone() }),
            error: message,
            ..Progress::default()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn lines() {
        let lines: Vec<_> = [
            Progress::status("Pulling from library/busybox"),
            Progress::step("4f4fb700ef54", "Pulling fs layer"),
            Progress::bytes("4f4fb700ef54", "Downloading", 5, 10),
            Progress::stream("Loaded image: a:b\n"),
            Progress::error("unexpected EOF"),
        ]
        .iter()
        .map(|line| serde_json::to_string(line).unwrap())
        .collect();
        expect![[r#"
            {"status":"Pulling from library/busybox"}
            {"status":"Pulling fs layer","progressDetail":{},"id":"4f4fb700ef54"}
            {"status":"Downloading","progressDetail":{"current":5,"total":10},"id":"4f4fb700ef54"}
            {"stream":"Loaded image: a:b\n"}
            {"errorDetail":{"message":"unexpected EOF"},"error":"unexpected EOF"}"#]]
        .assert_eq(&lines.join("\n"));
    }
}
