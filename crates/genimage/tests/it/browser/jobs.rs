//! The list of jobs and their pages: those that wait, and those that fail.

use anyhow::ensure;
use hub_sim::{ComfySim, Fault};

use super::{
    jobs_live::{cancel_all, held, ready, submit, submit_and_see_it_run},
    playground::{PICTURE, SEND},
    window::{Window, css, labelled},
};

/// Jobs that a server takes at once.
const AT_ONCE: usize = hub_core::server::DEFAULT_MAX_IN_FLIGHT as usize;

pub(crate) async fn a_waiting_job_says_why_and_is_moved_and_cancelled(
    window: &Window,
    sim: &ComfySim,
) -> anyhow::Result<()> {
    let mark = held(window, sim).await?;
    submit_and_see_it_run(window, &mark).await?;
    for _ in 1..AT_ONCE {
        submit(window, &format!("taken too {mark}")).await?;
    }
    let first = submit(window, &format!("first {mark}")).await?;
    let second = submit(window, &format!("second {mark}")).await?;

    window.go(&format!("/jobs/{second}")).await?;
    window.until("#why-title").await?;
    window.says("1 job before it").await?;
    let servers = window.ask("return document.querySelector('.why-list').innerText", vec![]).await?;
    ensure!(servers.as_str().is_some_and(|why| !why.trim().is_empty()), "no server is told");
    window.press(labelled("To the front")).await?;
    window.says("Moved within the queue").await?;
    window.says("Next in line").await?;

    // The list says the same, in a line of its row.
    window.go(&format!("/jobs?state=waiting&q={mark}")).await?;
    let why = "return document.querySelector(`#row-${arguments[0]} .job-why`)?.innerText ?? ''";
    for (job, place) in [(&second, "Next in line"), (&first, "1 job before it")] {
        let why = window.ask(why, vec![job.as_str().into()]).await?;
        ensure!(why.as_str().is_some_and(|why| why.contains(place)), "{job} should be {place}: {why}");
    }
    window.press(css(&format!("#row-{second} button[name=to][value=last]"))).await?;
    window.says("Moved within the queue").await?;
    window.go(&format!("/jobs/{second}")).await?;
    window.says("1 job before it").await?;

    window.press(labelled("Cancel job")).await?;
    window.says("Job cancelled").await?;
    window.says("Try again").await?;
    cancel_all(window).await?;
    sim.clear_faults();
    window.go(&format!("/jobs?q={mark}&state=waiting")).await?;
    window.says("No job fits this filter").await
}

pub(crate) async fn a_failed_job_shows_its_error_and_is_tried_again(
    window: &Window,
    sim: &ComfySim,
) -> anyhow::Result<()> {
    ready(window, sim).await?;
    let mark = window.mark();
    let fault = Fault::ExecutionError {
        node: None,
        exception_type: "RuntimeError".to_owned(),
        message: format!("the shapes of {mark} do not fit"),
    };
    sim.inject(fault.containing(&mark));
    window.go("/playground").await?;
    window.fill("#prompt", &mark).await?;
    window.fill("#render_type", "sdxl").await?;
    window.press(css(SEND)).await?;
    window.until("#job-now .notice.tone-bad").await?;
    window.says("Failed").await?;
    window.says(&format!("the shapes of {mark} do not fit")).await?;
    ensure!(window.has(".attempts .job-fault").await?, "the attempt does not tell");
    let failed = window.path().await;
    window.go(&format!("/jobs?state=failed&q={mark}")).await?;
    ensure!(window.has(".job-row .job-fault").await?, "the list does not tell");

    sim.clear_faults();
    window.go(&failed).await?;
    window.press(labelled("Try again")).await?;
    window.says("this is the new job").await?;
    ensure!(window.path().await != failed, "it is the same job");
    window.until(PICTURE).await?;
    window.says("Done").await
}

pub(crate) async fn jobs_are_found_cancelled_and_tried_again(window: &Window, sim: &ComfySim) -> anyhow::Result<()> {
    // However long the pages take, none of its pictures is done before.
    let mark = held(window, sim).await?;
    window.go("/playground").await?;
    window.fill("#prompt", &mark).await?;
    window.fill("#n", "8").await?;
    window.press(css(SEND)).await?;
    window.press(labelled("Cancel job")).await?;
    window.says("Job cancelled").await?;
    window.go("/jobs").await?;
    window.fill("#q", &mark).await?;
    window.press(labelled("Find")).await?;
    window.says(&mark).await?;
    window.press(labelled("Try again")).await?;
    window.says("this is the new job").await?;
    window.go(&format!("/jobs?q={mark}")).await?;
    window.tap(css(".job-pick label")).await?;
    window.press(labelled("Cancel ticked")).await?;
    window.says("Cancelled.").await?;
    sim.clear_faults();
    Ok(())
}
