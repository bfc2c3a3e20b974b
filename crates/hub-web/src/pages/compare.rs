//! Pictures side by side: at the same scale, with what differs in how they were made.

use axum::{
    extract::{RawQuery, State},
    response::{Html, Response},
};
use hub_core::{
    artifact::{Artifact, MediaKind},
    error::UserError,
    ids::{ArtifactId, JobId},
    job::Job,
};
use hub_engine::JobView;
use serde::{Deserialize, Serialize};

use super::{
    Frame,
    form::Sent,
    html, see_other,
    shown::{ShownImage, ShownState, duration, tool_title},
};
use crate::{
    api,
    error::WebError,
    language::{Said, apart},
    render::Page,
    router::App,
    said,
};

/// Fewest and most that are compared.
const COUNT: std::ops::RangeInclusive<usize> = 2..=4;

/// The page.
#[derive(Debug, Serialize)]
pub(crate) struct ComparePage {
    frame: Frame,
    /// From `A` on.
    columns: Vec<Column>,
    /// What is not the same in all of them.
    differing: Vec<Row>,
    /// What is.
    alike: Vec<Row>,
    /// Two pictures can be laid over each other.
    overlaid: bool,
}

/// One of them.
#[derive(Debug, Serialize)]
struct Column {
    letter: char,
    job_path: String,
    reuse_path: String,
    state: ShownState,
    image: Option<ShownImage>,
}

/// A part of the recipe, with its value in each column.
#[derive(Debug, Serialize)]
struct Row {
    name: Said,
    values: Vec<String>,
}

/// Jobs, or pictures of theirs.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Chosen {
    job: Vec<String>,
    image: Vec<String>,
}

/// What is compared: a job with one of its pictures.
struct Item {
    view: JobView,
    picture: Option<Artifact>,
}

pub(crate) async fn show(State(app): State<App>, RawQuery(query): RawQuery) -> Result<Html<String>, WebError> {
    let chosen: Chosen = serde_html_form::from_str(query.as_deref().unwrap_or_default())
        .map_err(|error| UserError::argument("job", said!("The address cannot be read: {error}.", error)))?;
    let items = items(&app, &chosen).await?;
    html(&app, &page(&items))
}

/// Leads to the page of what was ticked: a form that is sent has no address to come back to.
pub(crate) async fn choose(Sent(chosen): Sent<Chosen>) -> Result<Response, WebError> {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    let (jobs, images) = chosen.parse()?;
    check_count(jobs.len() + images.len())?;
    for job in jobs {
        query.append_pair("job", &job.to_string());
    }
    for image in images {
        query.append_pair("image", &image.to_string());
    }
    Ok(see_other(&format!("/compare?{}", query.finish())))
}

impl Chosen {
    /// Each once, in order.
    fn parse(&self) -> Result<(Vec<JobId>, Vec<ArtifactId>), WebError> {
        let mut jobs = Vec::new();
        for text in &self.job {
            let id = api::parse_id(text)?;
            if !jobs.contains(&id) {
                jobs.push(id);
            }
        }
        let mut images = Vec::new();
        for text in &self.image {
            let id = text.parse().map_err(|_| WebError::missing("picture", text))?;
            if !images.contains(&id) {
                images.push(id);
            }
        }
        Ok((jobs, images))
    }
}

fn check_count(count: usize) -> Result<(), UserError> {
    if COUNT.contains(&count) {
        return Ok(());
    }
    let (least, most) = (COUNT.start(), COUNT.end());
    Err(UserError::argument(
        "job",
        said!("{least} to {most} pictures or jobs can be compared; {count} were chosen.", least, most, count),
    ))
}

async fn items(app: &App, chosen: &Chosen) -> Result<Vec<Item>, WebError> {
    let (jobs, images) = chosen.parse()?;
    check_count(jobs.len() + images.len())?;
    let mut items = Vec::new();
    for id in jobs {
        let view = app.engine.view(id).await?;
        let picture = view.artifacts.iter().find(|file| file.kind == MediaKind::Image).cloned();
        items.push(Item { view, picture });
    }
    for id in images {
        let picture = app.engine.artifact(id).await?;
        let job = picture.job.ok_or_else(|| {
            UserError::argument("image", said!("The picture {id} was given and not made: it has no recipe.", id))
        })?;
        items.push(Item { view: app.engine.view(job).await?, picture: Some(picture) });
    }
    Ok(items)
}

fn page(items: &[Item]) -> ComparePage {
    let columns: Vec<Column> = items.iter().zip('A'..).map(|(item, letter)| Column::of(item, letter)).collect();
    let (differing, alike) =
        rows(items).into_iter().partition(|row| row.values.iter().any(|value| *value != row.values[0]));
    let overlaid =
        columns.len() == 2 && columns.iter().all(|column| column.image.as_ref().is_some_and(|image| image.is_image));
    ComparePage { frame: Frame::new("gallery", said!("Compare")), columns, differing, alike, overlaid }
}

