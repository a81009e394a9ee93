//! The field names that prompts and responses go by.

/// Names of prompts, the likeliest first; compared without case.
pub const PROMPTS: &[&str] =
    &["prompt", "instruction", "input", "question", "query", "context", "user"];

/// Names of responses, the likeliest first; compared without case.
pub const RESPONSES: &[&str] = &[
    "response",
    "output",
    "completion",
    "answer",
    "generated_text",
    "generation",
    "generated",
    "reply",
    "assistant",
    "text",
];

/// Names of lists of chat messages; compared without case.
pub const CONVERSATIONS: &[&str] = &["messages", "conversation", "conversations"];

/// Names of the model that wrote a response, the likeliest first; compared without case.
pub const MODELS: &[&str] = &["model", "model_name", "model_id", "generator", "writer"];

/// Names of the candidate that a known fine-tune comes from; compared without case.
pub const BASES: &[&str] = &["base", "base_model"];

/// Names of the set that a prompt belongs to; compared without case.
pub const SETS: &[&str] = &["prompt_set", "strategy", "set"];

fn among(name: &str, list: &[&str]) -> bool {
    list.iter().any(|n| n.eq_ignore_ascii_case(name.trim()))
}

/// Whether a field of this name holds a prompt.
pub fn is_prompt(name: &str) -> bool {
    among(name, PROMPTS)
}

/// Whether a field of this name holds a response.
pub fn is_response(name: &str) -> bool {
    among(name, RESPONSES)
}

/// Whether a field of this name holds a list of chat messages.
pub fn is_conversation(name: &str) -> bool {
    among(name, CONVERSATIONS)
}
