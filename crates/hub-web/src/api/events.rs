//! Everything that happens, as it happens, for an operator's page; and how much there is of what.

use std::{collections::BTreeMap, convert::Infallible, time::Duration};

use async_stream::stream;
use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::sse::{Event, KeepAlive, Sse},
};
use futures_util::Stream;
use hub_core::{
    error::UserError,
    ids::{JobId, ServerId},
    job::JobStateKind,
    server::ServerState,
};
use hub_engine::{Alert, Anew, FeedEvent, FeedId, FeedNews, QueueSizes, ServerChange};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{answers::Invalid, body::Params, jobs::ProgressRecord};
use crate::{error::WebError, live, router::App};

/// How often an idle stream says that it lives.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// What can be followed.
const KINDS: [&str; 4] = ["job", "server", "alert", "queue"];

/// Which events.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventsQuery {
    /// Kinds separated by commas: `job`, `server`, `alert`, `queue`. Default: all. `anew` always comes.
    #[serde(default)]
    kinds: Option<String>,
    /// As the header `Last-Event-ID`, for clients that cannot send it.
    #[serde(default)]
    last_event_id: Option<String>,
}

/// One event; the stream's `event:` line has the name, its `data:` line the rest.
#[derive(Debug, Serialize, ToSchema)]
#[serde(tag = "event", content = "data", rename_all = "snake_case")]
pub(crate) enum HubEvent {
    /// Forget what you know: this is how things are. The first event of a stream that resumes nothing.
    Anew(Snapshot),
    /// A job came, changed its state, ended, or got on. Only changes of state have an id.
    Job(JobChange),
    /// A server changed its state.
    Server(ServerChange),
    /// Something that a person may want to know.
    Alert(Alert),
    /// How many jobs there are in each state; at most once a second.
    Queue(QueueSizes),
}

/// How things are.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Snapshot {
    because: Anew,
    queue: QueueSizes,
    /// In the order of their names.
    servers: Vec<ServerBrief>,
}

/// One server in a line.
#[derive(Debug, Serialize, ToSchema)]
struct ServerBrief {
    id: ServerId,
    name: String,
    state: ServerState,
    reason: Option<String>,
    /// Prompts of ours that are on it.
    in_flight: u32,
}

/// A job's newest progress.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobChange {
    job: JobId,
    #[serde(flatten)]
    progress: ProgressRecord,
}

/// Follows everything that happens, by server-sent events. Changes have ids: a client that reconnects with
/// `Last-Event-ID` is told what it missed, as long as the hub remembers it; else, and when it reads too slowly,
/// it gets `anew` and goes on from there.
#[utoipa::path(get, path = "/api/v1/events", tag = "hub", operation_id = "follow_hub",
    params(EventsQuery, ("Last-Event-ID" = Option<String>, Header)),
    responses((status = 200, description = "Server-sent events, each a HubEvent", body = HubEvent,
        content_type = "text/event-stream"), Invalid))]
