//! Tests how a server is reached, stage by stage, as a person would: is anybody there, are we let in, is it
//! ComfyUI, does its event socket open, and what does it lack? Uses a client of its own and changes nothing, so
//! that settings can be tried before they are stored.

use std::{sync::Arc, time::Duration};

use comfyui::{Client, Error, ErrorKind, Inventory};
use hub_core::server::Reach;
use tokio::time::Instant;
use uuid::Uuid;

use super::{credentials, inventory, probe::limited, seen::GUEST};
use crate::{Lack, RenderTypeOnServer, ServerTest, StageName, StageOutcome, TestStage, catalogue::Snapshot};

/// Longest time for the event socket's first word.
const FIRST_EVENT_LIMIT: Duration = Duration::from_secs(10);
/// Render types that a stage's detail names.
const NAMED_MAX: usize = 5;

/// Tests one way to reach a server. `server` and `name` are left for the caller to fill in.
pub(crate) async fn examine(reach: &Reach, snapshot: &Arc<Snapshot>) -> ServerTest {
    let begun = Instant::now();
    let mut report = Report { stages: Vec::new(), version: None, render_types: Vec::new() };
    report.run(reach, snapshot).await;
    report.skip_the_rest();
    ServerTest {
        server: None,
        name: String::new(),
        base_url: reach.base_url.clone(),
        ok: report.stages.iter().all(|stage| stage.outcome != StageOutcome::Failed),
        version: report.version,
        stages: report.stages,
        render_types: report.render_types,
        duration_ms: millis(begun.elapsed()),
    }
}

const ORDER: [StageName; 6] = [
    StageName::Reachable,
    StageName::Authorised,
    StageName::Comfyui,
    StageName::Events,
    StageName::Inventory,
    StageName::RenderTypes,
];

struct Report {
    stages: Vec<TestStage>,
    version: Option<String>,
    render_types: Vec<RenderTypeOnServer>,
}

/// What a stage found.
struct Found {
    outcome: StageOutcome,
    detail: String,
    hint: Option<String>,
}

impl Found {
    fn ok(detail: impl Into<String>) -> Self {
        Self { outcome: StageOutcome::Ok, detail: detail.into(), hint: None }
    }

    fn warning(detail: impl Into<String>, hint: &str) -> Self {
        Self { outcome: StageOutcome::Warning, detail: detail.into(), hint: Some(hint.to_owned()) }
    }

    fn failed(detail: impl Into<String>, hint: &str) -> Self {
        Self { outcome: StageOutcome::Failed, detail: detail.into(), hint: Some(hint.to_owned()) }
    }
}

impl Report {
    /// Stops where nothing further can be learned.
    async fn run(&mut self, reach: &Reach, snapshot: &Arc<Snapshot>) {
        let begun = Instant::now();
        let client = match credentials::client(reach).await {
            Ok(client) => client,
            Err(why) => {
                let found = Found::failed(why, "Mend the server's credentials or certificate.");
                return self.note(StageName::Reachable, begun, found);
            }
        };
        let reached = client.reach().await;
        let there = reached.is_ok();
        self.note(StageName::Reachable, begun, reachable(reach, reached));
        if !there {
            return;
        }

        let begun = Instant::now();
        let stats = match limited(client.system_stats()).await {
            Ok(stats) => stats,
            Err(error) => {
                let (stage, found) = not_introduced(reach, &error);
                if stage == StageName::Comfyui {
                    self.note(StageName::Authorised, begun, Found::ok("Nothing asked for other credentials."));
                }
                return self.note(stage, begun, found);
            }
        };
        let guest = limited(client.is_guest()).await;
        self.note(StageName::Authorised, begun, authorised(guest));

        let begun = Instant::now();
        let queue = limited(client.queue_remaining()).await;
        self.version.clone_from(&stats.system.comfyui_version);
        let is_comfyui = queue.is_ok();
        self.note(StageName::Comfyui, begun, comfyui(&stats, queue));
        if !is_comfyui {
            return;
        }

        let begun = Instant::now();
        let found = events(&client).await;
        self.note(StageName::Events, begun, found);

        let begun = Instant::now();
        match inventory::fetch(&client, None).await {
            Ok(Some(inventory)) => {
                self.note(StageName::Inventory, begun, inventoried(&inventory));
                let begun = Instant::now();
                self.render_types = held_against(snapshot, &inventory);
                let found = render_types(&self.render_types);
                self.note(StageName::RenderTypes, begun, found);
            }
            Ok(None) => {}
            Err(error) => {
                let hint = "Jobs are tried there without knowing; a file that is missing is found out by its refusal.";
                self.note(StageName::Inventory, begun, Found::warning(inventory::explain(&error), hint));
            }
        }
    }

    fn note(&mut self, name: StageName, begun: Instant, found: Found) {
        let Found { outcome, detail, hint } = found;
        // Whoever takes connections but not TLS is not reachable after all.
        self.stages.retain(|stage| stage.name != name);
        self.stages.push(TestStage { name, outcome, detail, hint, duration_ms: millis(begun.elapsed()) });
    }

