//! From per-sample evidence to one answer with its uncertainty.
