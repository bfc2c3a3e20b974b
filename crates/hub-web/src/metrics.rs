//! `/metrics`, in Prometheus' text format.
//!
//! What is now (queue, servers) is read when it is asked for; what was (ends, waits, runs) is counted from the
//! feed by one task, which no job waits for. Counts begin anew with the process, as Prometheus expects.

mod process;
mod text;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::{
    extract::State,
    http::header,
    response::{IntoResponse as _, Response},
};
use chrono::{DateTime, Utc};
use hub_core::{
    error::{ErrorCode, UserError},
    ids::JobId,
    job::{JobState, JobStateKind},
    server::ServerState,
};
use hub_engine::{Engine, FeedEvent, FeedNews, JobView};
use hub_store::StoreError;

use self::text::{Histogram, Text};
use crate::router::App;

/// Label sets of one metric; further ones are counted together as `other`, so that no caller can fill the memory.
const SERIES_MAX: usize = 200;
/// Bounds of waits and runs, in seconds.
const SECONDS: [f64; 12] = [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// What was counted since the process began. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Counters(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    /// By tool, render type and state.
    ended: BTreeMap<[String; 3], u64>,
    /// By code.
    failed: BTreeMap<[String; 1], u64>,
    /// By caller and render type.
    wait: BTreeMap<[String; 2], Histogram>,
    /// By render type and server.
    run: BTreeMap<[String; 2], Histogram>,
    enhance: Histogram,
    failovers: u64,
    pictures: u64,
    bytes: u64,
    /// Times that ends could not be counted: the feed was too fast, or the database failed.
    missed: u64,
}

/// The entry of these labels, or of `other`, where there are too many.
fn series<'map, V: Default, const N: usize>(map: &'map mut BTreeMap<[String; N], V>, labels: [&str; N]) -> &'map mut V {
    let key = labels.map(str::to_owned);
    let key = if map.len() < SERIES_MAX || map.contains_key(&key) { key } else { [(); N].map(|()| "other".to_owned()) };
    map.entry(key).or_default()
}

fn seconds(from: Option<DateTime<Utc>>, to: Option<DateTime<Utc>>) -> Option<f64> {
    Some((to? - from?).num_milliseconds().max(0) as f64 / 1000.0)
}

/// A job that ended, and its parts. A success is told from memory: counting it costs no read of the store.
async fn ended(engine: &Engine, job: JobId) -> Result<(JobView, Vec<JobView>), UserError> {
    let view = engine.view(job).await?;
    if !view.job.is_whole() {
        return Ok((view, Vec::new()));
    }
    let storage = |error: StoreError| UserError::new(ErrorCode::Storage, error.to_string());
    let parts = engine.views(engine.store().job_parts(job).await.map_err(storage)?).await?;
    Ok((view, parts))
}

