//! What a page is made of, read as a browser reads it: its forms with their fields, and its outline.

use std::collections::BTreeMap;

use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::places::{kind_of, own_page};

/// One piece of a page.
pub(crate) enum Piece {
    Start(String, BTreeMap<String, String>),
    End(String),
    Text(String),
}

/// A form as it would be sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Form {
    /// Path of the page that it stands on.
    pub(crate) page: String,
    pub(crate) method: String,
    pub(crate) action: String,
    pub(crate) multipart: bool,
    pub(crate) fields: Vec<Field>,
}

/// One field of it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Field {
    pub(crate) name: String,
    /// `type` of an input, `select` or `textarea`.
    pub(crate) kind: String,
    pub(crate) value: String,
    /// Whether it is sent as the page stands: boxes that are not ticked, buttons and files are not.
    pub(crate) sent: bool,
}

impl Field {
    /// What a tag begins, when it is a field with a name.
    fn of(tag: &str, attributes: &BTreeMap<String, String>) -> Option<Self> {
        let get = |name: &str| attributes.get(name).cloned().unwrap_or_default();
        let kind = match tag {
            "input" => get("type"),
            "select" | "textarea" => tag.to_owned(),
            _ => return None,
        };
        let is_box = kind == "checkbox" || kind == "radio";
        let off = attributes.contains_key("disabled") || kind == "file";
        let sent = !off && (!is_box || attributes.contains_key("checked"));
        Some(Self { name: get("name"), kind, value: get("value"), sent }).filter(|field| !field.name.is_empty())
    }

    /// Whether people type into it and see it again.
    pub(crate) fn is_typed(&self) -> bool {
        ["text", "search", "textarea", "date"].contains(&self.kind.as_str())
    }
}

impl Form {
    /// What a browser would send, with other values for some fields. Given names that are of no field are those of the
    /// button that is pressed, which comes last.
    pub(crate) fn pairs(&self, changed: &[(&str, &str)]) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        let mut left: Vec<&(&str, &str)> = changed.iter().collect();
        for field in self.fields.iter().filter(|field| field.kind != "file") {
            let at = left.iter().position(|(name, _)| *name == field.name);
            if let Some(at) = at {
                pairs.push((field.name.clone(), left.remove(at).1.to_owned()));
            } else if field.sent {
                pairs.push((field.name.clone(), field.value.clone()));
            }
        }
        pairs.extend(left.into_iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        pairs
    }

    /// The same form on another look at its page: same action and same fields.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let names = |form: &Self| form.fields.iter().map(|field| field.name.clone()).collect::<Vec<_>>();
        self.action == other.action && names(self) == names(other)
    }
}

/// The pieces of a page, in their order.
pub(crate) fn pieces(html: &str) -> Vec<Piece> {
    let mut emitter = DefaultEmitter::default();
    // Scripts, styles and text areas hold text.
    emitter.naively_switch_states(true);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let tokens = Tokenizer::new_with_emitter(html, emitter).filter_map(|Ok(token)| match token {
        Token::StartTag(tag) => {
            let attributes = tag.attributes.iter().map(|(name, value)| (text(name), text(value))).collect();
            Some(Piece::Start(text(&tag.name), attributes))
        }
        Token::EndTag(tag) => Some(Piece::End(text(&tag.name))),
        Token::String(string) => Some(Piece::Text(text(&string))),
        _ => None,
    });
    tokens.collect()
}

