//! A small tree of HTML and SVG elements, and its one serializer.
//!
//! The page builds its DOM from this tree with `createElementNS` and text
//! nodes, exports write it with [`Element::to_html`] or [`Element::to_svg`];
//! text reaches neither unescaped. Names of tags and attributes are `'static`:
//! no input can choose one.

/// What an element belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace {
    /// `http://www.w3.org/1999/xhtml`
    Html,
    /// `http://www.w3.org/2000/svg`
    Svg,
}

impl Namespace {
    /// The URI for `createElementNS`.
    pub fn uri(self) -> &'static str {
        match self {
            Self::Html => "http://www.w3.org/1999/xhtml",
            Self::Svg => "http://www.w3.org/2000/svg",
        }
    }
}

/// One child of an element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Node {
    /// An element.
    Element(Element),
    /// Text, not escaped.
    Text(String),
}

/// An element.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Element {
    /// HTML or SVG.
    pub namespace: Namespace,
    /// Tag name.
    pub tag: &'static str,
    /// Attributes in writing order, values not escaped.
    pub attributes: Vec<(&'static str, String)>,
    /// Children in order.
    pub children: Vec<Node>,
}

/// An HTML element.
pub fn html(tag: &'static str) -> Element {
    Element { namespace: Namespace::Html, tag, attributes: vec![], children: vec![] }
}

/// An SVG element.
pub fn svg(tag: &'static str) -> Element {
    Element { namespace: Namespace::Svg, tag, attributes: vec![], children: vec![] }
}

impl Element {
    /// With one more attribute.
    #[must_use]
    pub fn attr(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.attributes.push((name, value.to_string()));
        self
    }

    /// With its `class`.
    #[must_use]
    pub fn class(self, value: impl std::fmt::Display) -> Self {
        self.attr("class", value)
    }

    /// With one more run of text.
    #[must_use]
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.children.push(Node::Text(text.into()));
        self
    }

    /// With one more child element.
    #[must_use]
    pub fn child(mut self, child: Element) -> Self {
        self.children.push(Node::Element(child));
        self
    }

    /// With more child elements.
    #[must_use]
    pub fn with(mut self, children: impl IntoIterator<Item = Element>) -> Self {
        self.children.extend(children.into_iter().map(Node::Element));
        self
    }

    /// With text of unknown direction, kept from reordering its surroundings.
    #[must_use]
    pub fn foreign(self, text: impl Into<String>) -> Self {
        let bdi = html("bdi").text(text);
        self.child(bdi)
    }

    /// As HTML; SVG within it is written so that XML parsers agree.
    pub fn to_html(&self) -> String {
        let mut out = String::new();
        self.write(Namespace::Html, &mut out);
        out
    }

    /// As a standalone SVG (XML) document.
    pub fn to_svg(&self) -> String {
        let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
        self.write(Namespace::Html, &mut out);
        out.push('\n');
        out
    }

    /// All text below this element, in order.
    pub fn inner_text(&self) -> String {
        let mut out = String::new();
        for child in &self.children {
            match child {
                Node::Text(t) => out.push_str(t),
                Node::Element(e) => out.push_str(&e.inner_text()),
            }
        }
        out
    }

    fn write(&self, parent: Namespace, out: &mut String) {
        out.push('<');
        out.push_str(self.tag);
        if self.namespace == Namespace::Svg && parent == Namespace::Html {
            out.push_str(" xmlns=\"http://www.w3.org/2000/svg\"");
        }
        for (name, value) in &self.attributes {
            out.push(' ');
            out.push_str(name);
            out.push_str("=\"");
            escape(value, out);
            out.push('"');
        }
        out.push('>');
        let is_html = self.namespace == Namespace::Html;
        if is_html && matches!(self.tag, "br" | "col" | "hr" | "img" | "input" | "meta" | "wbr") {
            return;
        }
        for child in &self.children {
            match child {
                // HTML reads a style sheet as raw text, ended by "</" alone.
                Node::Text(t) if is_html && self.tag == "style" => {
                    out.push_str(&t.replace("</", "<\\/"));
                }
                Node::Text(t) => escape(t, out),
                Node::Element(e) => e.write(self.namespace, out),
            }
        }
        out.push_str("</");
        out.push_str(self.tag);
        out.push('>');
        // One block a line keeps exports readable and comparable.
        if matches!(
            self.tag,
            "tr" | "p" | "h1" | "h2" | "h3" | "li" | "section" | "thead" | "tbody" | "style"
        ) || (self.namespace == Namespace::Svg && matches!(self.tag, "text" | "g" | "metadata"))
        {
            out.push('\n');
        }
    }
}

/// Appends `text` so that it is the same text in HTML and XML, in an element
/// as in a quoted attribute. What XML cannot hold becomes U+FFFD.
fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // A parser would turn a bare one into a line feed.
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_are_escaped() {
        let e = html("p").attr("title", "a\"b'c<d>").text("<script>alert('x') & \0\u{1b}[2J\r");
        assert_eq!(
            e.to_html(),
            "<p title=\"a&quot;b&#39;c&lt;d&gt;\">&lt;script&gt;alert(&#39;x&#39;) &amp; \u{fffd}\u{fffd}[2J&#13;</p>\n"
        );
    }

    #[test]
    fn the_namespace_is_declared_once_and_void_elements_stay_open() {
        let e = html("div").child(html("br")).child(svg("svg").child(svg("g")));
        assert_eq!(
            e.to_html(),
            "<div><br><svg xmlns=\"http://www.w3.org/2000/svg\"><g></g>\n</svg></div>"
        );
    }

    #[test]
    fn a_style_sheet_is_raw_but_cannot_end_itself() {
        assert_eq!(
            html("style").text("a>b{}</style><i>").to_html(),
            "<style>a>b{}<\\/style><i></style>\n"
        );
    }
}
