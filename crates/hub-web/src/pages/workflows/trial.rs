//! The test run of one version of a workflow: which servers can run it, a form, and what came out.

use axum::{
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    response::Response,
};
use hub_core::{artifact::MediaKind, catalogue::Workflow, error::UserError, ids::JobId, job::JobState};
use hub_engine::{JobView, WorkflowCheck};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{
    super::{
        form::{Fault, FormFields, Sent, refused},
        see_other,
        shown::{ShownImage, ShownProgress, ShownState},
    },
    detail,
};
use crate::{
    api, asker::Asker, error::WebError, language::apart, live, lookup, presses, render::Page, router::App, said,
};

/// What is drawn unless somebody says something else.
const PROMPT: &str = "a red fox in fresh snow, morning light";
/// Fields that a fault can stand beside.
const FIELDS: [&str; 4] = ["server", "prompt", "image", "seed"];

/// The card of a workflow's page.
#[derive(Debug, Serialize)]
pub(crate) struct Trial {
    path: String,
    recheck_path: String,
    checks: Vec<Check>,
    /// How many of the servers can run it.
    able: usize,
    takes_prompt: bool,
    takes_image: bool,
    takes_seed: bool,
    typed: Typed,
    fault: Option<Fault>,
    run: Option<Run>,
}

/// A server held against the workflow.
#[derive(Debug, Serialize)]
struct Check {
    id: String,
    name: String,
    path: String,
    why_not: Option<String>,
    /// How long ago its node list was read.
    read: Option<String>,
    chosen: bool,
}

/// The form as typed.
#[derive(Debug, Default, Serialize)]
pub(super) struct Typed {
    server: String,
    prompt: String,
    image: String,
    seed: String,
}

/// A test run and what came out.
#[derive(Debug, Serialize)]
pub(crate) struct Run {
    job_path: String,
    live_path: String,
    /// The page that shows it, to look at again.
    here: String,
    state: ShownState,
    progress: Option<ShownProgress>,
    image: Option<ShownImage>,
    /// Why there is no picture, with the node that failed where it is known.
    error: Option<String>,
    warnings: Vec<String>,
    server: Option<String>,
}

impl Trial {
    /// The card without anything typed; `run` is shown if it ran this version.
    pub(super) async fn load(app: &App, workflow: &Workflow, run: Option<JobId>) -> Result<Self, WebError> {
        let form = app.engine.workflow_trial_form(workflow);
        let checks = app.engine.workflow_check(workflow);
        let first = checks.iter().find(|check| check.why_not.is_none());
        let newest = if form.takes_image { app.engine.newest_picture().await? } else { None };
        let typed = Typed {
            server: first.map(|check| check.server.to_string()).unwrap_or_default(),
            prompt: PROMPT.to_owned(),
            image: newest.map(|id| id.to_string()).unwrap_or_default(),
            seed: String::new(),
        };
        let run = match run {
            Some(id) => Run::of(&app.engine.view(id).await?, workflow),
            None => None,
        };
        Ok(Self {
            path: format!("/workflows/{}/test-run", workflow.id),
            recheck_path: format!("/workflows/{}/recheck", workflow.id),
            able: checks.iter().filter(|check| check.why_not.is_none()).count(),
            checks: checks.into_iter().map(|check| Check::of(check, &typed.server)).collect(),
            takes_prompt: form.takes_prompt,
            takes_image: form.takes_image,
            takes_seed: form.takes_seed,
            typed,
            fault: None,
            run,
        })
    }

    fn refused(self, typed: Typed, error: &UserError) -> Self {
        let checks = self.checks.into_iter().map(|check| Check { chosen: check.id == typed.server, ..check });
        Self { checks: checks.collect(), typed, fault: Some(Fault::of(error).elsewhere(&FIELDS)), ..self }
    }
}

