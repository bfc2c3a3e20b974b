//! Jobs, dashboard and servers: lists that redraw themselves under the hands of somebody who is at work in them.

use anyhow::ensure;
use hub_sim::{ComfySim, Fault};
use serde_json::{Value, json};

use super::{
    jobs_live::{cancel_all, held, ready, submit, submit_and_see_it_run},
    window::{Window, css, labelled},
};
use crate::hub::client;

pub(crate) async fn the_list_of_jobs_is_redrawn_and_forgets_nothing(
    window: &Window,
    sim: &ComfySim,
) -> anyhow::Result<()> {
    let mark = held(window, sim).await?;
    submit_and_see_it_run(window, &format!("first {mark}")).await?;
    let ticked = submit(window, &format!("second {mark}")).await?;
    window.go("/jobs").await?;
    window.tap(css(&format!("label[for='pick-{ticked}']"))).await?;
    window.tap(css("#cancel-all summary")).await?;
    window.tap(labelled("More filters")).await?;
    window.key_in("#caller", "half-typed").await?;
    let added = submit(window, &format!("third {mark}")).await?;
    window.until(&format!("#row-{added}")).await?;
    let kept = "const picked = document.querySelector(arguments[0]);
        return {
          ticked: picked.checked,
          others: document.querySelectorAll('[data-keep]:checked').length,
          confirm: document.querySelector('#cancel-all').open || document.querySelector('dialog[open]') !== null,
          filters: document.querySelector('#caller').closest('details').open,
          typed: document.querySelector('#caller').value,
        }";
    let kept = window.ask(kept, vec![json!(format!("#pick-{ticked}"))]).await?;
    let wanted = json!({ "ticked": true, "others": 1, "confirm": true, "filters": true, "typed": "half-typed" });
    ensure!(kept == wanted, "after a redraw: {kept}");
    let focus = window.ask("return document.activeElement.id", vec![]).await?;
    ensure!(focus == "caller", "the focus went to {focus}");
    // What was ticked is what is cancelled.
    window.go("/jobs").await?;
    window.tap(css(&format!("label[for='pick-{ticked}']"))).await?;
    submit(window, &format!("fourth {mark}")).await?;
    window.says(&format!("fourth {mark}")).await?;
    window.press(labelled("Cancel ticked")).await?;
    window.says("Cancelled.").await?;
    let job: Value = client().get(format!("{}/api/v1/jobs/{ticked}", window.hub())).send().await?.json().await?;
    ensure!(job["state"] == "cancelled", "the ticked one is {}", job["state"]);
    cancel_all(window).await?;
    sim.clear_faults();
    Ok(())
}

/// Puts the focus on something, and remembers what it would do.
async fn focus(window: &Window, selector: &str) -> anyhow::Result<()> {
    let script = "const found = document.querySelector(arguments[0]);
        found?.focus();
        window.deedOf = (at) => at.formAction || at.href || at.form?.action || at.id;
        window.deed = found && window.deedOf(found);
        return document.activeElement === found";
    let there = window.ask(script, vec![json!(selector)]).await?;
    ensure!(there == json!(true), "`{selector}` does not take the focus");
    Ok(())
}

/// What the focus is on must do what it did.
async fn is_where_it_was(window: &Window, after: &str) -> anyhow::Result<()> {
    let script = "const at = document.activeElement; return [window.deedOf(at), window.deed]";
    let deeds = window.ask(script, vec![]).await?;
    ensure!(deeds[0] == deeds[1] && !deeds[0].is_null(), "{after}: the focus was on {}, is on {}", deeds[1], deeds[0]);
    Ok(())
}

pub(crate) async fn what_has_the_focus_stays_what_it_is(window: &Window, sim: &ComfySim) -> anyhow::Result<()> {
    ready(window, sim).await?;
    let mark = window.mark();

    // The pictures of the dashboard: a new one comes before the others.
    let before = submit(window, &format!("tile {mark}")).await?;
    window.go("/").await?;
    let tile = format!(".tiles a[href='/jobs/{before}']");
    window.until(&tile).await?;
    focus(window, &tile).await?;
    let newer = submit(window, &format!("another {mark}")).await?;
    window.until(&format!(".tiles a[href='/jobs/{newer}']")).await?;
    is_where_it_was(window, "after a picture came").await?;

    // Rows of jobs: a new one comes before the others.
    sim.inject(Fault::Hold.containing(format!("held {mark}")));
    let held = submit_and_see_it_run(window, &format!("held {mark}")).await?;
    window.go("/jobs").await?;
    for part in [format!("#row-{held} .job-acts button"), format!("#pick-{held}"), format!("#row-{held} .job-link")] {
        focus(window, &part).await?;
        let added = submit(window, &format!("added {mark}")).await?;
        window.until(&format!("#row-{added}")).await?;
        is_where_it_was(window, "after a job came").await?;
    }

    // A job's page, which ends under one's fingers.
    window.go(&format!("/jobs/{held}")).await?;
    window.until("#job-progress").await?;
    focus(window, "main .job-actions a.button").await?;
    sim.clear_faults();
    window.until("#job-now .result").await?;
    is_where_it_was(window, "after the job ended").await?;

    // Cards of servers, by name: a new one comes before the others.
    let api = format!("{}/api/v1/servers", window.hub());
    let servers: Value = client().get(&api).send().await?.json().await?;
    let mine = servers["servers"].as_array().or(servers.as_array()).and_then(|all| all.first()).cloned();
    let mine = mine.unwrap_or_default()["id"].as_str().unwrap_or_default().to_owned();
    window.go("/servers").await?;
    focus(window, &format!("form[action='/servers/{mine}/enabled'] button")).await?;
    let body = json!({ "name": "A first one", "base_url": "http://127.0.0.1:9", "enabled": false });
    let made: Value = client().post(&api).json(&body).send().await?.error_for_status()?.json().await?;
    let made = made["id"].as_str().unwrap_or_default();
    window.until(&format!(".server a[href='/servers/{made}']")).await?;
    is_where_it_was(window, "after a server came").await?;
    client().delete(format!("{api}/{made}")).send().await?.error_for_status()?;
    let gone = "return document.querySelector(arguments[0]) === null";
    window.becomes(gone, vec![json!(format!(".server a[href='/servers/{made}']"))]).await?;
    is_where_it_was(window, "after a server went").await
}
