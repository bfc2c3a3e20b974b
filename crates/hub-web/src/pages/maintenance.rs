//! What has piled up, what may go, and whether files and records agree.

use std::time::Duration;

use axum::{
    extract::{Path, Request, State},
    response::{Html, Response},
};
use chrono::{DateTime, Utc};
use hub_core::{artifact::Artifact, error::UserError};
use hub_engine::{
    FileCheck, ReconcilerStatus, ReconcilerView, RetentionPlan, RetentionPolicy, SettingSource, SettingView,
};
use hub_store::FileCount;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    Frame,
    form::{Done, Fault, FormFields, number, refused, shown},
    html, see_other,
    shown::{Moment, bytes},
};
use crate::{
    api,
    audit::about_all,
    error::WebError,
    language::{self, Said},
    render::Page,
    router::App,
    said,
};

/// The bounds: setting, label, unit.
const BOUNDS: [(&str, Said, Said); 3] = [
    ("retention.days", said!("Days since its end"), said!("days")),
    ("retention.pictures", said!("Pictures in all"), said!("pictures")),
    ("retention.gb", said!("Size in all"), said!("GB")),
];

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct MaintenancePage {
    frame: Frame,
    results: Amount,
    favourites: Amount,
    inputs: Amount,
    bounds: Vec<Bound>,
    /// Version of the settings that was read.
    read_version: String,
    plan: Option<ShownPlan>,
    check: Option<ShownCheck>,
    tasks: Vec<ShownTask>,
    fault: Option<Fault>,
}

/// Files and their size, for people.
#[derive(Debug, Serialize)]
struct Amount {
    files: u64,
    size: String,
}

#[derive(Debug, Serialize)]
struct Bound {
    key: &'static str,
    label: Said,
    unit: Said,
    /// Empty = no bound.
    value: String,
    /// Where it is set, when not here.
    fixed_by: Option<Said>,
}

/// What would go.
#[derive(Debug, Serialize)]
struct ShownPlan {
    jobs: u64,
    files: u64,
    size: String,
    first: Option<Moment>,
    last: Option<Moment>,
    more: bool,
    inputs: Amount,
    keeps_all: bool,
}

/// Whether files and records agree.
#[derive(Debug, Serialize)]
struct ShownCheck {
    unnamed: usize,
    unnamed_size: String,
    lost: usize,
    lost_first: Vec<Lost>,
}

#[derive(Debug, Serialize)]
struct Lost {
    id: String,
    created: Moment,
    job_path: Option<String>,
}

/// A background task, and what it did last.
#[derive(Debug, Serialize)]
struct ShownTask {
    name: &'static str,
    does: String,
    every: String,
    last: Option<Moment>,
    tone: &'static str,
    outcome: String,
}

pub(crate) async fn show(State(app): State<App>, done: Done) -> Result<Html<String>, WebError> {
    let mut page = page(&app).await?;
    page.frame.flash = done.flash();
    html(&app, &page)
}

/// Tells what the typed bounds would delete; stores nothing.
pub(crate) async fn preview(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let fields = FormFields::read(request, &app).await?;
    let planned = match policy(&app.engine.setting_list().await, &fields) {
        Ok(policy) => app.engine.retention_plan(policy).await.map(|plan| (policy, plan)),
        Err(error) => Err(error),
    };
    let mut page = page(&app).await?;
    page.keep(&fields);
    match planned {
        Ok((policy, plan)) => {
            page.plan = Some(ShownPlan::of(&plan, policy, app.engine.store().clock().now()));
            shown(&app, &page)
        }
        Err(error) => refuse(&app, page, &error),
    }
}

/// Stores the bounds. The task that deletes keeps to them within the hour.
pub(crate) async fn save(State(app): State<App>, request: Request) -> Result<Response, WebError> {
    let fields = FormFields::read(request, &app).await?;
    let read = fields.first("version");
    let unchanged = |now: &[SettingView]| api::same_version(&read, &app.versions.of(&bounds(now)));
    let now = app.engine.setting_list().await;
    let saved = match policy(&now, &fields) {
        Ok(_) => app.engine.settings_change(&changes(&now, &fields), false, unchanged).await,
        Err(error) => Err(error),
    };
    match saved {
        Ok(after) => {
            let is_as_before =
                |view: &SettingView| now.iter().any(|now| (&now.key, &now.value) == (&view.key, &view.value));
            let changed = after.iter().filter(|view| !is_as_before(view)).map(|view| &view.key);
            Ok(about_all(see_other("/maintenance?done=retention-saved"), changed))
        }
        Err(error) => {
            let mut page = page(&app).await?;
            page.keep(&fields);
            refuse(&app, page, &error)
        }
    }
}

