//! Jobs, pictures, progress and times in the form in which several pages show them.

mod report;
#[cfg(test)]
pub(crate) mod sample;
mod showcase;
mod waiting;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use chrono::{DateTime, TimeDelta, Utc};
use hub_core::{
    artifact::{Artifact, MediaKind},
    job::{JobState, JobStateKind},
};
use hub_engine::{JobProgress, JobView};
use serde::Serialize;

pub(crate) use self::{report::ShownReport, showcase::ShownShowcase, waiting::ShownWaiting};
use crate::{
    language::{Said, apart},
    links, said,
};

/// Largest picture of unfinished work that is sent inside a fragment, in bytes.
const PREVIEW_MAX_BYTES: usize = 192 * 1024;
/// Longest description of a picture for those who do not see it, in characters.
const ALT_CHARS: usize = 200;
/// Longest prompt in a list, in characters.
pub(crate) const PROMPT_SHOWN_CHARS: usize = 160;

/// A moment, for machines and people.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Moment {
    iso: String,
    /// `14:03:22 UTC`, with the date when it is not today's.
    exact: String,
    /// `3 min ago`.
    ago: String,
}

impl Moment {
    pub(crate) fn of(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let format = if at.date_naive() == now.date_naive() { "%H:%M:%S UTC" } else { "%Y-%m-%d %H:%M UTC" };
        Self {
            iso: at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            exact: at.format(format).to_string(),
            ago: ago(now - at),
        }
    }
}

fn ago(age: TimeDelta) -> String {
    match age.num_seconds() {
        ..10 => said!("just now").into(),
        seconds @ 10..60 => said!("{n} s ago", n = seconds),
        seconds @ 60..3600 => said!("{n} min ago", n = seconds / 60),
        seconds @ 3600..86_400 => said!("{n} h ago", n = seconds / 3600),
        seconds if seconds < 2 * 86_400 => said!("yesterday").into(),
        seconds => said!("{n} days ago", n = seconds / 86_400),
    }
}

/// A length of time: `0.8 s`, `12 s`, `3 min 20 s`.
pub(crate) fn duration(length: TimeDelta) -> String {
    let ms = length.num_milliseconds().max(0);
    match ms {
        ..10_000 => said!("{s} s", s = format_args!("{:.1}", ms as f64 / 1000.0)),
        10_000..120_000 => said!("{s} s", s = ms / 1000),
        120_000..7_200_000 => said!("{min} min {s} s", min = ms / 60_000, s = ms / 1000 % 60),
        _ => said!("{h} h {min} min", h = ms / 3_600_000, min = ms / 60_000 % 60),
    }
}

/// A size in bytes, for people.
pub(crate) fn bytes(size: u64) -> String {
    match size {
        ..1_000 => format!("{size} B"),
        1_000..1_000_000 => format!("{} kB", size / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1} MB", size as f64 / 1e6),
        _ => format!("{:.1} GB", size as f64 / 1e9),
    }
}

/// How a state is named and coloured.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ShownState {
    /// As the API names it.
    name: &'static str,
    /// As people read it.
    label: Said,
    /// Which of the stylesheet's tones it has.
    tone: &'static str,
    /// Icon in the sprite.
    icon: &'static str,
    /// Whether the job has ended.
    ended: bool,
}

impl ShownState {
    /// As it is this moment.
    pub(crate) fn of_view(view: &JobView) -> Self {
        Self::of(state_now(view.job.state.kind(), view.progress.as_ref().map(|progress| progress.state)))
    }

    pub(crate) fn of(state: JobStateKind) -> Self {
        let (label, tone, icon) = match state {
            JobStateKind::Planning => (said!("Preparing"), "wait", "clock"),
            JobStateKind::Queued => (said!("Waiting"), "wait", "clock"),
            JobStateKind::Assigned => (said!("Starting"), "busy", "bolt"),
            JobStateKind::Running => (said!("Rendering"), "busy", "bolt"),
            JobStateKind::Collecting => (said!("Fetching"), "busy", "bolt"),
            JobStateKind::Succeeded => (said!("Done"), "good", "check"),
            JobStateKind::Failed => (said!("Failed"), "bad", "alert"),
            JobStateKind::Cancelled => (said!("Cancelled"), "off", "stop"),
            JobStateKind::Expired => (said!("Expired"), "off", "clock"),
        };
        Self { name: state.as_str(), label, tone, icon, ended: state.is_terminal() }
    }
}

/// A tool's name for people.
pub(crate) fn tool_title(tool: &str) -> Said {
    match tool {
        "generate_image" => said!("Generate"),
        "upscale_image" => said!("Upscale"),
        "edit_image" => said!("Edit"),
        "detail_image" => said!("Detail"),
        "describe_image" => said!("Describe"),
        "generate_prompt" => said!("Prompt"),
        _ => said!("Job"),
    }
}

