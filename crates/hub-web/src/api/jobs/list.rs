//! Lists of jobs: what they can be filtered by, and what is told of a filter that cannot be.

use axum::{Json, extract::State, http::HeaderMap};
use chrono::{DateTime, Utc};
use hub_core::{
    caller::Caller,
    error::UserError,
    ids::{JobId, ServerId},
    job::JobStateKind,
    limits,
    request::JOB_TOOLS,
    suggest,
};
use hub_store::{JobFilter, PageCursor};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    super::{answers::Invalid, body::Params},
    JobRecord,
};
use crate::{asker::Asker, error::WebError, links, router::App};

/// Jobs per page when none is named.
const LIMIT_DEFAULT: u32 = 50;
/// Most jobs per page.
const LIMIT_MAX: u32 = 200;
/// Longest text that is looked for, in characters.
const TEXT_MAX_CHARS: usize = 500;

/// Which jobs to list; what is given must all hold.
#[derive(Debug, Default, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListQuery {
    /// States by name, separated by commas; `active` and `ended` stand for several.
    #[serde(default)]
    state: Option<String>,
    /// Of this tool.
    #[serde(default)]
    tool: Option<String>,
    /// Whose newest attempt was on this server: name or id, of a deleted one too.
    #[serde(default)]
    server: Option<String>,
    /// Of this render type, by name.
    #[serde(default)]
    render_type: Option<String>,
    /// With this style, by name.
    #[serde(default)]
    style: Option<String>,
    /// Of this caller.
    #[serde(default)]
    caller: Option<String>,
    /// Accepted at this time or later (RFC 3339).
    #[serde(default)]
    #[param(format = DateTime)]
    created_from: Option<String>,
    /// Accepted before this time (RFC 3339).
    #[serde(default)]
    #[param(format = DateTime)]
    created_to: Option<String>,
    /// Whose prompt, as asked, holds this text, in upper or lower case.
    #[serde(default)]
    #[param(min_length = 1, max_length = 500)]
    q: Option<String>,
    /// Made from this job.
    #[serde(default)]
    parent: Option<String>,
    /// The parts of this job, one for each of its pictures; without it, parts are left out.
    #[serde(default)]
    part_of: Option<JobId>,
    /// `true`: with a favourite among the results; `false`: without.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    favourite: Option<String>,
    /// `true`: with pictures among the results; `false`: without.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    has_images: Option<String>,
    /// The `next` of the page before.
    #[serde(default)]
    cursor: Option<String>,
    /// Jobs per page, 1 to 200. Default 50.
    #[serde(default)]
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
}

/// Which of the unfinished jobs; what is given must all hold. As the parameters of the list.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[schema(as = JobFilter)]
#[serde(deny_unknown_fields)]
pub(crate) struct FilterBody {
    /// States by name, separated by commas. Default: all that are not ends.
    #[serde(default)]
    pub(crate) state: Option<String>,
    /// Of this tool.
    #[serde(default)]
    pub(crate) tool: Option<String>,
    /// Whose newest attempt is on this server: name or id.
    #[serde(default)]
    pub(crate) server: Option<String>,
    /// Of this render type, by name.
    #[serde(default)]
    pub(crate) render_type: Option<String>,
    /// With this style, by name.
    #[serde(default)]
    pub(crate) style: Option<String>,
    /// Of this caller.
    #[serde(default)]
    pub(crate) caller: Option<String>,
    /// Accepted at this time or later (RFC 3339).
    #[serde(default)]
    pub(crate) created_from: Option<String>,
    /// Accepted before this time (RFC 3339).
    #[serde(default)]
    pub(crate) created_to: Option<String>,
    /// Whose prompt, as asked, holds this text, in upper or lower case.
    #[serde(default)]
    pub(crate) q: Option<String>,
    /// Made from this job.
    #[serde(default)]
    pub(crate) parent: Option<String>,
}

/// A page of jobs.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobList {
    /// Newest first.
    jobs: Vec<JobRecord>,
    /// Cursor of the next page; null on the last one.
    next: Option<String>,
}

/// Lists jobs, newest first. There is no total: `/api/v1/stats` counts jobs by state.
#[utoipa::path(get, path = "/api/v1/jobs", tag = "jobs", operation_id = "list_jobs",
    params(ListQuery),
    responses((status = 200, body = JobList), Invalid))]