    fn skip_the_rest(&mut self) {
        for name in ORDER {
            if !self.stages.iter().any(|stage| stage.name == name) {
                self.stages.push(TestStage {
                    name,
                    outcome: StageOutcome::Skipped,
                    detail: "Not tried.".to_owned(),
                    hint: None,
                    duration_ms: 0.0,
                });
            }
        }
        self.stages.sort_by_key(|stage| ORDER.iter().position(|name| *name == stage.name));
    }
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

fn reachable(reach: &Reach, reached: Result<comfyui::Reached, Error>) -> Found {
    match reached {
        Ok(reached) => Found::ok(format!("{} takes connections.", reached.address)),
        Err(error) => Found::failed(
            format!("{} does not take connections: {}.", reach.base_url, last_cause(&error)),
            "Check the address and the port, that ComfyUI runs, that it listens on more than loopback (--listen), and \
             firewalls.",
        ),
    }
}

/// The deepest cause says what happened; what wraps it says only that something did.
fn last_cause(error: &Error) -> String {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// The first answer failed: which stage that speaks of, and what to do.
fn not_introduced(reach: &Reach, error: &Error) -> (StageName, Found) {
    let secure = reach.base_url.as_url().scheme() == "https";
    let other_scheme = if secure { "Perhaps it speaks http only." } else { "Perhaps it speaks https only." };
    let (stage, hint) = match error {
        Error::Certificate(_) => (
            StageName::Reachable,
            "Set the server's `ca` to the certificate of its authority or, when it is self-signed, to its own: PEM \
             text, or file:PATH.",
        ),
        Error::Unauthorized { .. } => (
            StageName::Authorised,
            "Check the kind of credentials and the secret. ComfyUI-Login wants the token it prints at its start (the \
             hash in login/PASSWORD), not the password; with --enable-cors-header it also wants an `origin` equal to \
             that header.",
        ),
        Error::Connect(_) | Error::Transport(_) => (StageName::Reachable, other_scheme),
        _ if error.kind() == ErrorKind::NotComfyUi => {
            (StageName::Comfyui, "Give the address of ComfyUI itself, with the path under which a proxy serves it.")
        }
        _ => (StageName::Comfyui, "Look into the server's log."),
    };
    (stage, Found::failed(sentence(&error.to_string()), hint))
}

fn authorised(guest: Result<bool, Error>) -> Found {
    match guest {
        Ok(true) => Found::warning(sentence(GUEST), "Give the token of a user, or switch the guest mode off."),
        Ok(false) => Found::ok("The credentials are taken."),
        Err(error) => Found::warning(
            format!("Reading is allowed, but POST was not: {error}."),
            "Jobs need POST: allow it for the hub in front of the server.",
        ),
    }
}

fn comfyui(stats: &comfyui::SystemStats, queue: Result<u32, Error>) -> Found {
    let version = stats.system.comfyui_version.as_deref().unwrap_or("of unknown version");
    match queue {
        Ok(waiting) => {
            let devices: Vec<&str> = stats.devices.iter().map(|device| device.name.as_str()).collect();
            Found::ok(format!("ComfyUI {version} on {}; {waiting} prompts in its queue.", devices.join(", ")))
        }
        Err(error) => Found::failed(
            format!("It tells about itself, but not about its queue: {error}."),
            "Give the address of ComfyUI itself.",
        ),
    }
}

async fn events(client: &Client) -> Found {
    let first = async {
        let mut connection = client.connect_events(&Uuid::new_v4().simple().to_string()).await?;
        let first = connection.next().await;
        connection.close().await;
        match first {
            Some(Ok(_)) => Ok(true),
            Some(Err(error)) => Err(error),
            None => Ok(false),
        }
    };
    let hint = "Jobs work without it, but start later and show no progress. Let the proxy in front of the server pass \
                WebSockets at /ws.";
    match tokio::time::timeout(FIRST_EVENT_LIMIT, first).await {
        Ok(Ok(true)) => Found::ok("The event socket opens and speaks."),
        Ok(Ok(false)) => Found::warning("The event socket closes at once.", hint),
        Ok(Err(error)) => Found::warning(format!("The event socket does not open: {error}."), hint),
        Err(_) => Found::warning("The event socket opens, but says nothing.", hint),
    }
}

fn inventoried(inventory: &Inventory) -> Found {
    let (classes, files) = (inventory.class_count(), inventory.model_file_count());
    match inventory.malformed_count() {
        0 => Found::ok(format!("{classes} node classes, {files} model files.")),
        odd => Found::ok(format!("{classes} node classes ({odd} of an odd shape), {files} model files.")),
    }
}

fn held_against(snapshot: &Snapshot, inventory: &Inventory) -> Vec<RenderTypeOnServer> {
    let rows = snapshot.catalogue.render_types.iter().filter(|row| row.visible);
    rows.filter_map(|row| {
        let runnable = snapshot.runnable(row)?;
        let lack = Lack::from(&runnable.needs.lacking(inventory));
        Some(RenderTypeOnServer {
            render_type: row.name.clone(),
            workflow: runnable.workflow.name.clone(),
            ok: lack.is_empty(),
            lack,
        })
    })
    .collect()
}

fn render_types(rows: &[RenderTypeOnServer]) -> Found {
    let lacking: Vec<&RenderTypeOnServer> = rows.iter().filter(|row| !row.ok).collect();
    if lacking.is_empty() {
        return Found::ok(format!("It can run all {} render types.", rows.len()));
    }
    let mut told: Vec<String> =
        lacking.iter().take(NAMED_MAX).map(|row| format!("`{}` lacks {}", row.render_type, row.lack)).collect();
    if lacking.len() > NAMED_MAX {
        told.push(format!("and {} more", lacking.len() - NAMED_MAX));
    }
    let can = rows.len() - lacking.len();
    Found::warning(
        format!("It can run {can} of {} render types: {}.", rows.len(), told.join("; ")),
        "Install what is lacking, or leave those jobs to other servers.",
    )
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}{}", chars.as_str(), if text.ends_with('.') { "" } else { "." })
}
