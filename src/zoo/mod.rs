//! Trains the toy zoo (native only).