pub(crate) async fn list(
    State(app): State<App>,
    Asker(asker): Asker,
    Params(query): Params<ListQuery>,
    headers: HeaderMap,
) -> Result<Json<JobList>, WebError> {
    let limit = query.limit.unwrap_or(LIMIT_DEFAULT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(
            UserError::argument("limit", format!("`limit` is {limit}, but must be from 1 to {LIMIT_MAX}.")).into()
        );
    }
    let cursor = query.cursor.as_deref().filter(|text| !text.is_empty()).map(parse_cursor).transpose()?;
    let flags = (flag("favourite", query.favourite.as_deref())?, flag("has_images", query.has_images.as_deref())?);
    let filter = FilterBody {
        state: query.state,
        tool: query.tool,
        server: query.server,
        render_type: query.render_type,
        style: query.style,
        caller: query.caller,
        created_from: query.created_from,
        created_to: query.created_to,
        q: query.q,
        parent: query.parent,
    };
    let filter =
        JobFilter { favourite: flags.0, has_images: flags.1, part_of: query.part_of, ..filter.parse(&app).await? };
    let filter = JobFilter { caller: app.engine.sees_only(&asker).or(filter.caller.clone()), ..filter };
    let page = app.engine.store().job_list(&filter, cursor, limit).await?;
    let views = app.engine.views(page.jobs).await?;
    let base_url = links::base_url(&app, &headers);
    let jobs = views.into_iter().map(|view| JobRecord::of(view, &base_url)).collect();
    Ok(Json(JobList { jobs, next: page.next.map(|cursor| cursor.to_string()) }))
}

impl FilterBody {
    /// The filter; empty texts count as left out, as forms send them.
    ///
    /// # Errors
    /// `bad_argument` naming the field and what is valid.
    pub(crate) async fn parse(self, app: &App) -> Result<JobFilter, WebError> {
        let given = |text: Option<String>| text.map(|text| text.trim().to_owned()).filter(|text| !text.is_empty());
        let (from, to) = (time("created_from", given(self.created_from))?, time("created_to", given(self.created_to))?);
        if let (Some(from), Some(to)) = (from, to)
            && from >= to
        {
            return Err(UserError::argument("created_to", "`created_to` must be later than `created_from`.").into());
        }
        let parent = given(self.parent).map(|text| {
            text.parse().map_err(|_| UserError::argument("parent", "`parent` is no id of a job, like job_018f…."))
        });
        Ok(JobFilter {
            states: parse_states(self.state.as_deref().unwrap_or(""))?,
            caller: given(self.caller).map(|name| caller(&name)).transpose()?,
            tool: given(self.tool).map(tool).transpose()?,
            server: match given(self.server) {
                Some(given) => Some(server(app, &given).await?),
                None => None,
            },
            render_type: match given(self.render_type) {
                Some(name) => Some(render_type(app, name).await?),
                None => None,
            },
            style: match given(self.style) {
                Some(name) => Some(style(app, name).await?),
                None => None,
            },
            created_from: from,
            created_to: to,
            text: given(self.q).map(text).transpose()?,
            favourite: None,
            has_images: None,
            parent: parent.transpose()?,
            part_of: None,
        })
    }
}

/// Parses a page cursor.
pub(crate) fn parse_cursor(text: &str) -> Result<PageCursor, WebError> {
    text.parse().map_err(|error| UserError::argument("cursor", format!("`cursor` is wrong: {error}.")).into())
}

/// States separated by commas; `active` and `ended` stand for several. Empty = all.
pub(crate) fn parse_states(text: &str) -> Result<Vec<JobStateKind>, WebError> {
    let mut states = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match name {
            "active" => states.extend(JobStateKind::ALL.into_iter().filter(|kind| !kind.is_terminal())),
            "ended" => states.extend(JobStateKind::ALL.into_iter().filter(|kind| kind.is_terminal())),
            name => states.push(name.parse().map_err(|error| {
                let names = JobStateKind::ALL.iter().map(|kind| kind.as_str()).chain(["active", "ended"]);
                UserError::argument("state", format!("{error}.")).with_valid(names)
            })?),
        }
    }
    Ok(states)
}

fn flag(name: &str, given: Option<&str>) -> Result<Option<bool>, UserError> {
    match given.map(str::trim).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some("true" | "1") => Ok(Some(true)),
        Some("false" | "0") => Ok(Some(false)),
        Some(_) => {
            Err(UserError::argument(name, format!("`{name}` is neither true nor false.")).with_valid(["true", "false"]))
        }
    }
}

fn time(name: &str, given: Option<String>) -> Result<Option<DateTime<Utc>>, UserError> {
    let Some(text) = given else { return Ok(None) };
    // A `+` that was not escaped arrives as a space.
    let parsed = DateTime::parse_from_rfc3339(&text).or_else(|error| {
        let (time, zone) = text.rsplit_once(' ').ok_or(error)?;
        DateTime::parse_from_rfc3339(&format!("{time}+{zone}"))
    });
    parsed.map(|time| Some(time.to_utc())).map_err(|_| {
        let shown: String = text.chars().take(40).collect();
        UserError::argument(name, format!("`{name}` is `{shown}`, which is no time of RFC 3339."))
            .with_hint("Write it like 2026-11-21T09:30:00Z.")
    })
}

