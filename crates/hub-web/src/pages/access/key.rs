//! One key: what it allows and until when, changed. Its name stays, since its jobs belong to it.

use axum::{
    extract::{Path, Request, State},
    response::{Html, Response},
};
use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{access::ApiKey, error::UserError, ids::KeyId};
use serde::Serialize;

use super::{
    super::{
        Frame,
        form::{Fault, FormFields, refused},
        html, see_other,
    },
    FIELDS, ShownKey, ShownScope, Typed, scopes,
};
use crate::{api, audit::Subject, error::WebError, render::Page, router::App};

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct KeyPage {
    frame: Frame,
    key: ShownKey,
    path: String,
    typed: Typed,
    read_version: String,
    fault: Option<Fault>,
    scopes: Vec<ShownScope>,
}

pub(crate) async fn show(State(app): State<App>, Path(id): Path<String>) -> Result<Html<String>, WebError> {
    let key = find(&app, &id).await?;
    html(&app, &page(&app, &key, Typed::of(&key), None))
}

pub(crate) async fn save(
    State(app): State<App>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, WebError> {
    let key = find(&app, &id).await?;
    let fields = FormFields::read(request, &app).await?;
    let typed = Typed::read(&fields);
    let edit = |stored: &ApiKey| {
        api::same_version(&fields.first("version"), &version(&app, stored))?;
        Ok((typed.rights()?, expires_at(stored, &typed)?))
    };
    match app.access.key_edit(key.id, edit).await {
        Ok(key) => {
            let mut response = see_other("/access?done=key-saved");
            response.extensions_mut().insert(Subject(key.name));
            Ok(response)
        }
        Err(error) => {
            let now = find(&app, &id).await?;
            refused(&app, &error, &page(&app, &now, typed, Some(&error)))
        }
    }
}

async fn find(app: &App, id: &str) -> Result<ApiKey, WebError> {
    let id: KeyId = id.parse().map_err(|_| WebError::missing("key", id))?;
    Ok(app.access.key(id).await?)
}

/// Of what can be changed: that a key is used is no change.
fn version(app: &App, key: &ApiKey) -> String {
    app.versions.of(&(&key.rights, key.expires_at, key.revoked_at))
}

/// A day that was not touched means the very moment that is stored.
fn expires_at(key: &ApiKey, typed: &Typed) -> Result<Option<DateTime<Utc>>, UserError> {
    if typed.expires_on == last_day(key.expires_at) { Ok(key.expires_at) } else { typed.expires_at() }
}

/// The last day on which it is taken; empty without an end.
fn last_day(end: Option<DateTime<Utc>>) -> String {
    let last = end.and_then(|end| end.checked_sub_signed(TimeDelta::milliseconds(1)));
    last.map(|last| last.date_naive().to_string()).unwrap_or_default()
}

fn page(app: &App, key: &ApiKey, typed: Typed, error: Option<&UserError>) -> KeyPage {
    KeyPage {
        frame: Frame::new("access", key.name.clone()),
        key: ShownKey::of(key, app.engine.store().clock().now()),
        path: path_of(key),
        read_version: version(app, key),
        scopes: scopes(&typed),
        typed,
        fault: error.map(|error| fault_of(error).elsewhere(&FIELDS)),
    }
}

/// What is wrong with a key, beside its field: of the moment when it ends the last day is typed.
pub(super) fn fault_of(error: &UserError) -> Fault {
    Fault::of(error).typed_into(&[("expires_at", "expires_on")])
}

/// Address of a key's page.
pub(super) fn path_of(key: &ApiKey) -> String {
    format!("/access/keys/{}", key.id)
}

impl Typed {
    fn of(key: &ApiKey) -> Self {
        let rights = &key.rights;
        let lines = |names: &std::collections::BTreeSet<String>| {
            names.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
        };
        let count = |count: Option<u32>| count.map(|count| count.to_string()).unwrap_or_default();
        Self {
            name: key.name.clone(),
            tools: lines(&rights.tools),
            render_types: lines(&rights.render_types),
            rate_per_minute: count(rights.rate_per_minute),
            images_per_day: count(rights.images_per_day),
            gpu_seconds_per_day: count(rights.gpu_seconds_per_day),
            weight: rights.weight.to_string(),
            expires_on: last_day(key.expires_at),
            scopes: rights.scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        }
    }
}

impl Page for KeyPage {
    const TEMPLATE: &'static str = "pages/key.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::super::shown::sample::{HOSTILE, now};
        let key = super::sample_key();
        let typed = Typed::of(&key);
        Self {
            frame: Frame::new("access", HOSTILE),
            key: ShownKey::of(&key, now()),
            path: path_of(&key),
            read_version: "0".to_owned(),
            scopes: scopes(&typed),
            typed,
            fault: Some(Fault { field: "weight".to_owned(), text: HOSTILE.to_owned(), changed: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_filled_from_a_key_stands_for_it_to_the_moment() {
        let mut key = super::super::sample_key();
        for end in ["2027-01-31T12:34:56Z", "2027-02-01T00:00:00Z"] {
            key.expires_at = Some(end.parse().unwrap());
            let typed = Typed::of(&key);
            assert_eq!(typed.expires_on, "2027-01-31");
            assert_eq!(typed.rights().unwrap(), key.rights);
            assert_eq!(expires_at(&key, &typed).unwrap(), key.expires_at);
        }
        let moved = Typed { expires_on: "2027-03-01".to_owned(), ..Typed::of(&key) };
        assert_eq!(expires_at(&key, &moved).unwrap(), Some("2027-03-02T00:00:00Z".parse().unwrap()));
        assert_eq!(expires_at(&key, &Typed { expires_on: String::new(), ..Typed::of(&key) }).unwrap(), None);
    }
}
