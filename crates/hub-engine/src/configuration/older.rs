//! Files of the older system: its list of ComfyUI servers (`comfyui-servers`, version "1.0") and its
//! settings of one server (`comfyui-settings`).
//!
//! What has no meaning here (which server is the active one, the path of its models …) is left behind
//! and told in the notes. Two things of one name or address, which the older system allowed, become
//! two names, or one server.

use std::collections::BTreeSet;

use hub_core::{
    error::UserError,
    server::{
        BaseUrl, DEFAULT_MAX_IN_FLIGHT, DEFAULT_RUN_LIMIT_S, DEFAULT_STALL_LIMIT_S, DEFAULT_WEIGHT, SecretSource,
    },
};
use serde::Deserialize;
use serde_json::Value;

use super::document::{self, AuthEntry, Document, FORMAT, ServerEntry, VERSION};

/// Name of the one server of the older settings, as the older system itself named it.
const SINGLE_NAME: &str = "Default Server";

#[derive(Deserialize)]
struct OlderList {
    servers: Vec<OlderServer>,
    #[serde(default, rename = "activeServerId")]
    active: Option<Value>,
    #[serde(default, rename = "autoSwitchOnFailure")]
    auto_switch: Option<bool>,
}

/// One server; fields that are not named are ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OlderServer {
    #[serde(default)]
    name: Option<String>,
    server_url: BaseUrl,
    #[serde(default)]
    authentication: Option<OlderAuth>,
    /// Longest wait, in milliseconds.
    #[serde(default)]
    timeout: Option<f64>,
    #[serde(default)]
    max_queue_size: Option<Value>,
    #[serde(default)]
    vram_limit: Option<Value>,
    #[serde(default)]
    models_path: Option<Value>,
    #[serde(default)]
    auto_start: Option<Value>,
}

#[derive(Deserialize)]
struct OlderAuth {
    #[serde(rename = "type")]
    kind: OlderAuthKind,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    token: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OlderAuthKind {
    None,
    Basic,
    Bearer,
    ApiKey,
    Token,
}

/// Reads a list of servers.
///
/// # Errors
/// `bad_argument` by JSON path.
pub(crate) fn list(bytes: &[u8]) -> Result<(Document, Vec<String>), UserError> {
    let list: OlderList = document::parse(bytes)?;
    let mut notes = Vec::new();
    if list.active.is_some_and(|active| !active.is_null()) || list.auto_switch == Some(true) {
        notes.push("All servers are used, not only the active one: jobs go where they are done soonest.".to_owned());
    }
    convert(list.servers, |index| format!("servers[{index}]."), notes)
}

/// Reads the settings of one server.
///
/// # Errors
/// `bad_argument` by JSON path.
pub(crate) fn single(bytes: &[u8]) -> Result<(Document, Vec<String>), UserError> {
    let mut server: OlderServer = document::parse(bytes)?;
    server.name = server.name.or_else(|| Some(SINGLE_NAME.to_owned()));
    convert(vec![server], |_| String::new(), Vec::new())
}

fn convert(
    servers: Vec<OlderServer>,
    path: impl Fn(usize) -> String,
    mut notes: Vec<String>,
) -> Result<(Document, Vec<String>), UserError> {
    let (mut names, mut addresses) = (BTreeSet::new(), BTreeSet::new());
    let mut entries = Vec::with_capacity(servers.len());
    for (index, older) in servers.into_iter().enumerate() {
        let path = path(index);
        let given = older.name.as_deref().map(str::trim).filter(|name| !name.is_empty());
        let given = given.ok_or_else(|| UserError::argument(&format!("{path}name"), "The server has no name."))?;
        if !addresses.insert(older.server_url.clone()) {
            notes.push(format!("`{given}` has the address of another server, {}, and is left out.", older.server_url));
            continue;
        }
        let mut name = given.to_owned();
        let mut number = 2;
        while !names.insert(name.clone()) {
            name = format!("{given} ({number})");
            number += 1;
        }
        if name != given {
            notes.push(format!("A second server named `{given}` is now `{name}`."));
        }
        let left = [
            ("maxQueueSize", older.max_queue_size.is_some()),
            ("vramLimit", older.vram_limit.is_some_and(|limit| !limit.is_null())),
            ("modelsPath", older.models_path.is_some()),
            ("autoStart", older.auto_start.is_some()),
        ];
        let left: Vec<&str> = left.into_iter().filter(|(_, given)| *given).map(|(name, _)| name).collect();
        if !left.is_empty() {
            notes.push(format!("`{name}`: {} have no counterpart here and are left out.", left.join(", ")));
        }
        entries.push(ServerEntry {
            auth: older.authentication.map_or(Ok(AuthEntry::None), |auth| auth.convert(&path))?,
            run_limit_s: older.timeout.map_or(DEFAULT_RUN_LIMIT_S, seconds),
            name,
            base_url: older.server_url,
            origin: None,
            ca: None,
            weight: DEFAULT_WEIGHT,
            group: None,
            gpu: None,
            max_in_flight: DEFAULT_MAX_IN_FLIGHT,
            stall_limit_s: DEFAULT_STALL_LIMIT_S,
            enabled: true,
            draining: false,
            workflows: std::collections::BTreeMap::new(),
        });
    }
    let document =
        Document { format: FORMAT.to_owned(), version: VERSION, servers: Some(entries), ..Document::default() };
    Ok((document, notes))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "bounded before")]
