//! Keys of programs, the admin's password, and the log of what was done.

mod audit_log;
mod key;
mod made;

use std::collections::BTreeSet;

use axum::{
    extract::{Path, Request, State},
    http::StatusCode,
    response::{Html, IntoResponse as _, Redirect, Response},
};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use hub_access::{NewKey, PASSWORD_MIN_CHARS};
use hub_core::{
    access::{ApiKey, KeyRights, Scope},
    error::UserError,
    ids::KeyId,
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use self::made::Press;
use super::{
    Frame,
    form::{Done, Fault, FormFields, lines, number, refused},
    html, see_other,
};
use crate::{
    asker::Asker,
    audit::{NothingDone, Subject},
    error::WebError,
    language::Said,
    render::Page,
    router::App,
    said,
};

#[cfg(test)]
pub(crate) use self::{audit_log::AuditLogPage, key::KeyPage};
pub(crate) use self::{
    audit_log::show as log,
    key::{save, show as show_key},
    made::MadeKeys,
};

/// Fields of a key's form that a fault can stand beside.
const FIELDS: [&str; 9] = [
    "name",
    "scopes",
    "tools",
    "render_types",
    "rate_per_minute",
    "images_per_day",
    "gpu_seconds_per_day",
    "weight",
    "expires_on",
];

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct AccessPage {
    frame: Frame,
    keys: Vec<ShownKey>,
    /// The key that was just made: shown once.
    new: Option<ShownSecret>,
    typed: Typed,
    fault: Option<Fault>,
    scopes: Vec<ShownScope>,
    has_account: bool,
    password_min: usize,
}

#[derive(Debug, Serialize)]
struct ShownKey {
    name: String,
    prefix: String,
    state: Said,
    tone: &'static str,
    scopes: String,
    limits: Vec<String>,
    created: String,
    last_used: Option<String>,
    expires: Option<String>,
    path: String,
    revoke_path: Option<String>,
}

#[derive(Debug, Serialize)]
struct ShownSecret {
    name: String,
    secret: String,
}

#[derive(Debug, Serialize)]
struct ShownScope {
    name: &'static str,
    about: Said,
    chosen: bool,
}

/// What was typed, to be shown again.
#[derive(Debug, Default, Hash, Serialize)]
struct Typed {
    name: String,
    tools: String,
    render_types: String,
    rate_per_minute: String,
    images_per_day: String,
    gpu_seconds_per_day: String,
    weight: String,
    expires_on: String,
    #[serde(skip)]
    scopes: Vec<String>,
}

fn date(at: DateTime<Utc>) -> String {
    at.format("%Y-%m-%d %H:%M").to_string()
}

impl ShownKey {
    fn of(key: &ApiKey, now: DateTime<Utc>) -> Self {
        let (state, tone) = match key {
            _ if key.revoked_at.is_some() => (said!("Revoked"), "off"),
            _ if !key.is_live(now) => (said!("Expired"), "wait"),
            _ => (said!("In use"), "good"),
        };
        let rights = &key.rights;
        let list = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>().join(", ");
        let limits = [
            Some(list(&rights.tools)).filter(|text| !text.is_empty()),
            Some(list(&rights.render_types)).filter(|text| !text.is_empty()),
            rights.rate_per_minute.map(|n| said!("{n} requests per minute", n)),
            rights.images_per_day.map(|n| said!("{n} pictures per day", n)),
            rights.gpu_seconds_per_day.map(|n| said!("{n} GPU-seconds per day", n)),
            Some(said!("weight {n}", n = rights.weight)),
        ];
        Self {
            name: key.name.clone(),
            prefix: key.prefix.clone(),
            state,
            tone,
            scopes: rights.scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(", "),
            limits: limits.into_iter().flatten().collect(),
            created: date(key.created_at),
            last_used: key.last_used_at.map(date),
            expires: key.expires_at.map(date),
            path: key::path_of(key),
            revoke_path: key.revoked_at.is_none().then(|| format!("/access/keys/{}/revoke", key.id)),
        }
    }
}

impl Typed {
    fn read(fields: &FormFields) -> Self {
        let scopes = fields.texts.iter().filter(|(name, _)| name == "scopes").map(|(_, value)| value.clone());
        Self {
            name: fields.first("name"),
            tools: fields.first("tools"),
            render_types: fields.first("render_types"),
            rate_per_minute: fields.first("rate_per_minute"),
            images_per_day: fields.first("images_per_day"),
            gpu_seconds_per_day: fields.first("gpu_seconds_per_day"),
            weight: fields.first("weight"),
            expires_on: fields.first("expires_on"),
            scopes: scopes.collect(),
        }
    }

    fn rights(&self) -> Result<KeyRights, UserError> {
        let whole = said!("whole number");
        Ok(KeyRights {
            scopes: self.scopes.iter().map(|scope| scope.parse::<Scope>()).collect::<Result<_, _>>()?,
            tools: lines(&self.tools).into_iter().collect(),
            render_types: lines(&self.render_types).into_iter().collect(),
            rate_per_minute: number("rate_per_minute", &self.rate_per_minute, whole)?,
            images_per_day: number("images_per_day", &self.images_per_day, whole)?,
            gpu_seconds_per_day: number("gpu_seconds_per_day", &self.gpu_seconds_per_day, whole)?,
            weight: number("weight", &self.weight, said!("number"))?.unwrap_or(hub_core::caller::WEIGHT_DEFAULT),
        })
    }

    /// The end of the day that was chosen.
    fn expires_at(&self) -> Result<Option<DateTime<Utc>>, UserError> {
        if self.expires_on.trim().is_empty() {
            return Ok(None);
        }
        let day: Option<NaiveDate> = self.expires_on.trim().parse().ok();
        // No moment follows the last day that can be written.
        let end = day.and_then(|day| day.and_time(NaiveTime::MIN).and_utc().checked_add_signed(TimeDelta::days(1)));
        end.map(Some).ok_or_else(|| {
            UserError::argument("expires_on", said!("This is no day.")).with_hint(said!("Write it like 2027-01-31."))
        })
    }
}

async fn page(app: &App, typed: Typed, fault: Option<Fault>) -> Result<AccessPage, WebError> {
    let now = app.engine.store().clock().now();
    // The newest first, and those that nobody uses any more last.
    let mut keys = app.access.keys().await?;
    keys.sort_by_key(|key| (key.revoked_at.is_some(), std::cmp::Reverse(key.created_at)));
    Ok(AccessPage {
        frame: Frame::new("access", said!("Access")),
        keys: keys.iter().map(|key| ShownKey::of(key, now)).collect(),
        new: None,
        scopes: scopes(&typed),
        typed,
        fault,
        has_account: app.access.has_account(),
        password_min: PASSWORD_MIN_CHARS,
    })
}

fn scopes(typed: &Typed) -> Vec<ShownScope> {
    let chosen = |scope: Scope| typed.scopes.iter().any(|name| name == scope.as_str());
    let about = |scope| match scope {
        Scope::Generate => said!("make pictures and prompts"),
        Scope::Describe => said!("have pictures described"),
        Scope::Read => said!("see servers, catalogue, statistics"),
        Scope::Admin => said!("everything, everybody's jobs included"),
    };
    Scope::ALL
        .into_iter()
        .map(|scope| ShownScope { name: scope.as_str(), about: about(scope), chosen: chosen(scope) })
        .collect()
}

fn blank() -> Typed {
    Typed { scopes: vec!["generate".to_owned(), "describe".to_owned()], ..Typed::default() }
}

pub(crate) async fn show(State(app): State<App>, done: Done) -> Result<Html<String>, WebError> {
    let mut page = page(&app, blank(), None).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// Makes a key and shows it, this once.
pub(crate) async fn add(State(app): State<App>, Asker(caller): Asker, request: Request) -> Result<Response, WebError> {
    // Whoever makes the first key closes the hub to strangers, and must be able to come in himself.
    if !app.access.has_account() {
        return Ok(Redirect::to("/setup").into_response());
    }
    let typed = Typed::read(&FormFields::read(request, &app).await?);
    let make = async { app.access.key_add(&typed.name, typed.rights()?, typed.expires_at()?).await };
    let shown =
        |new: &NewKey| ShownSecret { name: new.key.name.clone(), secret: new.secret.expose_secret().to_owned() };
    match app.made_keys.once((&caller, &typed), make, shown).await {
        Ok((secret, press)) => {
            let mut page = page(&app, blank(), None).await?;
            let name = secret.name.clone();
            page.new = Some(secret);
            let mut response = (StatusCode::CREATED, html(&app, &page)?).into_response();
            response.extensions_mut().insert(Subject(name));
            if press == Press::Again {
                response.extensions_mut().insert(NothingDone);
            }
            Ok(response)
        }
        Err(error) => {
            let page = page(&app, typed, Some(key::fault_of(&error))).await?;
            refused(&app, &error, &page)
        }
    }
}

pub(crate) async fn revoke(State(app): State<App>, Path(id): Path<String>) -> Result<Response, WebError> {
    let id: KeyId = id.parse().map_err(|_| WebError::missing("key", &id))?;
    let key = app.access.key_revoke(id).await?;
    let mut response = see_other("/access?done=key-revoked");
    response.extensions_mut().insert(Subject(key.name));
    Ok(response)
}

/// Sets another password; everybody who is logged in has to log in again.
pub(crate) async fn set_password(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let fields = FormFields::read(request, &app).await?;
    let password = fields.first("password");
    let outcome = if password == fields.first("again") {
        app.access.set_password(SecretString::from(password)).await
    } else {
        Err(UserError::argument("again", said!("The two passwords differ.")))
    };
    match outcome {
        Ok(()) => Ok(see_other("/login")),
        Err(error) => {
            let page = page(&app, blank(), Some(Fault::of(&error))).await?;
            refused(&app, &error, &page)
        }
    }
}

#[cfg(test)]
fn sample_key() -> ApiKey {
    use super::shown::sample::{HOSTILE, now};
    let mut rights = KeyRights { rate_per_minute: Some(5), images_per_day: Some(7), ..KeyRights::default() };
    rights.render_types.insert(HOSTILE.to_owned());
    ApiKey {
        id: KeyId::from_uuid(uuid::Uuid::from_u128(7)),
        name: HOSTILE.to_owned(),
        prefix: "gih_abcdef".to_owned(),
        rights,
        created_at: now(),
        expires_at: Some(now()),
        last_used_at: Some(now()),
        revoked_at: None,
    }
}

impl Page for AccessPage {
    const TEMPLATE: &'static str = "pages/access.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::shown::sample::{HOSTILE, now};
        let key = sample_key();
        Self {
            frame: Frame::new("access", said!("Access")),
            keys: vec![ShownKey::of(&key, now())],
            new: Some(ShownSecret { name: HOSTILE.to_owned(), secret: "gih_sample".to_owned() }),
            typed: Typed { name: HOSTILE.to_owned(), tools: HOSTILE.to_owned(), ..Typed::default() },
            fault: Some(Fault::of(&UserError::argument("name", HOSTILE))),
            scopes: vec![ShownScope {
                name: "admin",
                about: said!("everything, everybody's jobs included"),
                chosen: true,
            }],
            has_account: true,
            password_min: PASSWORD_MIN_CHARS,
        }
    }
}
