//! Between what is stored and what stands in a file, in both directions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use hub_core::{
    catalogue::{RenderType, Style, Workflow},
    ids::{LlmServerId, RenderTypeId, ServerId, StyleId},
    server::{BaseUrl, LlmServer, NewServer, SecretSource, Server, ServerAuth},
};

use super::{
    document::{AuthEntry, HeaderEntry, LlmServerEntry, RenderTypeEntry, ServerEntry, StyleEntry, WorkflowEntry},
    sealed::Secrets,
};

/// Category of a style that names none.
const OTHER_CATEGORY: &str = "other";

impl ServerEntry {
    /// The entry of `server`; secrets that are stored here go to `secrets`, places of others stay.
    pub(crate) fn of(server: &Server, said: Option<&BTreeMap<String, bool>>, secrets: &mut Secrets) -> Self {
        let mut own = BTreeMap::new();
        let auth = AuthEntry::of(&server.auth, &mut own);
        if !own.is_empty() {
            secrets.servers.insert(server.name.clone(), own);
        }
        Self {
            name: server.name.clone(),
            base_url: server.base_url.clone(),
            auth,
            origin: server.origin.clone(),
            ca: server.ca.clone(),
            weight: server.weight,
            group: server.group.clone(),
            gpu: server.gpu.clone(),
            max_in_flight: server.max_in_flight,
            run_limit_s: server.run_limit_s,
            stall_limit_s: server.stall_limit_s,
            enabled: server.enabled,
            draining: server.draining,
            workflows: said.cloned().unwrap_or_default(),
        }
    }

    /// The server that it says. Secrets that it does not name come from `secrets`, else from `known`, as long as
    /// they go to the same place.
    pub(crate) fn server(&self, known: Option<&Server>, secrets: &Secrets, now: DateTime<Utc>) -> Server {
        let lender = known.filter(|known| same_place(&known.base_url, &self.base_url));
        let new = NewServer {
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            auth: self.auth.auth(lender.map(|known| &known.auth), secrets.servers.get(&self.name)),
            origin: self.origin.clone(),
            ca: self.ca.clone(),
            weight: self.weight,
            group: self.group.clone(),
            gpu: self.gpu.clone(),
            max_in_flight: self.max_in_flight,
            run_limit_s: self.run_limit_s,
            stall_limit_s: self.stall_limit_s,
            enabled: self.enabled,
            draining: self.draining,
        };
        new.into_server(known.map_or_else(ServerId::new, |known| known.id), known.map_or(now, |known| known.created_at))
    }
}

/// Whether what is stored for one address may be sent to another: else a file could have a secret sent anywhere.
fn same_place(one: &BaseUrl, other: &BaseUrl) -> bool {
    one.as_url().origin() == other.as_url().origin()
}

/// Takes a secret that is stored here out of the open part.
fn taken(secret: &SecretSource, field: String, secrets: &mut BTreeMap<String, String>) -> Option<SecretSource> {
    match secret {
        SecretSource::Literal(text) => {
            if !text.is_empty() {
                secrets.insert(field, text.clone());
            }
            None
        }
        place => Some(place.clone()),
    }
}

/// The secret of a field: as named, else as sealed, else as known, else none, which is an empty one.
fn found(
    named: Option<&SecretSource>,
    field: &str,
    sealed: Option<&BTreeMap<String, String>>,
    known: Option<&SecretSource>,
) -> SecretSource {
    let sealed = || sealed.and_then(|own| own.get(field)).map(|text| SecretSource::Literal(text.clone()));
    named.cloned().or_else(sealed).or_else(|| known.cloned()).unwrap_or_else(|| SecretSource::Literal(String::new()))
}

fn header_field(name: &str) -> String {
    format!("header:{name}")
}

impl AuthEntry {
    fn of(auth: &ServerAuth, secrets: &mut BTreeMap<String, String>) -> Self {
        match auth {
            ServerAuth::None => Self::None,
            ServerAuth::Basic { user, password } => {
                Self::Basic { user: user.clone(), password: taken(password, "password".to_owned(), secrets) }
            }
            ServerAuth::Bearer { token } => Self::Bearer { token: taken(token, "token".to_owned(), secrets) },
            ServerAuth::ApiKey { header, key } => {
                Self::ApiKey { header: header.clone(), key: taken(key, "key".to_owned(), secrets) }
            }
            ServerAuth::Headers { headers } => Self::Headers {
                headers: headers
                    .iter()
                    .map(|(name, value)| HeaderEntry {
                        name: name.clone(),
                        value: taken(value, header_field(name), secrets),
                    })
                    .collect(),
            },
        }
    }