/// The forms of a page; fields that belong to one by `form=` are in it.
pub(crate) fn forms(page: &str, html: &str) -> Vec<Form> {
    let mut forms: Vec<(String, Form)> = Vec::new();
    let mut apart: Vec<(String, Field)> = Vec::new();
    let mut open = false;
    // The text or the menu that is being read, and whether it belongs to the form that it stands in.
    let mut inside: Option<(&str, bool)> = None;
    for piece in pieces(html) {
        match piece {
            Piece::Start(tag, attributes) => {
                let get = |name: &str| attributes.get(name).cloned().unwrap_or_default();
                let has = |name: &str| attributes.contains_key(name);
                match tag.as_str() {
                    "form" => {
                        let form = Form {
                            page: page.to_owned(),
                            method: get("method"),
                            action: get("action"),
                            multipart: get("enctype") == "multipart/form-data",
                            fields: Vec::new(),
                        };
                        forms.push((get("id"), form));
                        open = true;
                    }
                    "option" => {
                        let field = inside.filter(|(tag, _)| *tag == "select");
                        let field = field.and_then(|(_, own)| newest(&mut forms, &mut apart, own));
                        // A menu that has no choice yet has its first one.
                        if let Some(field) = field.filter(|field| has("selected") || field.value.is_empty()) {
                            field.value = get("value");
                        }
                    }
                    _ => {}
                }
                let field = Field::of(&tag, &attributes);
                if field.is_some() && (open || has("form")) {
                    let read = ["textarea", "select"].into_iter().find(|read| *read == tag);
                    inside = read.map(|read| (read, !has("form"))).or(inside);
                }
                if let Some(field) = field {
                    if has("form") {
                        apart.push((get("form"), field));
                    } else if open && let Some((_, form)) = forms.last_mut() {
                        form.fields.push(field);
                    }
                }
            }
            Piece::End(tag) => match tag.as_str() {
                "form" => open = false,
                "textarea" | "select" => inside = None,
                _ => {}
            },
            Piece::Text(text) => {
                let field = inside.filter(|(tag, _)| *tag == "textarea");
                if let Some(field) = field.and_then(|(_, own)| newest(&mut forms, &mut apart, own)) {
                    // A line break right after the tag is not part of it.
                    text.strip_prefix('\n').unwrap_or(&text).clone_into(&mut field.value);
                }
            }
        }
    }
    for (id, field) in apart {
        if let Some((_, form)) = forms.iter_mut().find(|(form, _)| *form == id) {
            form.fields.push(field);
        }
    }
    forms.into_iter().map(|(_, form)| form).collect()
}

/// The field that was read last: of the form that it stands in, or of those that belong to one by `form=`.
fn newest<'a>(forms: &'a mut [(String, Form)], apart: &'a mut [(String, Field)], own: bool) -> Option<&'a mut Field> {
    if own {
        forms.last_mut().and_then(|(_, form)| form.fields.last_mut())
    } else {
        apart.last_mut().map(|(_, field)| field)
    }
}

/// Where a page leads within the hub.
pub(crate) fn links(html: &str) -> Vec<String> {
    let linked = pieces(html).into_iter().filter_map(|piece| match piece {
        Piece::Start(tag, mut attributes) if tag == "a" => attributes.remove("href"),
        _ => None,
    });
    linked.filter_map(|href| own_page(&href)).collect()
}

/// Landmarks, headings, forms and their fields, one a line; what the data decide is left out.
pub(crate) fn outline(html: &str) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut heading: Option<String> = None;
    let mut within = false;
    for piece in pieces(html) {
        match piece {
            Piece::Start(tag, attributes) => {
                within |= tag == "main";
                let get = |name: &str| attributes.get(name).map(String::as_str).unwrap_or_default();
                let label = get("aria-label");
                match tag.as_str() {
                    "h1" | "h2" | "h3" | "legend" if within => heading = Some(format!("{tag} ")),
                    "header" | "main" | "footer" => lines.push(tag),
                    "nav" => lines.push(format!("nav {label}")),
                    "form" => lines.push(format!("form {} {}", get("method"), kind_of(get("action")))),
                    "input" | "select" | "textarea" if !get("name").is_empty() => {
                        lines.push(format!("  {} {} {}", tag, get("name"), get("type")).trim_end().to_owned());
                    }
                    "table" | "svg" | "progress" if within && get("class") != "icon" => {
                        lines.push(tag);
                    }
                    _ => {}
                }
            }
            Piece::End(tag) => {
                if ["h1", "h2", "h3", "legend"].contains(&tag.as_str())
                    && let Some(text) = heading.take()
                {
                    lines.push(text.split_whitespace().collect::<Vec<_>>().join(" "));
                }
            }
            Piece::Text(text) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&text.replace(|digit: char| digit.is_ascii_digit(), "0"));
                }
            }
        }
    }
    // Of rows that are alike, one stands for all.
    let mut seen = std::collections::BTreeSet::new();
    lines.retain(|line| seen.insert(line.clone()) || line.starts_with("form"));
    lines.dedup();
    lines.join("\n")
}