pub(crate) async fn follow(
    State(app): State<App>,
    Params(query): Params<EventsQuery>,
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, WebError> {
    let kinds = parse_kinds(query.kinds.as_deref().unwrap_or(""))?;
    let header = headers.get("last-event-id").and_then(|value| value.to_str().ok()).map(str::to_owned);
    let given = header.or(query.last_event_id).filter(|text| !text.is_empty());
    // An id of another program or an older form is one that is not remembered: begin anew.
    let last = given.map(|text| text.parse::<FeedId>().unwrap_or_else(|_| FeedId::foreign()));
    let permit = live::permit(&app)?;
    let mut reader = app.engine.follow(last);
    let events = stream! {
        let _permit = permit;
        while let Some(news) = reader.next().await {
            let (id, event) = match news {
                FeedNews::Anew(because, id) => (Some(id), HubEvent::Anew(snapshot(&app, because))),
                FeedNews::Event(id, event) => (id, told(&event)),
            };
            if matches!(event, HubEvent::Anew(_)) || kinds.contains(&event.name()) {
                yield Ok(event.sent(id));
            }
        }
    };
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

impl HubEvent {
    fn name(&self) -> &'static str {
        match self {
            Self::Anew(_) => "anew",
            Self::Job(_) => "job",
            Self::Server(_) => "server",
            Self::Alert(_) => "alert",
            Self::Queue(_) => "queue",
        }
    }

    fn sent(&self, id: Option<FeedId>) -> Event {
        let data = match self {
            Self::Anew(data) => serde_json::to_string(data),
            Self::Job(data) => serde_json::to_string(data),
            Self::Server(data) => serde_json::to_string(data),
            Self::Alert(data) => serde_json::to_string(data),
            Self::Queue(data) => serde_json::to_string(data),
        };
        let data = data.expect("records have string keys and finite numbers");
        let event = Event::default().event(self.name()).data(data);
        match id {
            Some(id) => event.id(id.to_string()),
            None => event,
        }
    }
}

fn told(event: &FeedEvent) -> HubEvent {
    match event {
        FeedEvent::Job(progress) => {
            HubEvent::Job(JobChange { job: progress.job, progress: ProgressRecord::of(progress) })
        }
        FeedEvent::Server(change) => HubEvent::Server(change.clone()),
        FeedEvent::Alert(alert) => HubEvent::Alert(alert.clone()),
        FeedEvent::Queue(sizes) => HubEvent::Queue(*sizes),
    }
}

fn snapshot(app: &App, because: Anew) -> Snapshot {
    let brief = |view: hub_engine::ServerView| ServerBrief {
        id: view.id(),
        name: view.server.name,
        state: view.state,
        reason: view.reason,
        in_flight: view.in_flight,
    };
    let servers = app.engine.servers().into_iter().map(brief).collect();
    Snapshot { because, queue: app.engine.queue_sizes(), servers }
}

fn parse_kinds(text: &str) -> Result<Vec<&'static str>, UserError> {
    let mut kinds = Vec::new();
    for given in text.split(',').map(str::trim).filter(|given| !given.is_empty()) {
        let Some(kind) = KINDS.into_iter().find(|kind| *kind == given) else {
            let shown: String = given.chars().take(40).collect();
            return Err(UserError::argument("kinds", format!("`{shown}` is no kind of event.")).with_valid(KINDS));
        };
        kinds.push(kind);
    }
    Ok(if kinds.is_empty() { KINDS.to_vec() } else { kinds })
}

/// How much there is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Stats)]
pub(crate) struct StatsRecord {
    /// All stored jobs, by state.
    jobs: BTreeMap<JobStateKind, u64>,
    /// Jobs that have not ended, as this process has them.
    queue: QueueSizes,
    /// Servers, by state.
    servers: BTreeMap<&'static str, usize>,
}

/// Counts jobs and servers by their states.
#[utoipa::path(get, path = "/api/v1/stats", tag = "hub", operation_id = "get_stats",
    responses((status = 200, body = StatsRecord)))]
pub(crate) async fn stats(State(app): State<App>) -> Result<Json<StatsRecord>, WebError> {
    let counted = app.engine.store().job_counts().await?;
    let jobs = JobStateKind::ALL.into_iter().map(|state| (state, counted.get(&state).copied().unwrap_or(0))).collect();
    let mut servers: BTreeMap<&'static str, usize> = BTreeMap::new();
    for view in app.engine.servers() {
        *servers.entry(view.state.as_str()).or_default() += 1;
    }
    Ok(Json(StatsRecord { jobs, queue: app.engine.queue_sizes(), servers }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_chosen_by_name() {
        assert_eq!(parse_kinds("").expect("valid"), KINDS);
        assert_eq!(parse_kinds("alert, job").expect("valid"), ["alert", "job"]);
        let error = parse_kinds("jobs").expect_err("unknown");
        assert_eq!((error.argument.as_deref(), error.valid_values.len()), (Some("kinds"), 4));
    }
}
