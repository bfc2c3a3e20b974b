//! Proof of identity towards a server: what goes in, and what is told of it, which is never a secret.

use hub_core::{
    error::UserError,
    server::{BaseUrl, SecretSource, Server, ServerAuth},
    suggest,
};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// Fields of each kind of proof, besides `kind`.
const AUTH_KINDS: [(&str, &[&str]); 5] = [
    ("none", &[]),
    ("basic", &["user", "password"]),
    ("bearer", &["token"]),
    ("api_key", &["header", "key"]),
    ("headers", &["headers"]),
];
/// Fields that are told but not taken: they may be sent back.
const READ_ONLY: [&str; 2] = ["secret_set", "secret_from"];

/// How the hub proves itself to a server, as it goes in. A secret is the text itself, `env:NAME` or
/// `file:PATH` (read at use); left out where the kind stays, it stays as it is.
#[derive(ToSchema)]
#[schema(as = ServerAuth)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[expect(dead_code, reason = "only the document has it: bodies are parsed by hand, since serde's faults quote values")]
pub(crate) enum AuthBody {
    /// Not at all.
    None,
    /// HTTP basic.
    Basic {
        /// User name.
        user: String,
        #[schema(write_only)]
        password: Option<String>,
    },
    /// `Authorization: Bearer …`.
    Bearer {
        #[schema(write_only)]
        token: Option<String>,
    },
    /// One header of any name.
    ApiKey {
        /// Its name, e.g. `X-API-Key`.
        header: String,
        #[schema(write_only)]
        key: Option<String>,
    },
    /// Several headers: `["X-Name", "value"]` each.
    Headers {
        #[schema(write_only)]
        headers: Vec<Vec<String>>,
    },
}

/// How the hub proves itself to a server, without any secret.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerAuthRecord)]
pub(crate) struct AuthRecord {
    /// `none`, `basic`, `bearer`, `api_key` or `headers`.
    pub(crate) kind: &'static str,
    /// User name of `basic`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) user: Option<String>,
    /// Header name of `api_key`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) header: Option<String>,
    /// Headers of `headers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) headers: Option<Vec<HeaderRecord>>,
    /// Whether there is a secret (all of them, of several).
    pub(crate) secret_set: bool,
    /// Where it is kept: `stored`, `env:NAME` or `file:PATH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_from: Option<String>,
}

/// One header, without its value.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ServerAuthHeader)]
pub(crate) struct HeaderRecord {
    pub(crate) name: String,
    pub(crate) secret_set: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) secret_from: Option<String>,
}

impl AuthRecord {
    /// What may be told of `auth`.
    pub(crate) fn of(auth: &ServerAuth) -> Self {
        let (kind, secret) = match auth {
            ServerAuth::None => ("none", None),
            ServerAuth::Basic { password, .. } => ("basic", Some(password)),
            ServerAuth::Bearer { token } => ("bearer", Some(token)),
            ServerAuth::ApiKey { key, .. } => ("api_key", Some(key)),
            ServerAuth::Headers { .. } => ("headers", None),
        };
        let mut record = Self {
            kind,
            user: None,
            header: None,
            headers: None,
            secret_set: secret.is_some_and(is_set),
            secret_from: secret.and_then(place),
        };
        match auth {
            ServerAuth::Basic { user, .. } => record.user = Some(user.clone()),
            ServerAuth::ApiKey { header, .. } => record.header = Some(header.clone()),
            ServerAuth::Headers { headers } => {
                record.secret_set = headers.iter().all(|(_, value)| is_set(value));
                let told = |(name, value): &(String, SecretSource)| HeaderRecord {
                    name: name.clone(),
                    secret_set: is_set(value),
                    secret_from: place(value),
                };
                record.headers = Some(headers.iter().map(told).collect());
            }
            ServerAuth::None | ServerAuth::Bearer { .. } => {}
        }
        record
    }
}

/// Whether there is a secret: one that came without its text (from an import) is none.
pub(crate) fn is_set(secret: &SecretSource) -> bool {
    !matches!(secret, SecretSource::Literal(text) if text.is_empty())
}

/// Where a secret is kept.
pub(crate) fn place(secret: &SecretSource) -> Option<String> {
    match secret {
        SecretSource::Literal(text) => Some("stored".to_owned()).filter(|_| !text.is_empty()),
        SecretSource::Env(name) => Some(format!("env:{name}")),
        SecretSource::File(path) => Some(format!("file:{path}")),
    }
}

/// Proof of identity, as `{"kind": "bearer", "token": "…"}`. The faults quote no value: one may be a
/// secret.
pub(crate) fn parse_auth(given: Map<String, Value>) -> Result<ServerAuth, UserError> {
    parse_auth_over(given, &ServerAuth::None)
}

