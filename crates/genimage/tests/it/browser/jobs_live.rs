//! What moves while one looks: a job on its way, on its page and in the lists.

use anyhow::{anyhow, ensure};
use hub_sim::{ComfySim, Fault};
use serde_json::{Value, json};

use super::{
    patience,
    playground::{PICTURE, SEND},
    window::{Window, css},
};
use crate::hub::client;

/// What an unfinished job's page shows of its picture.
const FRAME: &str = "#job-progress img[alt='Unfinished picture']";

/// Sees to it that the server is one of the hub's, and works.
pub(crate) async fn ready(window: &Window, sim: &ComfySim) -> anyhow::Result<()> {
    let api = format!("{}/api/v1/servers", window.hub());
    let look = || async {
        let servers: Value = client().get(&api).send().await?.json().await?;
        let servers = servers.to_string();
        if servers.contains("\"state\":\"ready\"") {
            return Ok(());
        }
        if !servers.contains(&sim.url()) {
            let body = json!({ "name": "bench", "base_url": sim.url() });
            client().post(&api).json(&body).send().await?.error_for_status()?;
        }
        Err(anyhow!("{servers}"))
    };
    patience::until(look, |servers: anyhow::Error| format!("the server does not become ready: {servers:#}")).await
}

/// The same, and the server stands still half-way in every job that holds the answered mark, until its faults are cleared.
pub(crate) async fn held(window: &Window, sim: &ComfySim) -> anyhow::Result<String> {
    ready(window, sim).await?;
    let mark = window.mark();
    sim.inject(Fault::Hold.containing(&mark));
    Ok(mark)
}

/// Asks for a picture by the API; answers the id of its job.
pub(crate) async fn submit(window: &Window, prompt: &str) -> anyhow::Result<String> {
    let body = json!({ "tool": "generate_image", "arguments": { "prompt": prompt, "render_type": "sdxl" } });
    let sent = client().post(format!("{}/api/v1/jobs", window.hub())).json(&body).send().await?;
    let answer: Value = sent.error_for_status()?.json().await?;
    Ok(answer["id"].as_str().unwrap_or_default().to_owned())
}

/// The same; answers once a server works on it.
pub(crate) async fn submit_and_see_it_run(window: &Window, prompt: &str) -> anyhow::Result<String> {
    let job = submit(window, prompt).await?;
    gets_to(window, &job, "running").await?;
    Ok(job)
}

/// Waits until a job is in that state.
pub(crate) async fn gets_to(window: &Window, job: &str, state: &str) -> anyhow::Result<()> {
    let look = || async {
        let now: Value = client().get(format!("{}/api/v1/jobs/{job}", window.hub())).send().await?.json().await?;
        if now["state"] == state { Ok(()) } else { Err(anyhow!("{now}")) }
    };
    patience::until(look, |now: anyhow::Error| format!("it does not get to {state}: {now:#}")).await
}

/// Cancels everything that is not done.
pub(crate) async fn cancel_all(window: &Window) -> anyhow::Result<()> {
    window.go("/jobs").await?;
    window.tap(css("#cancel-all summary")).await?;
    window.press(css("#cancel-all button[name=all]")).await?;
    window.says("Cancelled.").await
}

pub(crate) async fn a_running_job_shows_how_far_it_is_and_then_its_picture(
    window: &Window,
    sim: &ComfySim,
) -> anyhow::Result<()> {
    let mark = held(window, sim).await?;
    window.go("/playground").await?;
    window.fill("#prompt", &format!("a fox {mark}")).await?;
    window.fill("#render_type", "sdxl").await?;
    window.press(css(SEND)).await?;

    // It stands still half-way. Without script the page turns by itself, every few seconds: nothing is loaded here.
    window.becomes("return document.querySelector(arguments[0])?.naturalWidth > 0", vec![json!(FRAME)]).await?;
    let steps = "const text = document.querySelector('#job-progress p')?.innerText ?? '';
        const [, step, steps] = text.match(/(\\d+)\\/(\\d+)/) ?? [];
        const share = document.querySelector('#job-progress progress')?.value;
        return Number(steps) > 1 && Number(step) > 0 && Number(step) < Number(steps) && share > 0 && share < 100";
    window.becomes(steps, vec![]).await?;
    window.says("Rendering").await?;

    window.ask("window.sameDocument = true", vec![]).await?;
    sim.clear_faults();
    window.becomes("return document.querySelector(arguments[0])?.naturalWidth > 0", vec![json!(PICTURE)]).await?;
    window.says("Done").await?;
    ensure!(!window.has("#job-progress").await?, "it still tells how far it is");
    let same = window.ask("return window.sameDocument === true", vec![]).await? == json!(true);
    ensure!(same == window.has_script(), "the page follows by itself exactly with script");
    Ok(())
}

pub(crate) async fn lists_show_how_far_jobs_are(window: &Window, sim: &ComfySim) -> anyhow::Result<()> {
    let mark = held(window, sim).await?;
    let job = submit_and_see_it_run(window, &mark).await?;
    let row = format!("#row-{job}");
    for path in ["/jobs", "/"] {
        window.go(path).await?;
        window.until(&format!("{row} .job-thumb img")).await?;
        window.until(&format!("{row} progress[value]")).await?;
    }
    window.says(&mark).await?;
    sim.clear_faults();
    // With script both lists follow; the dashboard has no row of what is done.
    let gone = "return document.querySelector(arguments[0]) === null";
    if window.has_script() {
        window.becomes(gone, vec![json!(row)]).await?;
        window.until(&format!(".tiles a[href='/jobs/{job}'] img")).await?;
    }
    window.go("/jobs").await?;
    window.until(&format!("{row} .tone-good")).await
}
