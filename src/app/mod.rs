//! What the three thin callers share: the message protocol between page and worker.