/// Same, where `stored` lends the secrets that are left out.
pub(crate) fn parse_auth_over(mut given: Map<String, Value>, stored: &ServerAuth) -> Result<ServerAuth, UserError> {
    given.retain(|name, _| !READ_ONLY.contains(&name.as_str()));
    let kind = given.get("kind").and_then(Value::as_str).unwrap_or_default();
    let Some((kind, fields)) = AUTH_KINDS.into_iter().find(|(name, _)| *name == kind) else {
        let error = UserError::argument("auth.kind", "`auth.kind` is none of the known kinds.");
        return Err(error.with_valid(AUTH_KINDS.map(|(kind, _)| kind)));
    };
    if let Some(unknown) = given.keys().find(|key| *key != "kind" && !fields.contains(&key.as_str())) {
        let shown: String = unknown.chars().take(40).collect();
        let error = UserError::argument("auth", format!("`auth` of kind `{kind}` has no field `{shown}`."))
            .with_valid(fields.iter().copied());
        return Err(match suggest::nearest(&shown, fields.iter().copied()) {
            Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
            None => error,
        });
    }
    Ok(match (kind, stored) {
        ("basic", ServerAuth::Basic { password, .. }) => ServerAuth::Basic {
            user: text(&given, kind, "user")?,
            password: secret(&given, "password", Some(password))?,
        },
        ("basic", _) => {
            ServerAuth::Basic { user: text(&given, kind, "user")?, password: secret(&given, "password", None)? }
        }
        ("bearer", ServerAuth::Bearer { token }) => ServerAuth::Bearer { token: secret(&given, "token", Some(token))? },
        ("bearer", _) => ServerAuth::Bearer { token: secret(&given, "token", None)? },
        ("api_key", ServerAuth::ApiKey { key, .. }) => {
            ServerAuth::ApiKey { header: text(&given, kind, "header")?, key: secret(&given, "key", Some(key))? }
        }
        ("api_key", _) => {
            ServerAuth::ApiKey { header: text(&given, kind, "header")?, key: secret(&given, "key", None)? }
        }
        ("headers", stored) => ServerAuth::Headers { headers: headers(&given, stored)? },
        _ => ServerAuth::None,
    })
}

fn text(given: &Map<String, Value>, kind: &str, field: &str) -> Result<String, UserError> {
    let text = given.get(field).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        UserError::argument("auth", format!("`auth` of kind `{kind}` needs `{field}`, a text that is not empty."))
    })?;
    if field == "header" && http::HeaderName::try_from(text).is_err() {
        return Err(UserError::argument("auth.header", "`auth.header` is not a header name."));
    }
    Ok(text.to_owned())
}

fn secret(given: &Map<String, Value>, field: &str, stored: Option<&SecretSource>) -> Result<SecretSource, UserError> {
    match (given.get(field), stored) {
        (Some(Value::String(text)), _) if !text.is_empty() => Ok(SecretSource::from(text.clone())),
        (None | Some(Value::Null), Some(stored)) => Ok(stored.clone()),
        _ => Err(UserError::argument("auth", format!("`auth` needs `{field}`, a text that is not empty."))
            .with_hint("Give the secret itself, env:NAME or file:PATH.")),
    }
}

/// `["X-Name", "value"]` each, or `{"name": "X-Name", "value": "…"}`; without the value the stored one stays.
fn headers(given: &Map<String, Value>, stored: &ServerAuth) -> Result<Vec<(String, SecretSource)>, UserError> {
    let fault = || {
        UserError::argument("auth.headers", "`auth.headers` must be a list of pairs of texts: a name and a value.")
            .with_hint("E.g. [[\"X-Api-Key\", \"…\"]].")
    };
    let Some(Value::Array(items)) = given.get("headers") else { return Err(fault()) };
    let known = |name: &str| match stored {
        ServerAuth::Headers { headers } => {
            headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.clone())
        }
        _ => None,
    };
    let mut headers = Vec::with_capacity(items.len());
    for item in items {
        let (name, value) = match item {
            Value::Array(pair) if pair.len() == 2 => (pair[0].as_str(), pair[1].as_str()),
            Value::Object(fields) => {
                (fields.get("name").and_then(Value::as_str), fields.get("value").and_then(Value::as_str))
            }
            _ => return Err(fault()),
        };
        let name = name.filter(|name| http::HeaderName::try_from(*name).is_ok()).ok_or_else(fault)?;
        let value = value.filter(|value| !value.is_empty()).map(|value| SecretSource::from(value.to_owned()));
        headers.push((name.to_owned(), value.or_else(|| known(name)).ok_or_else(fault)?));
    }
    if headers.is_empty() { Err(fault()) } else { Ok(headers) }
}

/// The proof of identity of a server that will be at `base_url`. A secret that was stored for one place is not
/// sent to another: whoever may change an address could otherwise have it sent to himself.
pub(super) fn auth_of(
    given: Option<Map<String, Value>>,
    base_url: &BaseUrl,
    stored: Option<&Server>,
) -> Result<ServerAuth, UserError> {
    let Some(stored) = stored else { return given.map_or(Ok(ServerAuth::None), parse_auth) };
    let Some(given) = given else {
        return if stored.auth == ServerAuth::None || same_place(&stored.base_url, base_url) {
            Ok(stored.auth.clone())
        } else {
            Err(moved_away("auth", &stored.base_url, base_url).with_hint(AUTH_AGAIN))
        };
    };
    let completed = parse_auth_over(given.clone(), &stored.auth)?;
    if same_place(&stored.base_url, base_url) {
        return Ok(completed);
    }
    parse_auth(given).map_err(|_| moved_away("auth", &stored.base_url, base_url).with_hint(AUTH_AGAIN))
}