    fn auth(&self, known: Option<&ServerAuth>, sealed: Option<&BTreeMap<String, String>>) -> ServerAuth {
        match self {
            Self::None => ServerAuth::None,
            Self::Basic { user, password } => {
                let known = known.and_then(|auth| match auth {
                    ServerAuth::Basic { password, .. } => Some(password),
                    _ => None,
                });
                ServerAuth::Basic { user: user.clone(), password: found(password.as_ref(), "password", sealed, known) }
            }
            Self::Bearer { token } => {
                let known = known.and_then(|auth| match auth {
                    ServerAuth::Bearer { token } => Some(token),
                    _ => None,
                });
                ServerAuth::Bearer { token: found(token.as_ref(), "token", sealed, known) }
            }
            Self::ApiKey { header, key } => {
                let known = known.and_then(|auth| match auth {
                    ServerAuth::ApiKey { key, .. } => Some(key),
                    _ => None,
                });
                ServerAuth::ApiKey { header: header.clone(), key: found(key.as_ref(), "key", sealed, known) }
            }
            Self::Headers { headers } => {
                let known = |name: &str| match known {
                    Some(ServerAuth::Headers { headers }) => {
                        headers.iter().find(|(known, _)| known == name).map(|(_, value)| value)
                    }
                    _ => None,
                };
                let header = |entry: &HeaderEntry| {
                    let field = header_field(&entry.name);
                    (entry.name.clone(), found(entry.value.as_ref(), &field, sealed, known(&entry.name)))
                };
                ServerAuth::Headers { headers: headers.iter().map(header).collect() }
            }
        }
    }
}

impl LlmServerEntry {
    pub(crate) fn of(server: &LlmServer, secrets: &mut Secrets) -> Self {
        let mut own = BTreeMap::new();
        let api_key = server.api_key.as_ref().and_then(|key| taken(key, String::new(), &mut own));
        if let Some(key) = own.into_values().next() {
            secrets.llm_servers.insert(server.name.clone(), key);
        }
        Self {
            name: server.name.clone(),
            base_url: server.base_url.clone(),
            dialect: server.dialect,
            needs_api_key: server.api_key.is_some(),
            api_key,
            gpu: server.gpu.clone(),
            enabled: server.enabled,
        }
    }

    pub(crate) fn server(&self, known: Option<&LlmServer>, secrets: &Secrets) -> LlmServer {
        let wanted = self.needs_api_key || self.api_key.is_some();
        let sealed = || secrets.llm_servers.get(&self.name).map(|key| SecretSource::Literal(key.clone()));
        let key = || {
            let lender = known.filter(|known| same_place(&known.base_url, &self.base_url));
            let known = lender.and_then(|known| known.api_key.clone());
            self.api_key.clone().or_else(sealed).or(known).unwrap_or_else(|| SecretSource::Literal(String::new()))
        };
        LlmServer {
            id: known.map_or_else(LlmServerId::new, |known| known.id),
            name: self.name.clone(),
            base_url: self.base_url.clone(),
            dialect: self.dialect,
            api_key: wanted.then(key),
            gpu: self.gpu.clone(),
            enabled: self.enabled,
        }
    }
}

impl StyleEntry {
    pub(crate) fn of(style: &Style) -> Self {
        Self {
            name: style.name.clone(),
            category: style.category.clone(),
            description: style.description.clone(),
            prompt_template: style.prompt_template.clone(),
            negative_template: style.negative_template.clone(),
            render_types: style.render_types.clone(),
            preferred_render_type: style.preferred_render_type.clone(),
            is_default: style.is_default,
            enabled: style.enabled,
        }
    }

    pub(crate) fn style(&self, id: StyleId) -> Style {
        let category = Some(&self.category).filter(|text| !text.trim().is_empty());
        Style {
            id,
            name: self.name.clone(),
            category: category.map_or_else(|| OTHER_CATEGORY.to_owned(), String::clone),
            description: self.description.clone(),
            prompt_template: self.prompt_template.clone(),
            negative_template: self.negative_template.clone(),
            render_types: self.render_types.clone(),
            preferred_render_type: self.preferred_render_type.clone(),
            is_default: self.is_default,
            enabled: self.enabled,
        }
    }
}

impl RenderTypeEntry {
    pub(crate) fn of(row: &RenderType) -> Self {
        Self {
            name: row.name.clone(),
            title: row.title.clone(),
            description: row.description.clone(),
            workflow: row.workflow.clone(),
            workflow_version: row.workflow_version,
            mode: row.mode,
            visible: row.visible,
            is_default: row.is_default,
            sizes: row.sizes.clone(),
            limits: row.limits,
            defaults: row.defaults.clone(),
            prompt_guide: row.prompt_guide.clone(),
            prompt_examples: row.prompt_examples.clone(),
        }
    }

    pub(crate) fn render_type(&self, id: RenderTypeId) -> RenderType {
        let title = Some(&self.title).filter(|text| !text.trim().is_empty());
        RenderType {
            id,
            name: self.name.clone(),
            title: title.unwrap_or(&self.name).clone(),
            description: self.description.clone(),
            workflow: self.workflow.clone(),
            workflow_version: self.workflow_version,
            mode: self.mode,
            visible: self.visible,
            is_default: self.is_default,
            sizes: self.sizes.clone(),
            limits: self.limits,
            defaults: self.defaults.clone(),
            prompt_guide: self.prompt_guide.clone(),
            prompt_examples: self.prompt_examples.clone(),
        }
    }
}

impl WorkflowEntry {
    pub(crate) fn of(workflow: Workflow) -> Self {
        Self {
            name: workflow.name,
            version: workflow.version,
            description: workflow.description,
            graph: workflow.graph,
            slots: Some(workflow.slots),
        }
    }
}