/// Compares files and records; changes nothing.
pub(crate) async fn check(State(app): State<App>) -> Result<Response, WebError> {
    let found = app.engine.files_check().await?;
    let mut page = page(&app).await?;
    page.check = Some(ShownCheck::of(&found, app.engine.store().clock().now()));
    shown(&app, &page)
}

/// Runs a background task now.
pub(crate) async fn run(State(app): State<App>, Path(name): Path<String>) -> Result<Response, WebError> {
    let view = app.engine.reconcile(&name).await?;
    let done = match view.last.map(|last| last.status) {
        Some(ReconcilerStatus::Failed(_)) => "task-failed",
        Some(ReconcilerStatus::Done(_)) => "task-done",
        Some(ReconcilerStatus::Idle) | None => "task-idle",
    };
    Ok(see_other(&format!("/maintenance?done={done}#tasks")))
}

fn refuse(app: &App, mut page: MaintenancePage, error: &UserError) -> Result<Response, WebError> {
    page.fault = Some(Fault::of(error).elsewhere(&BOUNDS.map(|(key, ..)| key)));
    refused(app, error, &page)
}

/// The bounds that are typed; those that are fixed from outside are as they are.
fn policy(now: &[SettingView], fields: &FormFields) -> Result<RetentionPolicy, UserError> {
    let fixed = |key: &str| {
        let view = now.iter().find(|view| view.key == key && !view.editable)?;
        Some(view.value.as_u64().and_then(|value| u32::try_from(value).ok()).unwrap_or(u32::MAX))
    };
    let typed = |key: &str| {
        let count = match fixed(key) {
            Some(count) => Some(count),
            None => number::<u32>(key, &fields.first(key), said!("whole number"))?,
        };
        Ok::<_, UserError>(count.filter(|count| *count > 0))
    };
    Ok(RetentionPolicy {
        days: typed("retention.days")?,
        pictures: typed("retention.pictures")?,
        gb: typed("retention.gb")?,
    })
}

/// The settings that are changed; those that are fixed from outside send no field.
fn changes(now: &[SettingView], fields: &FormFields) -> Map<String, Value> {
    let editable = bounds(now).into_iter().filter(|view| view.editable);
    editable
        .map(|view| {
            let typed = fields.first(&view.key);
            let typed = if typed.trim().is_empty() { "0" } else { typed.trim() };
            // A number that is none is passed on: the setting's own words tell what it takes.
            (view.key.clone(), typed.parse::<u64>().map_or_else(|_| Value::from(typed), Value::from))
        })
        .collect()
}

fn bounds(now: &[SettingView]) -> Vec<&SettingView> {
    now.iter().filter(|view| BOUNDS.iter().any(|(key, ..)| *key == view.key)).collect()
}

async fn page(app: &App) -> Result<MaintenancePage, WebError> {
    let stored = app.engine.store().stored_files_recently().await?;
    let settings = app.engine.setting_list().await;
    let now = app.engine.store().clock().now();
    Ok(MaintenancePage {
        frame: Frame::new("maintenance", said!("Maintenance")),
        results: Amount::of(stored.results),
        favourites: Amount::of(stored.favourites),
        inputs: Amount::of(stored.inputs),
        read_version: app.versions.of(&bounds(&settings)),
        bounds: BOUNDS.iter().map(|bound| Bound::of(*bound, &settings)).collect(),
        plan: None,
        check: None,
        tasks: app.engine.reconcilers().iter().map(|view| ShownTask::of(view, now)).collect(),
        fault: None,
    })
}

impl MaintenancePage {
    /// What was typed stays.
    fn keep(&mut self, fields: &FormFields) {
        for bound in self.bounds.iter_mut().filter(|bound| bound.fixed_by.is_none()) {
            bound.value = fields.first(bound.key);
        }
    }
}

impl Amount {
    fn of(count: FileCount) -> Self {
        Self { files: count.files, size: bytes(count.bytes) }
    }
}