/// A stored file.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ShownImage {
    id: String,
    /// The file itself.
    path: String,
    thumb: String,
    file_name: String,
    width: u32,
    height: u32,
    /// As text: a seed may exceed what scripts can count.
    seed: Option<String>,
    mime: String,
    size: String,
    pub(crate) is_image: bool,
    /// What it shows, for those who do not see it.
    alt: String,
    /// Page of the job that made it.
    job_path: Option<String>,
    favourite: bool,
}

impl ShownImage {
    pub(crate) fn of(artifact: &Artifact, prompt: Option<&str>) -> Self {
        Self {
            id: artifact.id.to_string(),
            path: links::file_path(artifact),
            thumb: links::thumb_path(artifact),
            file_name: artifact.file_name(),
            width: artifact.width_px,
            height: artifact.height_px,
            seed: artifact.seed.map(|seed| seed.to_string()),
            mime: artifact.mime.clone(),
            size: bytes(artifact.size_bytes),
            is_image: artifact.kind == MediaKind::Image,
            alt: prompt.map_or_else(
                || {
                    said!(
                        "Picture of {width} × {height} pixels",
                        width = artifact.width_px,
                        height = artifact.height_px
                    )
                },
                |prompt| shorten(prompt, ALT_CHARS),
            ),
            job_path: artifact.job.map(|job| format!("/jobs/{job}")),
            favourite: artifact.favourite,
        }
    }
}

/// How far a job is.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ShownProgress {
    /// 0–100.
    percent: u32,
    /// Whether anything is known about how far it is.
    known: bool,
    /// A server is at it.
    running: bool,
    /// One line.
    text: String,
    /// Unfinished picture as a data URI.
    preview: Option<String>,
}

impl ShownProgress {
    /// That of a job which has not ended, where anything is known of it.
    pub(crate) fn of_view(view: &JobView) -> Option<Self> {
        view.progress.as_ref().filter(|_| !view.job.state.kind().is_terminal()).map(Self::of)
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to 0–100 before")]
    pub(crate) fn of(progress: &JobProgress) -> Self {
        let preview = progress.preview.as_ref().filter(|preview| preview.bytes.len() <= PREVIEW_MAX_BYTES);
        let percent = (progress.fraction * 100.0).clamp(0.0, 100.0).round() as u32;
        Self {
            percent,
            known: percent > 0 || progress.state == JobStateKind::Queued,
            running: progress.state == JobStateKind::Running,
            text: line(progress),
            preview: preview
                .map(|preview| format!("data:{};base64,{}", preview.mime, BASE64_STANDARD.encode(&preview.bytes))),
        }
    }
}

/// A job in a list.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct ShownJob {
    id: String,
    path: String,
    cancel_path: String,
    retry_path: String,
    move_path: String,
    /// End of the id, enough to tell jobs of one page apart.
    short_id: String,
    tool: Said,
    prompt: Option<String>,
    render_type: Option<String>,
    caller: String,
    state: ShownState,
    created: Moment,
    /// From acceptance to the end.
    took: Option<String>,
    server: Option<String>,
    image: Option<ShownImage>,
    more_images: usize,
    progress: Option<ShownProgress>,
    error: Option<String>,
    warnings: usize,
}

impl ShownJob {
    pub(crate) fn of(view: &JobView, now: DateTime<Utc>) -> Self {
        let job = &view.job;
        let id = job.id.to_string();
        let prompt = job.request.prompt();
        let images = || view.artifacts.iter().filter(|artifact| artifact.kind == MediaKind::Image);
        Self {
            path: format!("/jobs/{id}"),
            cancel_path: format!("/jobs/{id}/cancel"),
            retry_path: format!("/jobs/{id}/retry"),
            move_path: format!("/jobs/{id}/move"),
            short_id: id.get(id.len().saturating_sub(6)..).unwrap_or(&id).to_owned(),
            id,
            tool: tool_title(job.request.tool()),
            prompt: prompt.map(|prompt| shorten(prompt, PROMPT_SHOWN_CHARS)),
            render_type: job.recipe.as_ref().map(|recipe| recipe.render_type.clone()),
            caller: job.caller.as_str().to_owned(),
            state: ShownState::of_view(view),
            created: Moment::of(job.times.created_at, now),
            took: job.times.finished_at.map(|end| duration(end - job.times.created_at)),
            server: view.server.clone(),
            image: images().next().map(|artifact| ShownImage::of(artifact, prompt)),
            more_images: images().count().saturating_sub(1),
            progress: ShownProgress::of_view(view),
            error: if let JobState::Failed(error) = &job.state {
                Some(apart::sentence(&error.message).into_owned())
            } else {
                None
            },
            warnings: job.warnings.len(),
        }
    }
}

