//! A server of files on this machine, for looking at the built page.
//!
//! It sends the headers that `_headers` in the folder asks for, a file that
//! several static hosts read likewise, so that the page meets the same content
//! security policy here as there.

use crate::Result;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// Ports tried, from the one asked for.
const PORTS: u16 = 20;
/// Bytes of a request's head at the most.
const HEAD: u64 = 16 << 10;

/// Serves `folder` until interrupted.
pub fn serve(folder: &Path, port: u16, open: bool) -> Result<()> {
    let site = Arc::new(Site::read(folder)?);
    let listener = (port..=port.saturating_add(PORTS))
        .find_map(|p| TcpListener::bind((Ipv4Addr::LOCALHOST, p)).ok())
        .ok_or_else(|| format!("no port from {port} on is free: choose another with --port"))?;
    let at = listener.local_addr().map_err(|e| e.to_string())?;
    let url = format!("http://localhost:{}/", at.port());
    println!("basetrace is at {url} (Ctrl+C ends it)");
    if open {
        show(&url);
    }
    for stream in listener.incoming().flatten() {
        let site = Arc::clone(&site);
        // A browser that hangs up is no fault of ours.
        std::thread::spawn(move || drop(answer(stream, &site)));
    }
    Ok(())
}

/// Opens the browser, where there is one.
fn show(url: &str) {
    let (program, arguments): (_, &[&str]) = match std::env::consts::OS {
        "macos" => ("open", &[]),
        "windows" => ("cmd", &["/C", "start", ""]),
        _ => ("xdg-open", &[]),
    };
    let mut command = Command::new(program);
    command.args(arguments).arg(url).stdin(Stdio::null());
    if command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().is_err() {
        println!("Open that address in a browser.");
    }
}

struct Site {
    folder: PathBuf,
    headers: Vec<Rule>,
}

/// The headers of the paths that begin with `prefix` (or are it, if `exact`).
struct Rule {
    prefix: String,
    exact: bool,
    lines: Vec<String>,
}

impl Site {
    fn read(folder: &Path) -> Result<Self> {
        if !folder.join("index.html").is_file() {
            return Err(format!("there is no page in {}: run cargo xtask build", folder.display()));
        }
        let headers = fs::read_to_string(folder.join("_headers")).unwrap_or_default();
        Ok(Self { folder: folder.to_owned(), headers: rules(&headers) })
    }

    /// The file that `path` of a request names, if it is one of ours.
    fn file(&self, path: &str) -> Option<PathBuf> {
        let path = path.split(['?', '#']).next()?.trim_start_matches('/');
        let path = Path::new(if path.is_empty() { "index.html" } else { path });
        let inside = path.components().all(|c| matches!(c, Component::Normal(_)));
        let file = self.folder.join(path);
        (inside && file.is_file()).then_some(file)
    }

    /// Status line, headers and body for a request's first line.
    fn respond(&self, request: &str) -> (String, Vec<u8>) {
        let mut words = request.split_whitespace();
        let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
        let found = self.file(path).and_then(|f| Some((kind(&f), fs::read(f).ok()?)));
        let (status, kind, body) = match (method, found) {
            ("GET" | "HEAD", Some((kind, body))) => ("200 OK", kind, body),
            ("GET" | "HEAD", None) => ("404 Not Found", "text/plain", b"not found\n".to_vec()),
            _ => ("405 Method Not Allowed", "text/plain", vec![]),
        };
        let mut head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\
             Cache-Control: no-cache\r\nConnection: close\r\n",
            body.len()
        );
        for rule in &self.headers {
            if path == rule.prefix || !rule.exact && path.starts_with(&rule.prefix) {
                rule.lines.iter().for_each(|line| head += &format!("{line}\r\n"));
            }
        }
        head += "\r\n";
        (head, if method == "HEAD" { vec![] } else { body })
    }
}

/// Reads `_headers`: a path (`/*` for all below it), then indented `Name: value` lines.
fn rules(text: &str) -> Vec<Rule> {
    let mut rules: Vec<Rule> = vec![];
    for line in text.lines().filter(|l| !l.trim().is_empty() && !l.trim().starts_with('#')) {
        if !line.starts_with([' ', '\t']) {
            let path = line.trim();
            let prefix = path.strip_suffix('*');
            rules.push(Rule {
                prefix: prefix.unwrap_or(path).into(),
                exact: prefix.is_none(),
                lines: vec![],
            });
        } else if let Some(rule) = rules.last_mut() {
            rule.lines.push(line.trim().into());
        }
    }
    rules
}

fn answer(mut stream: TcpStream, site: &Site) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut reader = BufReader::new((&stream).take(HEAD));
    let mut request = String::new();
    reader.read_line(&mut request)?;
    // The rest of the head must be read, or closing would cut our answer off.
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let (head, body) = site.respond(&request);
    stream.write_all(head.as_bytes())?;
    stream.write_all(&body)
}

/// The media type, by extension.
fn kind(file: &Path) -> &'static str {
    match file.extension().and_then(|e| e.to_str()).unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "webmanifest" => "application/manifest+json",
        "wasm" => "application/wasm",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "txt" | "md" | "jsonl" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> Site {
        let folder = std::env::temp_dir().join(format!("xtask-{}-{name}", std::process::id()));
        fs::create_dir_all(folder.join("dist/sub")).unwrap();
        fs::write(folder.join("secret"), "no").unwrap();
        fs::write(folder.join("dist/index.html"), "<p>hi").unwrap();
        fs::write(folder.join("dist/sub/a.wasm"), [0, 1]).unwrap();
        let headers = "# all\n/*\n  X-All: 1\n\n/sub/a.wasm\n\tX-One: 2\n";
        fs::write(folder.join("dist/_headers"), headers).unwrap();
        Site::read(&folder.join("dist")).unwrap()
    }

    #[test]
    fn serves_files_with_type_and_headers() {
        let site = site("serves");
        let (head, body) = site.respond("GET / HTTP/1.1\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK\r\nContent-Type: text/html"), "{head}");
        assert!(head.contains("\r\nX-All: 1\r\n") && !head.contains("X-One"), "{head}");
        assert_eq!(body, b"<p>hi");
        let (head, body) = site.respond("HEAD /sub/a.wasm?v=1 HTTP/1.1");
        assert!(head.contains("application/wasm") && head.contains("Content-Length: 2"), "{head}");
        assert!(body.is_empty());
        assert!(site.respond("GET /sub/a.wasm HTTP/1.1").0.contains("X-One: 2"));
    }

    #[test]
    fn stays_inside_the_folder() {
        let site = site("stays");
        for path in ["/../secret", "/sub/../../secret", "//etc/passwd", "/sub", "/none"] {
            let (head, _) = site.respond(&format!("GET {path} HTTP/1.1"));
            assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
        }
        assert!(site.respond("POST / HTTP/1.1").0.starts_with("HTTP/1.1 405"));
    }
}