/// What to do about a secret that stays behind.
const AUTH_AGAIN: &str = "Give `auth` whole, with its secret, or {\"kind\": \"none\"}.";

/// Whether what was meant for one address may be sent to another.
pub(crate) fn same_place(one: &BaseUrl, other: &BaseUrl) -> bool {
    one.as_url().origin() == other.as_url().origin()
}

/// The refusal to send a stored secret to another place.
pub(crate) fn moved_away(argument: &str, from: &BaseUrl, to: &BaseUrl) -> UserError {
    let origin = |url: &BaseUrl| url.as_url().origin().ascii_serialization();
    let (from, to) = (origin(from), origin(to));
    UserError::argument(argument, format!("The stored secret is for {from} and is not sent to {to}."))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use utoipa::PartialSchema as _;

    use super::*;

    fn auth(value: &Value) -> Result<ServerAuth, UserError> {
        parse_auth(value.as_object().expect("an object").clone())
    }

    fn every_kind() -> [Value; 4] {
        [
            json!({"kind": "basic", "user": "u", "password": "hunter2"}),
            json!({"kind": "bearer", "token": "hunter2"}),
            json!({"kind": "api_key", "header": "X-Key", "key": "hunter2"}),
            json!({"kind": "headers", "headers": [["X-A", "hunter2"]]}),
        ]
    }

    #[test]
    fn a_secret_never_comes_out_but_its_place_does() {
        for value in every_kind() {
            let told = json!(AuthRecord::of(&auth(&value).expect("valid")));
            assert!(!told.to_string().contains("hunter2"), "{told}");
            assert_eq!((&told["kind"], &told["secret_set"]), (&value["kind"], &json!(true)), "{told}");
        }
        let env = json!(AuthRecord::of(&auth(&json!({"kind": "bearer", "token": "env:TOKEN"})).expect("valid")));
        assert_eq!(env["secret_from"], "env:TOKEN");
        let lost = AuthRecord::of(&ServerAuth::Bearer { token: SecretSource::from(String::new()) });
        assert_eq!((lost.secret_set, lost.secret_from), (false, None));
    }

    #[test]
    fn what_was_read_can_be_written_back_without_the_secret() {
        for value in every_kind() {
            let stored = auth(&value).expect("valid");
            let Value::Object(read) = json!(AuthRecord::of(&stored)) else { panic!("an object") };
            assert_eq!(parse_auth_over(read, &stored), Ok(stored));
        }
    }

    #[test]
    fn a_secret_is_not_lent_to_another_kind() {
        let stored = auth(&json!({"kind": "bearer", "token": "hunter2"})).expect("valid");
        let Value::Object(other) = json!({"kind": "api_key", "header": "X-Key"}) else { panic!("an object") };
        assert!(parse_auth_over(other, &stored).is_err());
    }

    #[test]
    fn a_fault_in_auth_quotes_no_secret() {
        for value in [
            json!({"kind": "magic", "token": "hunter2"}),
            json!({"kind": "bearer", "tokne": "hunter2"}),
            json!({"kind": "bearer"}),
            json!({"kind": "bearer", "token": ""}),
            json!({"kind": "bearer", "token": ["hunter2"]}),
            json!({"kind": "api_key", "header": "no spaces", "key": "hunter2"}),
            json!({"kind": "headers", "headers": "hunter2"}),
            json!({"kind": "headers", "headers": [["X-A", "hunter2", "hunter2"]]}),
            json!({"kind": "headers", "headers": []}),
        ] {
            let error = auth(&value).expect_err("refused");
            assert!(error.argument.as_deref().is_some_and(|argument| argument.starts_with("auth")), "{error:?}");
            assert!(!error.explain().contains("hunter2"), "{}", error.explain());
        }
    }

    #[test]
    fn the_document_has_every_kind_and_field() {
        let schema = serde_json::to_value(AuthBody::schema()).expect("serialises");
        let variants = schema["oneOf"].as_array().expect("variants");
        assert_eq!(variants.len(), AUTH_KINDS.len());
        for (variant, (kind, fields)) in variants.iter().zip(AUTH_KINDS) {
            let properties = variant["properties"].as_object().expect("properties");
            let mut documented: Vec<&str> = properties.keys().map(String::as_str).collect();
            documented.sort_unstable();
            let mut expected: Vec<&str> = fields.iter().copied().chain(["kind"]).collect();
            expected.sort_unstable();
            assert_eq!((documented, &properties["kind"]["enum"]), (expected, &json!([kind])));
        }
    }
}
