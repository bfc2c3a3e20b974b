//! A hub that runs already: its JSON API does the work, since two hubs cannot share a data folder.

use std::time::Duration;

use anyhow::{Context as _, bail};
use hub_core::error::UserError;
use indicatif::ProgressBar;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::{BAR_LENGTH, Made, Picture, given_up};
use crate::{commands::client, config::Config, lifecycle};

/// Time for one request.
const TIMEOUT: Duration = Duration::from_mins(1);
/// Time for the probe that tells whether a hub runs.
const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
/// Time between two looks at the job.
const POLL_INTERVAL: Duration = Duration::from_millis(300);

/// A running hub.
pub(super) struct Hub {
    base: Url,
    http: reqwest::Client,
}

#[derive(Deserialize)]
struct JobAnswer {
    id: String,
    state: String,
    #[serde(default)]
    images: Vec<ImageAnswer>,
    #[serde(default)]
    error: Option<UserError>,
    #[serde(default)]
    warnings: Vec<String>,
    #[serde(default)]
    progress: Option<ProgressAnswer>,
}

#[derive(Deserialize)]
struct ImageAnswer {
    url: String,
    seed: Option<u64>,
}

#[derive(Deserialize)]
struct ProgressAnswer {
    #[serde(default)]
    fraction: f64,
    #[serde(default)]
    text: String,
}

impl Hub {
    /// The hub at the configured address, when one answers there.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub(super) async fn find(config: &Config) -> anyhow::Result<Option<Self>> {
        let base = config.local_url()?;
        let http = client::to_the_hub(config, TIMEOUT)?;
        let probe = http.get(base.join("/healthz")?).timeout(PROBE_TIMEOUT).send().await;
        Ok(probe.is_ok_and(|answer| answer.status().is_success()).then_some(Self { base, http }))
    }

    /// Has the hub make pictures. The job is cancelled when the limit is reached or `stop` comes.
    ///
    /// # Errors
    /// What the hub says, or that it cannot be reached.
    pub(super) async fn generate(
        &self,
        arguments: Map<String, Value>,
        bar: &ProgressBar,
        limit: Duration,
        stop: &CancellationToken,
    ) -> anyhow::Result<Made> {
        let several = arguments.contains_key("n");
        let body = json!({ "tool": "generate_image", "arguments": arguments });
        let posted = self.http.post(self.base.join("/api/v1/jobs")?).json(&body).send().await?;
        let mut job: JobAnswer = checked(posted).await?.json().await.context("the hub's answer is not a job")?;
        let address = self.base.join(&format!("/api/v1/jobs/{}", job.id))?;
        let mut said = String::new();
        let following = tokio::time::timeout(limit, async {
            while !matches!(job.state.as_str(), "succeeded" | "failed" | "cancelled" | "expired") {
                tokio::time::sleep(POLL_INTERVAL).await;
                job = checked(self.http.get(address.clone()).send().await?).await?.json().await?;
                show(bar, &job);
                said = job.progress.as_ref().map(|progress| progress.text.clone()).unwrap_or_default();
            }
            anyhow::Ok(job)
        });
        let followed = lifecycle::until(stop, following).await;
        let Some(Ok(job)) = followed else {
            self.http.delete(address).send().await?;
            bail!(given_up(followed.is_none(), limit, &said));
        };
        self.fetch(job?, several).await
    }

    async fn fetch(&self, job: JobAnswer, several: bool) -> anyhow::Result<Made> {
        if job.state != "succeeded" {
            bail!("{}", job.error.map_or_else(|| format!("the job ended {}", job.state), |error| error.explain()));
        }
        let mut pictures = Vec::new();
        for image in job.images.into_iter().take(if several { usize::MAX } else { 1 }) {
            pictures.push(self.fetch_image(image).await?);
        }
        anyhow::ensure!(!pictures.is_empty(), "the job has no picture");
        Ok(Made { pictures, warnings: job.warnings })
    }

    async fn fetch_image(&self, image: ImageAnswer) -> anyhow::Result<Picture> {
        // The link may name a public address that this machine cannot reach: only its path counts.
        let link = self.base.join(&image.url)?;
        let path = link.path().rsplit_once("/outputs/").context("the hub's link to the picture is odd")?.1.to_owned();
        let answer = self.http.get(self.base.join(&format!("/outputs/{path}"))?).send().await?;
        Ok(Picture { bytes: checked(answer).await?.bytes().await?, file_name: path, seed: image.seed })
    }
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction from 0 to 1")]
fn show(bar: &ProgressBar, job: &JobAnswer) {
    if let Some(progress) = &job.progress {
        bar.set_position((progress.fraction.clamp(0.0, 1.0) * BAR_LENGTH as f64) as u64);
        bar.set_message(progress.text.clone());
    }
}

/// The answer, or the hub's own words when it refuses.
async fn checked(answer: reqwest::Response) -> anyhow::Result<reqwest::Response> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let problem: Value = answer.json().await.unwrap_or_default();
    let text = |key: &str| problem.get(key).and_then(Value::as_str);
    let valid: Vec<&str> =
        problem.get("valid_values").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    let mut message = text("detail").map_or_else(|| format!("the hub answered {status}"), str::to_owned);
    if !valid.is_empty() {
        message.push_str(" Valid values: ");
        message.push_str(&valid.join(", "));
        message.push('.');
    }
    if let Some(hint) = text("hint") {
        message.push(' ');
        message.push_str(hint);
    }
    bail!(message)
}
