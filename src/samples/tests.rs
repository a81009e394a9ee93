use super::*;

fn pairs(text: &str) -> Vec<(Option<String>, String)> {
    let s = parse("s", text.as_bytes()).unwrap();
    s.samples.into_iter().map(|s| (s.prompt, s.response)).collect()
}

fn pair(prompt: &str, response: &str) -> (Option<String>, String) {
    (Some(prompt.to_owned()), response.to_owned())
}

fn alone(response: &str) -> (Option<String>, String) {
    (None, response.to_owned())
}

fn notes(s: &Samples) -> Vec<(String, Vec<String>)> {
    s.notes.iter().map(|n| (n.text.clone(), n.places.clone())).collect()
}

#[test]
fn the_same_two_samples_in_every_form() {
    let want = [pair("Who, you?", "I am.\n\n\"Me\""), pair("And?", " so on")];
    let forms = [
        // JSON Lines, with fields in any case and order.
        "{\"Prompt\": \"Who, you?\", \"Response\": \"I am.\\n\\n\\\"Me\\\"\"}\n\n{\"OUTPUT\": \" so on\", \"instruction\": \"And?\"}\n",
        // A JSON list, pretty-printed.
        "[\n {\"question\": \"Who, you?\",\n \"answer\": \"I am.\\n\\n\\\"Me\\\"\"},\n {\"input\": \"And?\", \"completion\": \" so on\"}\n]",
        // A list within an object.
        "{\"model\": \"m\", \"few\": [1], \"data\": [{\"query\": \"Who, you?\", \"generated_text\": \"I am.\\n\\n\\\"Me\\\"\"}, {\"query\": \"And?\", \"generated_text\": \" so on\"}]}",
        // Column by column.
        "{\"prompt\": [\"Who, you?\", \"And?\"], \"response\": [\"I am.\\n\\n\\\"Me\\\"\", \" so on\"]}",
        // Chat.
        "{\"messages\": [{\"role\": \"system\", \"content\": \"x\"}, {\"role\": \"user\", \"content\": \"Who, you?\"}, {\"role\": \"assistant\", \"content\": [{\"type\": \"text\", \"text\": \"I am.\\n\\n\\\"Me\\\"\"}]}]}\n{\"conversations\": [{\"from\": \"human\", \"value\": \"And?\"}, {\"from\": \"gpt\", \"value\": \" so on\"}]}",
        // CSV, TSV and semicolons.
        "id,prompt,Response\n1,\"Who, you?\",\"I am.\n\n\"\"Me\"\"\"\n2,And?, so on\n",
        "prompt\tresponse\nWho, you?\t\"I am.\n\n\"\"Me\"\"\"\nAnd?\t so on\n",
        "Who, you?\t\"I am.\n\n\"\"Me\"\"\"\nAnd?\t so on\n",
        "prompt;response\r\nWho, you?;\"I am.\n\n\"\"Me\"\"\"\r\nAnd?; so on\r\n",
    ];
    for form in forms {
        assert_eq!(pairs(form), want, "{form}");
    }
}

#[test]
fn responses_alone() {
    assert_eq!(pairs("one, two\nmore\n\n \nthree"), [alone("one, two\nmore"), alone("three")]);
    assert_eq!(pairs("[\"a b\", \"c\"]"), [alone("a b"), alone("c")]);
    assert_eq!(pairs("\"a b\"\n\"c\""), [alone("\"a b\"\n\"c\"")]);
    assert_eq!(
        pairs("[[{\"generated_text\": \"a\"}], [{\"generated_text\": \"b\"}]]"),
        [alone("a"), alone("b")]
    );
    assert_eq!(pairs("text\n\"a, b\"\nc\n"), [alone("a, b"), alone("c")]);
    assert_eq!(
        pairs("[Music] plays\n\n{he} smiles"),
        [alone("[Music] plays"), alone("{he} smiles")]
    );
    assert_eq!(pairs("{\"text\": \"x\"}"), [alone("x")]);
    let prose = "Well, yes, we did\nsee, and say, it\n\nNo, not\tus";
    assert_eq!(pairs(prose).len(), 2);
}

#[test]
fn alpaca_and_several_answers() {
    assert_eq!(
        pairs("[{\"instruction\": \"Add\", \"input\": \"1 2\", \"output\": [\"3\", \"12\"]}]"),
        [pair("Add\n\n1 2", "3"), pair("Add\n\n1 2", "12")]
    );
    assert_eq!(pairs("instruction,input,output\n,x,y\n"), [pair("x", "y")]);
}

