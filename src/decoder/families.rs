//! The list of supported families; one file each.
