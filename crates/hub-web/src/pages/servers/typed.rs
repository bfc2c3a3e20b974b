//! What is typed into a server's form, and the server it stands for.

use hub_core::{
    error::UserError,
    server::{
        DEFAULT_MAX_IN_FLIGHT, DEFAULT_RUN_LIMIT_S, DEFAULT_STALL_LIMIT_S, DEFAULT_WEIGHT, NewServer, Server,
        ServerAuth,
    },
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::{
    api::{AuthRecord, ServerBody},
    pages::form::{number, ticked},
    said,
};

/// The form as typed. Secrets are not shown again: they would land in the page.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Typed {
    pub(super) name: String,
    pub(super) base_url: String,
    pub(super) auth: String,
    pub(super) user: String,
    pub(super) header: String,
    #[serde(skip_serializing)]
    pub(super) secret: String,
    /// `Name: value` a line; without a value the stored one stays.
    #[serde(skip_serializing)]
    pub(super) headers: String,
    pub(super) origin: String,
    pub(super) ca: String,
    pub(super) weight: String,
    pub(super) group: String,
    pub(super) gpu: String,
    pub(super) max_in_flight: String,
    pub(super) run_limit_s: String,
    pub(super) stall_limit_s: String,
    pub(super) enabled: String,
    pub(super) draining: String,
    /// Version that was read, so that nobody's change is overwritten unseen.
    pub(super) version: String,
    /// Id of the stored server, of a test.
    pub(super) stored: String,
    /// What the field for several headers is filled with: names alone.
    #[serde(skip_deserializing)]
    pub(super) header_names: String,
}

pub(super) fn on(is: bool) -> String {
    if is { "on".to_owned() } else { String::new() }
}

impl Typed {
    pub(super) fn of(server: &Server, version: String) -> Self {
        let auth = AuthRecord::of(&server.auth);
        let names = auth.headers.unwrap_or_default().into_iter().map(|header| format!("{}: ", header.name));
        Self {
            name: server.name.clone(),
            base_url: server.base_url.to_string(),
            auth: auth.kind.to_owned(),
            user: auth.user.unwrap_or_default(),
            header: auth.header.unwrap_or_default(),
            header_names: names.collect::<Vec<_>>().join("\n"),
            origin: server.origin.clone().unwrap_or_default(),
            ca: server.ca.clone().map(String::from).unwrap_or_default(),
            weight: server.weight.to_string(),
            group: server.group.clone().unwrap_or_default(),
            gpu: server.gpu.clone().unwrap_or_default(),
            max_in_flight: server.max_in_flight.to_string(),
            run_limit_s: server.run_limit_s.to_string(),
            stall_limit_s: server.stall_limit_s.to_string(),
            enabled: on(server.enabled),
            draining: on(server.draining),
            version,
            stored: server.id.to_string(),
            ..Self::default()
        }
    }

    /// An empty form with the usual settings, perhaps with an address that was found.
    pub(super) fn fresh(name: String, base_url: String) -> Self {
        Self {
            name,
            base_url,
            auth: "none".to_owned(),
            weight: DEFAULT_WEIGHT.to_string(),
            max_in_flight: DEFAULT_MAX_IN_FLIGHT.to_string(),
            run_limit_s: DEFAULT_RUN_LIMIT_S.to_string(),
            stall_limit_s: DEFAULT_STALL_LIMIT_S.to_string(),
            enabled: on(true),
            ..Self::default()
        }
    }

    fn auth(&self, stored: Option<&Server>) -> Result<Map<String, Value>, UserError> {
        let kind = if self.auth.is_empty() { "none" } else { self.auth.as_str() };
        let mut auth = Map::new();
        auth.insert("kind".to_owned(), json!(kind));
        let mut secret = |field: &str| {
            // Left out, the stored one stays.
            if !self.secret.trim().is_empty() {
                auth.insert(field.to_owned(), json!(self.secret.trim()));
            }
        };
        match kind {
            "basic" => secret("password"),
            "bearer" => secret("token"),
            "api_key" => secret("key"),
            _ => {}
        }
        match kind {
            "basic" => drop(auth.insert("user".to_owned(), json!(self.user.trim()))),
            "api_key" => drop(auth.insert("header".to_owned(), json!(self.header.trim()))),
            "headers" => drop(auth.insert("headers".to_owned(), Value::Array(self.header_pairs(stored)?))),
            _ => {}
        }
        Ok(auth)
    }

    /// The headers as typed; those whose value is stored may come without one.
    fn header_pairs(&self, stored: Option<&Server>) -> Result<Vec<Value>, UserError> {
        let refused = |why: String| Err(UserError::argument("auth.headers", why));
        let known = stored_headers(stored);
        let mut pairs = Vec::new();
        for (at, line) in self.headers.lines().map(str::trim).enumerate().filter(|(_, line)| !line.is_empty()) {
            let Some((name, value)) = header_of(line, &known) else {
                return refused(said!(
                    "Line {number} is no header: write it as X-Name: value. It is not shown again, since it may be a secret.",
                    number = at + 1
                ));
            };
            if value.is_empty() && !is_among(&known, name) {
                let name: String = name.chars().take(80).collect();
                return refused(said!("The header `{name}` needs a value: none is stored of it.", name));
            }
            pairs.push(json!({"name": name, "value": value}));
        }
        if pairs.is_empty() {
            return refused(said!("Write one header a line at least, as X-Name: value.").to_string());
        }
        Ok(pairs)
    }

    /// What the field for several headers is filled with after it was typed into: the names, for the values are secrets.
    pub(super) fn names_again(&self, stored: Option<&Server>) -> String {
        let known = stored_headers(stored);
        let headers = self.headers.lines().filter_map(|line| header_of(line.trim(), &known));
        headers.map(|(name, _)| format!("{name}: ")).collect::<Vec<_>>().join("\n")
    }

