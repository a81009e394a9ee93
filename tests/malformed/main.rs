//! Malformed files, each with the exact message that a user reads, and the
//! promise that they cost nobody else's files.

mod build;
mod fuzz;
mod models;
mod texts;