impl Column {
    fn of(item: &Item, letter: char) -> Self {
        let job = &item.view.job;
        Self {
            letter,
            job_path: format!("/jobs/{}", job.id),
            reuse_path: format!("/playground?from={}", job.id),
            state: ShownState::of(job.state.kind()),
            image: item.picture.as_ref().map(|picture| ShownImage::of(picture, job.request.prompt())),
        }
    }
}

/// Everything that is told of a recipe; what none of them has is left out.
fn rows(items: &[Item]) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut add = |name, value: &dyn Fn(&Item) -> Option<String>| {
        let values: Vec<Option<String>> = items.iter().map(value).collect();
        if values.iter().any(Option::is_some) {
            rows.push(Row { name, values: values.into_iter().map(Option::unwrap_or_default).collect() });
        }
    };
    let recipe = |item: &Item| item.view.job.recipe.clone();
    add(said!("Tool"), &|item| Some(tool_title(item.view.job.request.tool()).to_string()));
    add(said!("Prompt"), &|item| item.view.job.request.prompt().map(str::to_owned));
    add(said!("As rendered"), &|item| recipe(item)?.prompt);
    add(said!("Negative prompt"), &|item| recipe(item)?.negative_prompt);
    add(said!("Styles"), &|item| {
        recipe(item).map(|recipe| apart::list(&recipe.styles, ", ")).filter(|styles| !styles.is_empty())
    });
    add(said!("Render type"), &|item| Some(recipe(item)?.render_type));
    add(said!("Workflow"), &|item| {
        recipe(item).map(|recipe| {
            said!("{workflow} · version {version}", workflow = recipe.workflow, version = recipe.workflow_version)
        })
    });
    add(said!("Seed"), &|item| {
        let of_picture = item.picture.as_ref().and_then(|picture| picture.seed);
        of_picture.or_else(|| recipe(item).map(|recipe| recipe.seed)).map(|seed| seed.to_string())
    });
    add(said!("Size"), &|item| {
        item.picture.as_ref().map(|picture| format!("{} × {} px", picture.width_px, picture.height_px))
    });
    add(said!("Steps"), &|item| recipe(item)?.steps.map(|steps| steps.to_string()));
    add(said!("Guidance"), &|item| recipe(item)?.cfg.map(|cfg| cfg.to_string()));
    add(said!("Denoise"), &|item| recipe(item)?.denoise.map(|denoise| denoise.to_string()));
    add(said!("Input picture"), &|item| recipe(item)?.input.map(|id| id.to_string()));
    add(said!("Prompt enhanced"), &|item| {
        recipe(item).map(|recipe| if recipe.enhanced { said!("yes") } else { said!("no") }.to_string())
    });
    add(said!("Server"), &|item| item.view.server.clone());
    add(said!("Run time"), &|item| ran(&item.view.job));
    rows
}

fn ran(job: &Job) -> Option<String> {
    Some(duration(job.times.finished_at? - job.times.started_at?))
}

impl Page for ComparePage {
    const TEMPLATE: &'static str = "pages/compare.html";

    #[cfg(test)]
    fn sample() -> Self {
        use super::shown::sample;
        let item =
            || Item { view: sample::view(hub_core::job::JobState::Succeeded), picture: Some(sample::artifact()) };
        let mut other = item();
        other.view.server = Some(sample::HOSTILE.to_owned());
        page(&[item(), other])
    }
}

#[cfg(test)]
mod tests {
    use hub_core::job::JobState;

    use super::*;
    use crate::pages::shown::sample;

    #[test]
    fn only_what_differs_is_told_as_a_difference() {
        let item = |seed| {
            let mut picture = sample::artifact();
            picture.seed = Some(seed);
            Item { view: sample::view(JobState::Succeeded), picture: Some(picture) }
        };
        let page = page(&[item(1), item(2), item(1)]);
        let names: Vec<String> = page.differing.iter().map(|row| row.name.to_string()).collect();
        assert_eq!(names, ["Seed"]);
        assert_eq!(page.differing[0].values, ["1", "2", "1"]);
        assert!(page.alike.iter().any(|row| row.name == said!("Run time")));
        assert!(!page.overlaid, "three cannot lie over each other");
        let letters: String = page.columns.iter().map(|column| column.letter).collect();
        assert_eq!(letters, "ABC");
    }

    #[test]
    fn too_few_and_too_many_are_refused() {
        assert!(check_count(1).is_err() && check_count(5).is_err());
        assert!(check_count(2).is_ok() && check_count(4).is_ok());
        let twice = Chosen { image: vec![sample::artifact().id.to_string(); 2], job: Vec::new() };
        assert_eq!(twice.parse().expect("ids").1.len(), 1);
    }
}
