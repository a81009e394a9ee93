//! safetensors headers and shard indices.