/// At most `max` characters, with an ellipsis when some are missing.
pub(crate) fn shorten(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    text.chars().take(max.saturating_sub(1)).chain(['…']).collect()
}

/// The state as it is: that a server is at work is known a little before it is stored.
fn state_now(stored: JobStateKind, told: Option<JobStateKind>) -> JobStateKind {
    let at_work = JobStateKind::Assigned..=JobStateKind::Collecting;
    let both = told.filter(|told| at_work.contains(told) && at_work.contains(&stored));
    both.map_or(stored, |told| told.max(stored))
}

/// How far it is, in one line: what [`JobProgress::describe`] tells programs.
fn line(progress: &JobProgress) -> String {
    let on = |what: String| match &progress.server {
        Some(server) => said!("{what} on {server}", what, server),
        None => what,
    };
    if let (JobStateKind::Queued, Some(why)) = (progress.state, &progress.why_waiting) {
        return said!("Waiting for a server: {why}", why = apart::sentence(why));
    }
    if let (JobStateKind::Running, Some((done, of))) = (progress.state, progress.parts) {
        return match &progress.server {
            Some(server) => said!("{done} of {of} pictures done, at work on {server}", done, of, server),
            None => said!("{done} of {of} pictures done", done, of),
        };
    }
    match (progress.state, progress.queue_position, &progress.node, progress.steps) {
        (JobStateKind::Planning, _, Some(what), _) => capitalised(what),
        (JobStateKind::Planning, ..) => said!("Preparing the prompt").into(),
        (JobStateKind::Queued, Some(0), ..) => said!("Waiting, next in line").into(),
        (JobStateKind::Queued, Some(before), ..) => said!("Waiting, {n} before it", n = before),
        (JobStateKind::Assigned, ..) => on(said!("Starting").into()),
        (JobStateKind::Running, _, Some(node), Some((step, steps))) => {
            on(format!("{} {step}/{steps}", apart::apart(&capitalised(node))))
        }
        (JobStateKind::Running, _, Some(node), None) => on(capitalised(node)),
        (JobStateKind::Running, ..) => on(said!("Running").into()),
        (JobStateKind::Collecting, ..) => said!("Fetching the result").into(),
        (state, ..) => ShownState::of(state).label.into(),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_sizes_read_well() {
        assert_eq!(ago(TimeDelta::seconds(3)), "just now");
        assert_eq!(ago(TimeDelta::seconds(-5)), "just now");
        assert_eq!(ago(TimeDelta::seconds(59)), "59 s ago");
        assert_eq!(ago(TimeDelta::hours(30)), "yesterday");
        assert_eq!(duration(TimeDelta::milliseconds(840)), "0.8 s");
        assert_eq!(duration(TimeDelta::seconds(200)), "3 min 20 s");
        assert_eq!(bytes(123_456), "123 kB");
        assert_eq!(bytes(2_340_000), "2.3 MB");
        assert_eq!(bytes(24_000_000_000), "24.0 GB");
    }

    #[test]
    fn a_prompt_is_cut_between_characters() {
        assert_eq!(shorten("🦊🦊🦊", 2), "🦊…");
        assert_eq!(shorten("🦊🦊", 2), "🦊🦊");
    }

    #[test]
    fn names_in_a_line_of_progress_stand_apart() {
        let mut progress = sample::view(JobState::Queued).progress.expect("set");
        progress.state = JobStateKind::Running;
        progress.parts = None;
        progress.node = Some("דגם".into());
        progress.server = Some("שרת".into());
        assert_eq!(line(&progress), "\u{2068}דגם\u{2069} 12/20 on \u{2068}שרת\u{2069}");
        progress.node = Some("KSampler".into());
        assert_eq!(line(&progress), "KSampler 12/20 on \u{2068}שרת\u{2069}");
        progress.state = JobStateKind::Queued;
        progress.why_waiting = Some("שרת is down".into());
        assert_eq!(line(&progress), "Waiting for a server: \u{2066}שרת is down\u{2069}");
    }

    #[test]
    fn what_a_server_tells_is_shown_before_it_is_stored() {
        use JobStateKind::{Assigned, Cancelled, Collecting, Queued, Running};
        assert_eq!(state_now(Assigned, Some(Running)), Running);
        assert_eq!(state_now(Running, Some(Collecting)), Collecting);
        assert_eq!(state_now(Running, Some(Assigned)), Running);
        assert_eq!(state_now(Assigned, None), Assigned);
        // Taken back, or at its end: what is stored is newer.
        assert_eq!(state_now(Queued, Some(Running)), Queued);
        assert_eq!(state_now(Cancelled, Some(Running)), Cancelled);
    }
}
