//! The format's own tests.
