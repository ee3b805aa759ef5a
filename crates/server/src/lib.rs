//! Engine API routes, views and hijacked streams over the engine.