impl Bound {
    fn of((key, label, unit): (&'static str, Said, Said), now: &[SettingView]) -> Self {
        let view = now.iter().find(|view| view.key == key);
        let set = view.map(|view| view.value.to_string());
        Self {
            key,
            label,
            unit,
            value: set.filter(|value| value != "0").unwrap_or_default(),
            fixed_by: view.filter(|view| !view.editable).map(|view| match view.source {
                SettingSource::Environment => said!("Set by the environment"),
                _ => said!("Set at the start"),
            }),
        }
    }
}

impl ShownPlan {
    fn of(plan: &RetentionPlan, policy: RetentionPolicy, now: DateTime<Utc>) -> Self {
        Self {
            jobs: plan.jobs,
            files: plan.files,
            size: bytes(plan.bytes),
            first: plan.span.map(|(first, _)| Moment::of(first, now)),
            last: plan.span.map(|(_, last)| Moment::of(last, now)),
            more: plan.more,
            inputs: Amount::of(plan.inputs),
            keeps_all: policy.keeps_all(),
        }
    }
}

impl ShownCheck {
    fn of(found: &FileCheck, now: DateTime<Utc>) -> Self {
        Self {
            unnamed: found.unnamed,
            unnamed_size: bytes(found.unnamed_bytes),
            lost: found.lost,
            lost_first: found.lost_first.iter().map(|artifact| Lost::of(artifact, now)).collect(),
        }
    }
}

impl Lost {
    fn of(artifact: &Artifact, now: DateTime<Utc>) -> Self {
        Self {
            id: artifact.id.to_string(),
            created: Moment::of(artifact.created_at, now),
            job_path: artifact.job.map(|job| format!("/jobs/{job}")),
        }
    }
}

impl ShownTask {
    fn of(view: &ReconcilerView, now: DateTime<Utc>) -> Self {
        let (tone, outcome) = match view.last.as_ref().map(|last| &last.status) {
            None => ("off", said!("not run yet").to_string()),
            Some(ReconcilerStatus::Idle) => ("good", said!("nothing to do").to_string()),
            Some(ReconcilerStatus::Done(count)) => ("good", said!("{count} put right", count)),
            Some(ReconcilerStatus::Failed(error)) => ("bad", error.explain()),
        };
        Self {
            name: view.name,
            does: language::here(view.does),
            every: pace(view.every),
            last: view.last.as_ref().map(|last| Moment::of(last.started_at, now)),
            tone,
            outcome,
        }
    }
}

/// `second`, `6 hours`: how often a task runs.
fn pace(every: Duration) -> String {
    let seconds = every.as_secs().max(1);
    match seconds {
        1 => said!("second").into(),
        60 => said!("minute").into(),
        3600 => said!("hour").into(),
        _ if seconds.is_multiple_of(3600) => said!("{n} hours", n = seconds / 3600),
        _ if seconds.is_multiple_of(60) => said!("{n} minutes", n = seconds / 60),
        _ => said!("{n} seconds", n = seconds),
    }
}

impl Page for MaintenancePage {
    const TEMPLATE: &'static str = "pages/maintenance.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::shown::sample::{HOSTILE, artifact, now};
        let amount = || Amount { files: 3, size: "2.0 MB".to_owned() };
        let check = FileCheck { unnamed: 1, unnamed_bytes: 5, lost: 1, lost_first: vec![artifact()] };
        let plan = RetentionPlan {
            jobs: 1,
            files: 2,
            bytes: 3,
            span: Some((now(), now())),
            more: true,
            inputs: FileCount { files: 2, bytes: 5 },
        };
        Self {
            frame: Frame::new("maintenance", said!("Maintenance")),
            results: amount(),
            favourites: amount(),
            inputs: amount(),
            bounds: vec![Bound {
                key: "retention.days",
                label: said!("Days since its end"),
                unit: said!("days"),
                value: HOSTILE.to_owned(),
                fixed_by: None,
            }],
            read_version: "0".to_owned(),
            plan: Some(ShownPlan::of(&plan, RetentionPolicy { days: Some(1), ..RetentionPolicy::default() }, now())),
            check: Some(ShownCheck::of(&check, now())),
            tasks: vec![ShownTask {
                name: "orphans",
                does: "Deletes.".to_owned(),
                every: "6 h".to_owned(),
                last: Some(Moment::of(now(), now())),
                tone: "bad",
                outcome: HOSTILE.to_owned(),
            }],
            fault: Some(Fault { field: "retention.days".to_owned(), text: HOSTILE.to_owned(), changed: false }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paces_read_well() {
        let said = [1, 60, 3600, 6 * 3600, 90].map(|seconds| pace(Duration::from_secs(seconds)));
        assert_eq!(said, ["second", "minute", "hour", "6 hours", "90 seconds"]);
    }
}