#[test]
fn what_is_left_out_is_counted_and_placed() {
    let text = b"{\"prompt\":\"p\",\"response\":\"a\"}\n{bad\n{\"prompt\":\"q\"}\n{\"response\":\" \"}\n{\"prompt\":\"p\",\"response\":\"a\"}\n{\"prompt\":\"p\",\"response\":\"b\xff\"}\n{\"prompt\":\"q\",\"response\":null}\n7\n";
    let s = parse("s.jsonl", text).unwrap();
    assert_eq!(s.samples.len(), 2);
    assert_eq!(s.samples[1].response, "b\u{fffd}");
    assert_eq!(s.samples[1].origin, "s.jsonl line 6");
    let at = |lines: &[u32]| lines.iter().map(|n| format!("s.jsonl line {n}")).collect();
    assert_eq!(
        notes(&s),
        [
            ("1 line with bytes that are no text was repaired".into(), at(&[6])),
            ("1 row that could not be parsed was left out".into(), at(&[2])),
            ("3 rows without a response were left out".into(), at(&[3, 7, 8])),
            ("1 empty response was left out".into(), at(&[4])),
            ("1 duplicate (same prompt and response) was left out".into(), at(&[5])),
        ]
    );
    assert_eq!(s.notes.iter().map(|n| n.count).collect::<Vec<_>>(), [1, 1, 3, 1, 1]);
}

#[test]
fn a_broken_first_line_does_not_lose_the_others() {
    let s = parse("s", b"{\"response\": \"cut\n{\"response\": \"whole\"}\n").unwrap();
    assert_eq!(s.samples.len(), 1);
    assert_eq!(s.notes[0].kind, "bad-row");
}

#[test]
fn rows_of_a_table_that_do_not_fit_are_counted() {
    let s = parse("t.csv", b"prompt,response\na,b\nc\nd,e,f\ng,\n").unwrap();
    assert_eq!(s.samples.len(), 1);
    assert_eq!(
        notes(&s),
        [
            ("1 row that could not be parsed was left out".into(), vec!["t.csv line 4".to_owned()]),
            ("1 row without a response was left out".into(), vec!["t.csv line 3".to_owned()]),
            ("1 empty response was left out".into(), vec!["t.csv line 5".to_owned()]),
        ]
    );
}

#[test]
fn utf16_is_read() {
    let text = "prompt\tresponse\r\nWas?\tSch\u{f6}n \u{1f600}\r\n";
    let bytes: Vec<u8> =
        [0xfeff].into_iter().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let s = parse("s.txt", &bytes).unwrap();
    assert_eq!(s.samples[0].prompt.as_deref(), Some("Was?"));
    assert_eq!(s.samples[0].response, "Sch\u{f6}n \u{1f600}");
    assert!(s.notes.is_empty());
}

#[test]
fn long_responses_are_left_out() {
    let text = format!("{}\n\nshort", "x".repeat((1 << 20) + 1));
    let s = parse("s", text.as_bytes()).unwrap();
    assert_eq!(s.samples.len(), 1);
    assert_eq!(s.notes[0].kind, "too-long");
}

#[test]
fn columns_say_who_wrote_a_row_and_what_it_comes_from() {
    let forms = [
        "model,base,prompt,response\nk, gpt2 ,p,x\nl,,p,y\n",
        "{\"model\":\"k\",\"Base_Model\":\"gpt2\",\"prompt\":\"p\",\"response\":\"x\"}\n{\"model\":\"l\",\"base\":\"\",\"prompt\":\"p\",\"response\":\"y\"}\n",
    ];
    for form in forms {
        let s = parse("s", form.as_bytes()).unwrap();
        let named: Vec<_> =
            s.samples.iter().map(|s| (s.model.as_deref(), s.base.as_deref())).collect();
        assert_eq!(named, [(Some("k"), Some("gpt2")), (Some("l"), None)], "{form}");
    }
}

#[test]
fn merging_counts_duplicates_across_files() {
    let a = parse("a", b"prompt,response\np,x\nq,\n").unwrap();
    let b = parse("b", b"prompt,response\np,x\np,y\nr,\n").unwrap();
    let m = merge(vec![a, b]);
    assert_eq!(m.samples.iter().map(|s| s.response.as_str()).collect::<Vec<_>>(), ["x", "y"]);
    assert_eq!(
        notes(&m),
        [
            ("2 empty responses were left out".into(), vec!["a line 3".into(), "b line 4".into()]),
            (
                "1 duplicate (same prompt and response) was left out".into(),
                vec!["b line 2".to_owned()]
            ),
        ]
    );
    assert_eq!(merge(vec![m.clone()]), m);
    assert_eq!(merge(vec![]), Samples::default());
}

#[test]
fn short_sentences_with_commas_are_no_table() {
    let text = "The first response, of some words.\n\nThe second response, of other words.";
    let read = parse("pasted text", text.as_bytes()).unwrap();
    let responses: Vec<&str> = read.samples.iter().map(|s| s.response.as_str()).collect();
    assert_eq!(
        responses,
        ["The first response, of some words.", "The second response, of other words."]
    );
}