fn text(text: String) -> Result<String, UserError> {
    let chars = text.chars().count();
    if chars > TEXT_MAX_CHARS {
        let message = format!("`q` has {chars} characters; it may have {TEXT_MAX_CHARS}.");
        return Err(UserError::argument("q", message));
    }
    Ok(text)
}

fn caller(name: &str) -> Result<Caller, UserError> {
    let caller = Caller::named(name);
    if caller.as_str() == name {
        return Ok(caller);
    }
    let (chars, most) = (name.chars().count(), caller.as_str().chars().count());
    Err(UserError::argument("caller", format!("`caller` has {chars} characters; names of callers have up to {most}.")))
}

fn tool(name: String) -> Result<String, UserError> {
    if JOB_TOOLS.contains(&name.as_str()) { Ok(name) } else { Err(none_of("tool", "tool", &name, JOB_TOOLS)) }
}

/// A server by name or id; deleted ones are known to history.
async fn server(app: &App, given: &str) -> Result<ServerId, WebError> {
    let id: Option<ServerId> = given.parse().ok();
    let servers = app.engine.servers();
    if let Some(view) = servers.iter().find(|view| Some(view.id()) == id || view.server.name == given) {
        return Ok(view.id());
    }
    // Of several that had the name the one that was added last.
    let names = app.engine.store().server_names().await?;
    match names.iter().rev().find(|(server, name)| Some(**server) == id || *name == given) {
        Some((server, _)) => Ok(*server),
        None => Err(none_of("server", "server", given, servers.iter().map(|view| view.server.name.as_str())).into()),
    }
}

/// A render type by name; of one that is gone there may be jobs.
async fn render_type(app: &App, name: String) -> Result<String, WebError> {
    let catalogue = app.engine.catalogue();
    let filter = JobFilter { render_type: Some(name.clone()), ..JobFilter::default() };
    if catalogue.render_type(&name).is_some() || any(app, &filter).await? {
        return Ok(name);
    }
    let known = catalogue.render_types.iter().map(|known| known.name.as_str());
    Err(none_of("render_type", "render type", &name, known).into())
}

/// A style by name; of one that is gone there may be jobs.
async fn style(app: &App, name: String) -> Result<String, WebError> {
    let catalogue = app.engine.catalogue();
    let known = || catalogue.styles.iter().map(|known| known.name.as_str());
    let filter = JobFilter { style: Some(name.clone()), ..JobFilter::default() };
    if known().any(|known| known == name) || any(app, &filter).await? {
        return Ok(name);
    }
    Err(none_of("style", "style", &name, known()).into())
}

async fn any(app: &App, filter: &JobFilter) -> Result<bool, WebError> {
    Ok(!app.engine.store().job_list(filter, None, 1).await?.jobs.is_empty())
}

/// What is given is none of those that there are.
fn none_of<'a>(argument: &str, what: &str, given: &str, known: impl IntoIterator<Item = &'a str> + Clone) -> UserError {
    let shown: String = given.chars().take(limits::NAME_MAX_CHARS).collect();
    let error = UserError::argument(argument, format!("There is no {what} `{shown}`.")).with_valid(known.clone());
    match suggest::nearest(given, known) {
        Some(near) => error.with_hint(format!("Did you mean `{near}`?")),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_are_listed_by_name_and_by_group() {
        assert_eq!(parse_states("").expect("valid"), []);
        assert_eq!(parse_states("failed, running").expect("valid"), [JobStateKind::Failed, JobStateKind::Running]);
        assert_eq!(parse_states("active").expect("valid").len(), 5);
        let WebError::User(error) = parse_states("done").expect_err("unknown") else { panic!("an argument") };
        assert_eq!(error.argument.as_deref(), Some("state"));
        assert!(error.valid_values.contains(&"succeeded".to_owned()));
    }

    #[test]
    fn times_are_taken_as_people_and_forms_send_them() {
        let parsed = |text: &str| time("created_from", Some(text.to_owned())).expect("a time").expect("given");
        let expected = parsed("2026-11-21T09:30:00Z");
        assert_eq!(parsed("2026-11-21T10:30:00+01:00"), expected);
        assert_eq!(parsed("2026-11-21T10:30:00 01:00"), expected, "a plus sign that was not escaped");
        for wrong in ["yesterday", "2026-11-21", "2026-13-01T00:00:00Z", "1795000000"] {
            let error = time("created_to", Some(wrong.to_owned())).expect_err(wrong);
            assert_eq!(error.argument.as_deref(), Some("created_to"));
        }
    }
}