fn seconds(milliseconds: f64) -> u32 {
    (milliseconds / 1000.0).ceil().clamp(1.0, 604_800.0) as u32
}

impl OlderAuth {
    fn convert(self, path: &str) -> Result<AuthEntry, UserError> {
        let need = |field: &str, value: Option<String>| {
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                let path = format!("{path}authentication.{field}");
                UserError::argument(&path, format!("`{path}` is missing or empty."))
            })
        };
        let secret = |text: String| Some(SecretSource::Literal(text));
        Ok(match self.kind {
            OlderAuthKind::None => AuthEntry::None,
            OlderAuthKind::Basic => AuthEntry::Basic {
                user: need("username", self.username)?,
                password: secret(need("password", self.password)?),
            },
            OlderAuthKind::Bearer | OlderAuthKind::Token => {
                AuthEntry::Bearer { token: secret(need("token", self.token)?) }
            }
            OlderAuthKind::ApiKey => {
                AuthEntry::ApiKey { header: "X-Api-Key".to_owned(), key: secret(need("token", self.token)?) }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(value: &Value) -> Result<(Vec<ServerEntry>, Vec<String>), UserError> {
        let (document, notes) = list(value.to_string().as_bytes())?;
        Ok((document.servers.expect("servers"), notes))
    }

    #[test]
    fn every_kind_of_proof_is_taken_over() {
        let server = |name: &str, auth: Value| {
            json!({"id": name, "name": name,
            "serverUrl": format!("http://{name}:8188/"), "authentication": auth, "isActive": true, "timeout": 300_000})
        };
        let (entries, notes) = read(&json!({"version": "1.0", "activeServerId": null, "autoSwitchOnFailure": false,
        "servers": [
            server("none", json!({"type": "none"})),
            server("basic", json!({"type": "basic", "username": "u", "password": "p"})),
            server("bearer", json!({"type": "bearer", "token": "t"})),
            server("key", json!({"type": "api-key", "token": "t"})),
            server("token", json!({"type": "token", "token": "t"})),
        ]}))
        .expect("reads");
        assert_eq!(notes, Vec::<String>::new());
        let secret = |text: &str| Some(SecretSource::Literal(text.to_owned()));
        let auths: Vec<AuthEntry> = entries.iter().map(|entry| entry.auth.clone()).collect();
        assert_eq!(
            auths,
            [
                AuthEntry::None,
                AuthEntry::Basic { user: "u".to_owned(), password: secret("p") },
                AuthEntry::Bearer { token: secret("t") },
                AuthEntry::ApiKey { header: "X-Api-Key".to_owned(), key: secret("t") },
                AuthEntry::Bearer { token: secret("t") },
            ]
        );
        assert!(entries.iter().all(|entry| entry.run_limit_s == 300 && entry.enabled));
    }

    #[test]
    fn what_the_older_system_allowed_and_this_one_does_not_is_mended_and_told() {
        let (entries, notes) = read(&json!({"version": "1.0", "activeServerId": "a", "servers": [
            {"name": "gpu", "serverUrl": "http://one:8188", "maxQueueSize": 10, "autoStart": false},
            {"name": "gpu", "serverUrl": "http://two:8188"},
            {"name": "same", "serverUrl": "http://one:8188/"},
        ]}))
        .expect("reads");
        assert_eq!(entries.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["gpu", "gpu (2)"]);
        assert_eq!(notes.len(), 4, "{notes:?}");
    }

    #[test]
    fn a_fault_is_told_by_its_path_and_quotes_no_secret() {
        for (bad, path) in [
            (json!({"name": "a", "serverUrl": "ftp://x"}), "servers[0].serverUrl"),
            (json!({"name": "a"}), "servers[0].serverUrl"),
            (json!({"serverUrl": "http://x"}), "servers[0].name"),
            (
                json!({"name": "a", "serverUrl": "http://x", "authentication": {"type": "magic"}}),
                "servers[0].authentication.type",
            ),
            (
                json!({"name": "a", "serverUrl": "http://x", "authentication": {"type": "bearer"}}),
                "servers[0].authentication.token",
            ),
            (
                json!({"name": "a", "serverUrl": "http://x", "authentication": {"type": "bearer", "token": ["hunter2"]}}),
                "servers[0].authentication.token",
            ),
        ] {
            let error = read(&json!({"version": "1.0", "servers": [bad]})).expect_err(path);
            assert_eq!(error.argument.as_deref(), Some(path), "{error:?}");
            assert!(!error.explain().contains("hunter2"));
        }
    }

    #[test]
    fn the_settings_of_one_server_are_read() {
        let settings = json!({"serverUrl": "http://localhost:8188", "authentication": {"type": "none"}, "timeout": 1,
            "vramLimit": null});
        let (document, notes) = single(settings.to_string().as_bytes()).expect("reads");
        let servers = document.servers.expect("servers");
        assert_eq!((servers[0].name.as_str(), servers[0].run_limit_s), ("Default Server", 1));
        assert_eq!(notes, Vec::<String>::new());
    }
}
