//! Integration tests of the whole: they need root.
