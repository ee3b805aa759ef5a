//! Engine API documents, stream framing, filters and error kinds. Holds no logic.