impl Counters {
    /// Counts what ends from now on, until the engine stops.
    pub(crate) fn follow(&self, engine: &Engine) {
        let (counters, engine, mut feed) = (self.clone(), engine.clone(), engine.follow_changes());
        tokio::spawn(async move {
            let mut begun = false;
            while let Some(news) = feed.next().await {
                match news {
                    FeedNews::Anew(..) => {
                        if std::mem::replace(&mut begun, true) {
                            counters.counts().missed += 1;
                        }
                    }
                    FeedNews::Event(_, event) => {
                        let FeedEvent::Job(progress) = &*event else { continue };
                        if !progress.state.is_terminal() {
                            continue;
                        }
                        match ended(&engine, progress.job).await {
                            Ok((view, parts)) => counters.counts().add(&view, &parts),
                            Err(error) => {
                                tracing::warn!(%error, job = %progress.job, "an end was not counted");
                                counters.counts().missed += 1;
                            }
                        }
                    }
                }
            }
        });
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Counts a job that ended: work where it was done, the rest once.
    fn add(&mut self, view: &JobView, parts: &[JobView]) {
        let job = &view.job;
        let render_type = job.recipe.as_ref().map_or("", |recipe| recipe.render_type.as_str());
        for work in if job.is_whole() { parts } else { std::slice::from_ref(view) } {
            self.add_work(work, render_type);
        }
        let state = job.state.kind().as_str();
        *series(&mut self.ended, [job.request.tool(), render_type, state]) += 1;
        if let JobState::Failed(error) = &job.state {
            *series(&mut self.failed, [error.code.as_str()]) += 1;
        }
        if job.recipe.as_ref().is_some_and(|recipe| recipe.enhanced)
            && let Some(took) = seconds(Some(job.times.created_at), job.times.queued_at)
        {
            self.enhance.add(&SECONDS, took);
        }
        self.pictures += view.artifacts.len() as u64;
        self.bytes += view.artifacts.iter().map(|artifact| artifact.size_bytes).sum::<u64>();
    }

    fn add_work(&mut self, work: &JobView, render_type: &str) {
        let (job, times) = (&work.job, &work.job.times);
        self.failovers += u64::from(job.attempts.saturating_sub(1));
        if let Some(wait) = seconds(times.queued_at, times.started_at) {
            series(&mut self.wait, [job.caller.as_str(), render_type]).add(&SECONDS, wait);
        }
        if let (Some(ran), Some(server)) = (seconds(times.started_at, times.finished_at), work.server.as_deref()) {
            series(&mut self.run, [render_type, server]).add(&SECONDS, ran);
        }
    }

    fn write(&self, text: &mut Text) {
        text.family("genimage_jobs_ended_total", "counter", "Jobs that ended, by tool, render type and end.");
        for ([tool, render_type, state], count) in &self.ended {
            text.line(&[("tool", tool), ("render_type", render_type), ("state", state)], *count);
        }
        text.family("genimage_jobs_failed_total", "counter", "Jobs that failed, by code.");
        for ([code], count) in &self.failed {
            text.line(&[("code", code)], *count);
        }
        text.family("genimage_job_wait_seconds", "histogram", "From queued to begun on the server that ended it.");
        for ([caller, render_type], histogram) in &self.wait {
            text.histogram(&[("caller", caller), ("render_type", render_type)], &SECONDS, histogram);
        }
        text.family(
            "genimage_job_run_seconds",
            "histogram",
            "From begun on a server to ended, the fetching of results included.",
        );
        for ([render_type, server], histogram) in &self.run {
            text.histogram(&[("render_type", render_type), ("server", server)], &SECONDS, histogram);
        }
        text.family("genimage_enhance_seconds", "histogram", "Time from accepted to queued of enhanced prompts.");
        text.histogram(&[], &SECONDS, &self.enhance);
        text.family("genimage_failovers_total", "counter", "Attempts beyond the first of jobs that ended.");
        text.line(&[], self.failovers);
        text.family("genimage_artifacts_total", "counter", "Files that jobs made.");
        text.line(&[], self.pictures);
        text.family("genimage_artifact_bytes_total", "counter", "Bytes of files that jobs made.");
        text.line(&[], self.bytes);
        text.family(
            "genimage_jobs_missed_total",
            "counter",
            "Times that ends of jobs, one or many at once, could not be counted.",
        );
        text.line(&[], self.missed);
    }
}

/// All metrics.
pub(crate) async fn show(State(app): State<App>) -> Response {
    let mut text = Text::default();
    text.family("genimage_build_info", "gauge", "The program's version.");
    text.line(&[("version", app.config.version)], 1);
    let sizes = app.engine.queue_sizes();
    text.family("genimage_jobs", "gauge", "Jobs that have not ended, by state.");
    for (state, count) in [
        (JobStateKind::Planning, sizes.planning),
        (JobStateKind::Queued, sizes.queued),
        (JobStateKind::Assigned, sizes.assigned),
        (JobStateKind::Running, sizes.running),
        (JobStateKind::Collecting, sizes.collecting),
    ] {
        text.line(&[("state", state.as_str())], count);
    }
    waiting(&app, &mut text).await;
    servers(&app, &mut text);
    app.counters.counts().write(&mut text);
    process::write(&mut text);
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, text.into_string()).into_response()
}

async fn waiting(app: &App, text: &mut Text) {
    let mut depths: BTreeMap<[String; 2], u64> = BTreeMap::new();
    for ((caller, render_type), jobs) in app.engine.queue_depths().await {
        *series(&mut depths, [caller.as_str(), &render_type]) += jobs as u64;
    }
    text.family("genimage_queue_waiting", "gauge", "Jobs that wait for a server, by caller and render type.");
    for ([caller, render_type], jobs) in &depths {
        text.line(&[("caller", caller), ("render_type", render_type)], *jobs);
    }
}

fn servers(app: &App, text: &mut Text) {
    let servers = app.engine.servers();
    text.family("genimage_servers", "gauge", "Registered servers, by state.");
    for state in ServerState::ALL {
        text.line(&[("state", state.as_str())], servers.iter().filter(|view| view.state == state).count());
    }
    text.family("genimage_server_ready", "gauge", "Whether a server takes work.");
    for view in &servers {
        text.line(&[("server", &view.server.name)], u8::from(view.state.takes_work()));
    }
    text.family("genimage_server_in_flight", "gauge", "Prompts of the hub that are on a server.");
    for view in &servers {
        text.line(&[("server", &view.server.name)], view.in_flight);
    }
    text.family("genimage_server_runs_total", "counter", "The hub's runs on a server that went well.");
    for view in &servers {
        text.line(&[("server", &view.server.name)], view.live.runs);
    }
    text.family(
        "genimage_server_model_loads_total",
        "counter",
        "Runs that went well for which a server had to load models.",
    );
    for view in &servers {
        text.line(&[("server", &view.server.name)], view.live.model_loads);
    }
    text.family("genimage_server_in_flight_max", "gauge", "Prompts of the hub that may be on a server.");
    for view in &servers {
        text.line(&[("server", &view.server.name)], view.server.max_in_flight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_label_sets_are_counted_together() {
        let mut map: BTreeMap<[String; 1], u64> = BTreeMap::new();
        for caller in 0..SERIES_MAX + 10 {
            *series(&mut map, [&caller.to_string()]) += 1;
        }
        assert_eq!(map.len(), SERIES_MAX + 1);
        assert_eq!(map[&["other".to_owned()]], 10);
        assert_eq!(*series(&mut map, ["7"]), 1);
    }
}