impl Check {
    fn of(check: WorkflowCheck, chosen: &str) -> Self {
        let id = check.server.to_string();
        Self {
            path: format!("/servers/{id}"),
            chosen: id == chosen,
            // Both stand in one option of a list, which takes no markup.
            name: apart::apart(&check.name).into_owned(),
            why_not: check.why_not.map(|why| apart::sentence(&why).into_owned()),
            read: check.read_s_ago.map(ago),
            id,
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "an age of years is shown as wrongly as it is useless")]
fn ago(seconds: f64) -> String {
    match seconds as i64 {
        ..10 => said!("checked just now").to_string(),
        seconds @ 10..120 => said!("checked {n} s ago", n = seconds),
        seconds => said!("checked {n} min ago", n = seconds / 60),
    }
}

impl Run {
    fn of(view: &JobView, workflow: &Workflow) -> Option<Self> {
        let job = &view.job;
        if job.recipe.as_ref().is_none_or(|recipe| recipe.workflow_id != workflow.id) {
            return None;
        }
        let error = if let JobState::Failed(error) = &job.state { Some(apart::error(error).explain()) } else { None };
        Some(Self {
            job_path: format!("/jobs/{}", job.id),
            live_path: format!("/workflows/{}/test-run/live?run={}", workflow.id, job.id),
            here: format!("/workflows/{}?run={}#test-run", workflow.id, job.id),
            state: ShownState::of_view(view),
            progress: ShownProgress::of_view(view),
            image: view
                .artifacts
                .iter()
                .find(|file| file.kind == MediaKind::Image)
                .map(|artifact| ShownImage::of(artifact, job.request.prompt())),
            error,
            warnings: apart::sentences(&job.warnings),
            server: view.server.clone(),
        })
    }
}

impl Typed {
    /// The arguments it stands for; blank fields are left out.
    fn arguments(&self, takes_seed: bool) -> Map<String, Value> {
        let mut arguments = Map::new();
        for (name, text) in [("prompt", &self.prompt), ("image", &self.image)] {
            if !text.trim().is_empty() {
                arguments.insert(name.to_owned(), Value::String(text.trim().to_owned()));
            }
        }
        let seed = self.seed.trim();
        if takes_seed && !seed.is_empty() {
            // What is no number is passed on as it is, to be refused in the words that agents are told.
            let value = seed.parse::<u64>().map_or_else(|_| Value::String(seed.to_owned()), Value::from);
            arguments.insert("seed".to_owned(), value);
        }
        arguments
    }
}

/// Runs the version once, and leads back to its page.
pub(crate) async fn run(
    State(app): State<App>,
    Path(id): Path<String>,
    Asker(caller): Asker,
    request: Request,
) -> Result<Response, WebError> {
    let workflow = lookup::workflow(&app, &id).await?;
    let fields = FormFields::read(request, &app).await?;
    let form = app.engine.workflow_trial_form(&workflow);
    let mut typed = Typed {
        server: fields.first("server"),
        prompt: fields.first("prompt").replace("\r\n", "\n"),
        image: fields.first("image"),
        seed: fields.first("seed"),
    };
    let submitted = async {
        if let Some(id) = fields.stored_picture(&app, &caller, "file", "image").await? {
            typed.image = id;
        }
        let server = Some(typed.server.clone()).filter(|server| !server.is_empty());
        let arguments = typed.arguments(form.takes_seed);
        app.engine.workflow_try(&caller, &workflow, server, Some(presses::wish()), arguments).await
    }
    .await;
    match submitted {
        Ok(submitted) => Ok(see_other(&format!("/workflows/{}?run={}#test-run", workflow.id, submitted.job.id))),
        Err(error) => {
            let trial = Trial::load(&app, &workflow, None).await?.refused(typed, &error);
            let mut page = detail::page(&app, workflow).await?;
            page.trial = trial;
            refused(&app, &error, &page)
        }
    }
}

/// Which servers to look at anew.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Recheck {
    /// Id of one; empty = all.
    server: String,
}

