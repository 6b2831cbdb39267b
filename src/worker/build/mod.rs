//! Builds: which interpreter, which installer, which steps, and what a finished venv looks like.

pub mod python;
pub mod fingerprint;
pub mod venv;