    /// Whether secrets were typed, which are not shown again.
    pub(super) fn holds_secrets(&self) -> bool {
        let has_value = |line: &str| line.split_once(':').is_some_and(|(_, value)| !value.trim().is_empty());
        !self.secret.trim().is_empty() || self.headers.lines().any(has_value)
    }

    pub(super) fn server(&self, stored: Option<&Server>) -> Result<NewServer, UserError> {
        let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        let body = ServerBody {
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            auth: Some(self.auth(stored)?),
            origin: text(&self.origin),
            ca: text(&self.ca),
            weight: number("weight", &self.weight, said!("number"))?,
            group: text(&self.group),
            gpu: text(&self.gpu),
            max_in_flight: number("max_in_flight", &self.max_in_flight, said!("whole number"))?,
            run_limit_s: number("run_limit_s", &self.run_limit_s, said!("whole number of seconds"))?,
            stall_limit_s: number("stall_limit_s", &self.stall_limit_s, said!("whole number of seconds"))?,
            enabled: Some(ticked(&self.enabled)),
            draining: Some(ticked(&self.draining)),
        };
        body.parse(stored)
    }
}

/// Names of the headers that are stored with their values.
fn stored_headers(stored: Option<&Server>) -> Vec<&str> {
    match stored.map(|server| &server.auth) {
        Some(ServerAuth::Headers { headers }) => headers.iter().map(|(name, _)| name.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn is_among(known: &[&str], name: &str) -> bool {
    known.iter().any(|known| known.eq_ignore_ascii_case(name))
}

/// Name and value of the header in a line; the value may be empty. What has no colon is the name of a stored one, or
/// none: it may be a secret.
fn header_of<'a>(line: &'a str, known: &[&str]) -> Option<(&'a str, &'a str)> {
    let (name, value) = match line.split_once(':') {
        Some((name, value)) => (name.trim(), value.trim()),
        None => (line, ""),
    };
    let named = line.contains(':') || is_among(known, line);
    (named && http::HeaderName::try_from(name).is_ok()).then_some((name, value))
}

#[cfg(test)]
mod tests {
    use hub_core::server::ServerAuth;

    use super::*;

    #[test]
    fn a_form_filled_from_a_server_stands_for_it_and_its_secret_stays() {
        let mut server = super::super::sample_server();
        for auth in [
            ServerAuth::None,
            ServerAuth::Bearer { token: "hunter2".to_owned().into() },
            ServerAuth::Basic { user: "u".to_owned(), password: "hunter2".to_owned().into() },
            ServerAuth::ApiKey { header: "X-Key".to_owned(), key: "hunter2".to_owned().into() },
            ServerAuth::Headers { headers: vec![("X-A".to_owned(), "hunter2".to_owned().into())] },
        ] {
            server.auth = auth;
            let mut typed = Typed::of(&server, String::new());
            // As the browser sends it back.
            typed.headers.clone_from(&typed.header_names);
            let again = typed.server(Some(&server)).expect("as it was").into_server(server.id, server.created_at);
            assert_eq!(again, server);
        }
    }

    #[test]
    fn headers_are_given_back_by_name_and_need_a_value_unless_one_is_stored() {
        let mut server = super::super::sample_server();
        server.auth = ServerAuth::Headers { headers: vec![("X-A".to_owned(), "hunter2".to_owned().into())] };
        let typed = |headers: &str| Typed { headers: headers.to_owned(), ..Typed::of(&server, String::new()) };
        let again = |headers: &str| typed(headers).names_again(Some(&server));
        assert_eq!(again("x-a\r\n\r\nX-B : hunter3:4\nX-C:\nhunter5\nno name: hunter6"), "x-a: \nX-B: \nX-C: ");
        let taken = typed("x-a\nX-B: hunter3").server(Some(&server)).expect("valid");
        let kept =
            vec![("x-a".to_owned(), "hunter2".to_owned().into()), ("X-B".to_owned(), "hunter3".to_owned().into())];
        assert_eq!(taken.auth, ServerAuth::Headers { headers: kept });
        for (headers, told) in
            [("X-A:\nX-B:", "`X-B` needs a value"), ("\nhunter2", "Line 2"), (" \n", "one header a line")]
        {
            let error = typed(headers).server(Some(&server)).expect_err("refused");
            assert_eq!(error.argument.as_deref(), Some("auth.headers"));
            let why = error.explain();
            assert!(why.contains(told) && !why.contains("hunter"), "{why}");
        }
        assert!(typed("X-A: hunter3").holds_secrets() && !typed("X-A: \nX-B").holds_secrets());
    }

    #[test]
    fn a_fault_stands_beside_its_field() {
        let typed = |change: fn(&mut Typed)| {
            let mut typed = Typed::fresh("gpu".to_owned(), "gpu:8188".to_owned());
            change(&mut typed);
            typed.server(None)
        };
        assert!(typed(|_| {}).is_ok());
        let fault = |change| typed(change).expect_err("refused").argument.unwrap_or_default();
        assert_eq!(fault(|typed| typed.auth = "bearer".to_owned()), "auth");
        assert_eq!(fault(|typed| typed.name = " ".to_owned()), "name");
        assert_eq!(fault(|typed| typed.base_url = "ftp://x".to_owned()), "base_url");
        assert_eq!(fault(|typed| typed.weight = "heavy".to_owned()), "weight");
        assert_eq!(fault(|typed| typed.max_in_flight = "-1".to_owned()), "max_in_flight");
    }
}