/// Has the node lists read again now, and shows the check anew.
pub(crate) async fn recheck(
    State(app): State<App>,
    Path(id): Path<String>,
    Sent(form): Sent<Recheck>,
) -> Result<Response, WebError> {
    let workflow = lookup::workflow(&app, &id).await?;
    let only = match form.server.as_str() {
        "" => None,
        server => Some(lookup::server(&app, server)?.id()),
    };
    let silent = app.engine.servers_read_again(only).await;
    let done = if silent.is_empty() { "rechecked" } else { "rechecked-some" };
    Ok(see_other(&format!("/workflows/{}?done={done}#test-run", workflow.id)))
}

#[derive(Debug, Deserialize)]
pub(crate) struct LiveQuery {
    run: String,
}

/// Redraws the run as it goes on.
pub(crate) async fn follow(
    State(app): State<App>,
    Path(id): Path<String>,
    query: Result<Query<LiveQuery>, QueryRejection>,
) -> Result<Response, WebError> {
    let Query(query) = query?;
    let workflow = lookup::workflow(&app, &id).await?;
    let run = api::parse_id(&query.run)?;
    Run::of(&app.engine.view(run).await?, &workflow).ok_or_else(|| WebError::missing("test run", &query.run))?;
    let own = app.clone();
    live::on_job(&app, run, move |_| {
        let (app, workflow) = (own.clone(), workflow.clone());
        async move {
            let view = app.engine.view(run).await?;
            let run =
                Run::of(&view, &workflow).ok_or_else(|| WebError::missing("test run", &view.job.id.to_string()))?;
            app.renderer.render(&TrialLive { run })
        }
    })
    .await
}

/// The region that is redrawn.
#[derive(Debug, Serialize)]
pub(crate) struct TrialLive {
    run: Run,
}

impl Page for TrialLive {
    const TEMPLATE: &'static str = "pages/workflow_trial_live.html";

    #[cfg(test)]
    fn sample() -> Self {
        Self { run: Run::sample() }
    }
}

#[cfg(test)]
impl Run {
    fn sample() -> Self {
        use super::super::shown::sample;
        let view = sample::view(sample::failed());
        let workflow = view.job.recipe.as_ref().expect("samples have one").workflow_id;
        let workflow = Workflow {
            id: workflow,
            name: String::new(),
            version: 1,
            graph: Value::Null,
            slots: Value::Null,
            description: String::new(),
        };
        Self::of(&view, &workflow).expect("it ran that version")
    }
}

#[cfg(test)]
impl Trial {
    pub(super) fn sample() -> Self {
        let text = || super::super::shown::sample::HOSTILE.to_owned();
        let check = |why_not| Check {
            id: text(),
            name: text(),
            path: "/servers/srv_1".to_owned(),
            why_not,
            read: Some(text()),
            chosen: true,
        };
        Self {
            path: "/workflows/wf_2/test-run".to_owned(),
            recheck_path: "/workflows/wf_2/recheck".to_owned(),
            checks: vec![check(None), check(Some(text()))],
            able: 1,
            takes_prompt: true,
            takes_image: true,
            takes_seed: true,
            typed: Typed { server: text(), prompt: text(), image: text(), seed: text() },
            fault: Some(Fault { field: "seed".to_owned(), text: text(), changed: false }),
            run: Some(Run::sample()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_blank_is_left_to_the_workflow() {
        let typed = Typed { prompt: " ".to_owned(), seed: "x7".to_owned(), ..Typed::default() };
        assert_eq!(Value::Object(typed.arguments(true)), serde_json::json!({"seed": "x7"}));
        assert!(typed.arguments(false).is_empty(), "a workflow without a seed is given none");
        let typed = Typed { seed: " 18446744073709551615 ".to_owned(), ..Typed::default() };
        assert_eq!(Value::Object(typed.arguments(true)), serde_json::json!({"seed": u64::MAX}));
        assert_eq!((ago(3.2).as_str(), ago(185.0).as_str()), ("checked just now", "checked 3 min ago"));
    }
}
