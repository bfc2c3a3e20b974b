//! Settings: each explained, checked beside its field, in force at once.

mod instructions;

use axum::{
    extract::{Request, State},
    response::{Html, Response},
};
use hub_engine::{SettingEffect, SettingSource, SettingView};
use serde::Serialize;
use serde_json::{Map, Value};

#[cfg(test)]
pub(crate) use self::instructions::{InstructionsPage, InstructionsPreview};
pub(crate) use self::instructions::{act as act_on_instructions, show as show_instructions};
use super::{
    Flash, Frame,
    back::Back,
    form::{Done, Fault, FormFields, refused, shown, ticked},
    html, see_other,
};
use crate::{
    api,
    audit::{about_all, nothing_done},
    error::WebError,
    language::{self, Said},
    render::Page,
    router::App,
    said,
    undo::Undo,
};

/// Sections by the first part of their settings' keys, with a title and what they are about.
const SECTIONS: [(&str, Said); 6] = [
    ("queue", said!("Queue")),
    ("servers", said!("Servers")),
    ("alerts", said!("Alerts")),
    ("llm", said!("LLM")),
    ("mcp", said!("Answers to agents")),
    ("retention", said!("Retention")),
];

/// Short names of settings; one without goes by its key.
const LABELS: [(&str, Said); 19] = [
    ("queue.max", said!("Waiting jobs, in all")),
    ("queue.max_per_caller", said!("Waiting jobs, per caller")),
    ("queue.wait_limit_s", said!("Longest wait")),
    ("queue.attempts_max", said!("Attempts")),
    ("queue.repeat_window_s", said!("Window for repeated calls")),
    ("servers.probe_interval_s", said!("Time between probes")),
    ("servers.poll_interval_s", said!("Time between polls")),
    ("servers.inventory_interval_s", said!("Age of an inventory")),
    ("servers.live_previews", said!("Live previews")),
    ("alerts.webhook_url", said!("Webhook")),
    ("alerts.quiet_s", said!("Quiet time")),
    ("llm.enhance_budget_s", said!("Time for an enhancement")),
    ("llm.describe_budget_s", said!("Time for a description")),
    ("mcp.wait_s", said!("Wait of a tool call")),
    ("mcp.preview_max_bytes", said!("Size of previews")),
    ("mcp.preview_max_side_px", said!("Longest side of a preview")),
    ("retention.days", said!("Keep finished jobs")),
    ("retention.pictures", said!("Keep so many pictures")),
    ("retention.gb", said!("Keep so much")),
];

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct SettingsPage {
    frame: Frame,
    sections: Vec<Section>,
    fixed: Vec<Fixed>,
    /// Version that was read. Not called `version`: that is the program's.
    read_version: String,
    fault: Option<Fault>,
    /// The form holds what was typed and is not saved: leaving asks first.
    unsaved: bool,
}

#[derive(Debug, Serialize)]
struct Section {
    name: String,
    title: String,
    settings: Vec<Field>,
}

/// One setting with its field.
#[derive(Debug, Serialize)]
struct Field {
    key: String,
    label: String,
    explanation: String,
    takes: &'static str,
    unit: Option<String>,
    /// `1–100`.
    bounds: Option<String>,
    /// Of a switch `true` or `false`.
    value: String,
    default: String,
    source: Said,
    /// Nobody set it.
    is_default: bool,
    editable: bool,
    changed: bool,
}

#[derive(Debug, Serialize)]
struct Fixed {
    key: String,
    value: String,
    explanation: String,
}

