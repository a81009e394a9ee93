//! Malformed samples.

use basetrace::samples;

const HINT: &str = "(hint: use JSONL or CSV with the fields prompt and response, or plain text with a blank line between samples)";

#[test]
fn each_has_its_message() {
    let name = "(hint: name the column with the suspect's text \"response\", and the one with its prompt \"prompt\")";
    let cases: &[(&[u8], &str, &str)] = &[
        (b"", "there is no text in it", HINT),
        (b" \n\n\t\n", "there is no text in it", HINT),
        (b"\xef\xbb\xbf", "there is no text in it", HINT),
        (b"{\"a\": ", "this is not valid JSON: EOF while parsing a value at line 1 column 6", HINT),
        (
            b"[\"a\", \"b\"",
            "this is not valid JSON: EOF while parsing a list at line 1 column 9",
            HINT,
        ),
        (b"[]", "there are no samples in it", HINT),
        (b"{\"prompt\": \"p\"}", "no usable samples: 1 row without a response was left out", HINT),
        (
            b"{\"prompt\": \"p\"}\n{\"response\": \"\"}\n{x\n",
            "no usable samples: 1 row that could not be parsed was left out; 1 row without a response was left out; 1 empty response was left out",
            HINT,
        ),
        (
            b"id,title,body\n1,a,b\n2,c,d\n",
            "the table has no column of responses; its columns are id, title, body",
            name,
        ),
        (
            b"prompt,model\na,b\n",
            "the table has no column of responses; its columns are prompt, model",
            name,
        ),
        (b"prompt,response\na,\nb,\n", "no usable samples: 2 empty responses were left out", HINT),
    ];
    for (bytes, message, hint) in cases {
        let error = samples::parse("s", bytes).unwrap_err();
        assert_eq!(error.to_string(), format!("s: {message} {hint}"));
    }
}
