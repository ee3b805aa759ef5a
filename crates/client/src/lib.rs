//! Typed Engine API client over a unix socket or TCP.