pub(crate) async fn show(State(app): State<App>, done: Done) -> Result<Html<String>, WebError> {
    let mut page = page(&app, &app.engine.setting_list().await);
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// Stores what differs from what is set; a button named `reset` takes one change back.
pub(crate) async fn save(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let fields = FormFields::read(request, &app).await?;
    let now = app.engine.setting_list().await;
    let reset = fields.first("reset");
    let changes =
        if reset.is_empty() { changes(&now, &fields) } else { Map::from_iter([(reset.clone(), Value::Null)]) };
    let read = fields.first("version");
    // A second press of the same button has nothing left to take back.
    if let Some(at) = now.iter().position(|view| view.key == reset && view.source != SettingSource::Stored) {
        let mut before = now.clone();
        before[at].source = SettingSource::Stored;
        before[at].value = typed(&now[at], &fields);
        // Whoever changed something else meanwhile is not overwritten unseen by what is saved from that page.
        let is_all = read.is_empty() || app.versions.of(&before) == read;
        let version = if is_all { app.versions.of(&now) } else { read };
        // The first press can be taken back, whichever of them is the one that is seen.
        let undo = app.undos.find(|kept| matches!(kept, Undo::Setting { key, .. } if *key == reset));
        return was_reset(&app, &now, version, &reset, undo, &fields).map(nothing_done);
    }
    let mut before = None;
    let unchanged = |now: &[SettingView]| {
        before = stored(now, &reset);
        api::same_version(&read, &app.versions.of(&now))
    };
    match app.engine.settings_change(&changes, false, unchanged).await {
        Ok(_) if reset.is_empty() => Ok(about_all(see_other("/settings?done=settings-saved"), changes.keys())),
        Ok(now) => {
            let undo = before.map(|value| Undo::Setting { key: reset.clone(), value });
            let number = undo.map(|undo| app.undos.keep(undo, &Back::page("/settings")));
            let response = was_reset(&app, &now, app.versions.of(&now), &reset, number, &fields)?;
            Ok(about_all(response, changes.keys()))
        }
        Err(error) => {
            let now = app.engine.setting_list().await;
            let mut page = page(&app, &now);
            page.keep(&fields, "");
            let known = |name: &str| now.iter().any(|view| view.editable && view.key == name);
            let mut fault = Fault::of(&error);
            if !known(&fault.field) {
                fault.field.clear();
            }
            page.fault = Some(fault);
            refused(&app, &error, &page)
        }
    }
}

/// The value that was set here, and that a reset takes back.
fn stored(now: &[SettingView], key: &str) -> Option<Value> {
    let view = now.iter().find(|view| view.key == key && view.source == SettingSource::Stored)?;
    Some(view.value.clone())
}

/// After a setting was reset, which can itself be taken back under the number `undo`. Where something else was typed into
/// the form too, that stays in it, unsaved; with the `version` that it goes by.
fn was_reset(
    app: &App,
    now: &[SettingView],
    version: String,
    reset: &str,
    undo: Option<u64>,
    fields: &FormFields,
) -> Result<Response, WebError> {
    // A form that is not whole holds nothing that was typed.
    let whole = now.iter().any(|view| fields.texts.iter().any(|(name, _)| *name == view.key));
    if !whole || changes(now, fields).keys().all(|key| key == reset) {
        let (page, done) = (Back::page("/settings"), "setting-reset");
        return Ok(see_other(&page.with_undo(done, undo)));
    }
    let mut page = page(app, now);
    page.read_version = version;
    page.keep(fields, reset);
    page.unsaved = true;
    page.frame.flash = Flash::with_undo(Some("setting-reset-rest"), undo);
    shown(app, &page)
}

/// What was typed for a setting. An emptied number goes back to its default.
fn typed(view: &SettingView, fields: &FormFields) -> Value {
    let typed = fields.first(&view.key);
    let typed = typed.trim();
    match view.takes {
        Some("switch") => Value::from(ticked(typed)),
        Some("number") if typed.is_empty() => Value::Null,
        // A number that is none is passed on: the setting's own words tell what it takes.
        Some("number") => typed.parse::<u64>().map_or_else(|_| Value::from(typed), Value::from),
        _ => Value::from(typed),
    }
}

/// What the form changes.
fn changes(now: &[SettingView], fields: &FormFields) -> Map<String, Value> {
    let mut changes = Map::new();
    for view in now.iter().filter(|view| view.editable) {
        let value = typed(view, fields);
        if value != view.value && !(value.is_null() && view.source != SettingSource::Stored) {
            changes.insert(view.key.clone(), value);
        }
    }
    changes
}

fn page(app: &App, now: &[SettingView]) -> SettingsPage {
    let mut page = sorted(now);
    page.read_version = app.versions.of(&now);
    page
}

fn sorted(now: &[SettingView]) -> SettingsPage {
    let mut sections: Vec<Section> = Vec::new();
    for view in now.iter().filter(|view| view.effect != SettingEffect::Fixed) {
        let name = view.key.split('.').next().unwrap_or_default();
        if sections.last().is_none_or(|section| section.name != name) {
            let title = SECTIONS
                .iter()
                .find(|(known, _)| *known == name)
                .map_or_else(|| name.to_owned(), |(_, title)| title.to_string());
            sections.push(Section { name: name.to_owned(), title, settings: Vec::new() });
        }
        if let Some(section) = sections.last_mut() {
            section.settings.push(Field::of(view));
        }
    }
    let fixed = now.iter().filter(|view| view.effect == SettingEffect::Fixed).map(|view| Fixed {
        key: view.key.clone(),
        value: Some(text_of(&view.value)).filter(|text| !text.is_empty()).unwrap_or_else(|| "–".to_owned()),
        explanation: language::here(&view.explanation),
    });
    SettingsPage {
        frame: Frame::new("settings", said!("Settings")),
        sections,
        fixed: fixed.collect(),
        read_version: String::new(),
        fault: None,
        unsaved: false,
    }
}

impl SettingsPage {
    /// What was typed stays, except in the field `reset`.
    fn keep(&mut self, fields: &FormFields, reset: &str) {
        for field in self.sections.iter_mut().flat_map(|section| &mut section.settings) {
            let typed = fields.first(&field.key);
            if field.editable && field.key != reset {
                field.value = if field.takes == "switch" { ticked(&typed).to_string() } else { typed };
            }
        }
    }
}

impl Field {
    fn of(view: &SettingView) -> Self {
        let label = LABELS
            .iter()
            .find(|(key, _)| *key == view.key)
            .map_or_else(|| view.key.clone(), |(_, label)| label.to_string());
        Self {
            label,
            explanation: language::here(&view.explanation),
            takes: view.takes.unwrap_or("text"),
            unit: view.unit.map(language::here),
            bounds: view.minimum.zip(view.maximum).map(|(least, most)| format!("{least}–{most}")),
            value: text_of(&view.value),
            default: match &view.default {
                Value::String(text) if text.is_empty() => said!("none").to_string(),
                Value::Bool(true) => said!("on").to_string(),
                Value::Bool(false) => said!("off").to_string(),
                other => text_of(other),
            },
            source: match view.source {
                SettingSource::Default => said!("default"),
                SettingSource::File => said!("from the configuration file"),
                SettingSource::Environment => said!("set by the environment"),
                SettingSource::Stored => said!("changed here"),
            },
            is_default: view.source == SettingSource::Default,
            editable: view.editable,
            changed: view.source == SettingSource::Stored,
            key: view.key.clone(),
        }
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".to_owned(),
        other => other.to_string(),
    }
}

#[cfg(test)]
fn sample_view(key: &str, value: Value, takes: Option<&'static str>) -> SettingView {
    use super::shown::sample::HOSTILE;
    SettingView {
        key: key.to_owned(),
        default: value.clone(),
        value,
        explanation: HOSTILE.to_owned(),
        unit: Some("jobs"),
        minimum: Some(1),
        maximum: Some(9),
        source: SettingSource::Stored,
        effect: if takes.is_some() { SettingEffect::AtOnce } else { SettingEffect::Fixed },
        editable: takes.is_some(),
        takes,
    }
}

impl Page for SettingsPage {
    const TEMPLATE: &'static str = "pages/settings.html";

    #[cfg(test)]
    fn sample() -> Self {
        let text = || Value::from(super::shown::sample::HOSTILE);
        let views = [
            sample_view("queue.max", Value::from(5), Some("number")),
            sample_view("servers.live_previews", Value::from(true), Some("switch")),
            sample_view("alerts.webhook_url", text(), Some("address")),
            sample_view("server.listen", text(), None),
        ];
        let field = "queue.max".to_owned();
        let fault = Fault { field, text: super::shown::sample::HOSTILE.to_owned(), changed: false };
        Self { fault: Some(fault), read_version: "0".to_owned(), ..sorted(&views) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(pairs: &[(&str, &str)]) -> FormFields {
        let texts = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        FormFields { texts, ..FormFields::default() }
    }

    #[test]
    fn only_what_differs_is_changed_and_an_emptied_number_is_taken_back() {
        let view = |key, value, takes| sample_view(key, value, Some(takes));
        let now = [
            view("queue.max", Value::from(5), "number"),
            view("queue.attempts_max", Value::from(3), "number"),
            view("servers.live_previews", Value::from(true), "switch"),
            view("alerts.webhook_url", Value::from(""), "address"),
        ];
        let same = form(&[("queue.max", "5"), ("queue.attempts_max", " 3 "), ("servers.live_previews", "on")]);
        assert_eq!(changes(&now, &same), Map::new());
        let other = form(&[("queue.max", ""), ("queue.attempts_max", "many")]);
        let changed = changes(&now, &other);
        assert_eq!(changed["queue.max"], Value::Null);
        assert_eq!(changed["queue.attempts_max"], Value::from("many"), "refused by the setting itself");
        assert_eq!(changed["servers.live_previews"], Value::from(false));
        assert!(!changed.contains_key("alerts.webhook_url"));
    }
}
