//! Styles, what they look like, and how a form is left that is not saved.

use anyhow::ensure;
use hub_sim::{ComfySim, Fault};
use serde_json::{Value, json};

use super::{
    jobs_live::ready,
    window::{Window, css, labelled},
};
use crate::hub::client;

/// What saves the form of one thing in the catalogue.
pub(crate) const SAVE: &str = "main form[data-guard] button.primary";

/// What is typed comes to these words in the preview, which follows by itself where there is script.
async fn previews(window: &Window, words: &str) -> anyhow::Result<()> {
    if !window.has_script() {
        window.press(labelled("Preview")).await?;
    }
    let shown = "return document.querySelector('#style-preview').innerText.includes(arguments[0])";
    window.becomes(shown, vec![words.into()]).await
}

pub(crate) async fn a_style_is_added_changed_copied_and_deleted(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/styles").await?;
    window.press(labelled("New style")).await?;
    window.fill("#name", &mark).await?;
    window.fill("#prompt_template", "walked, {prompt}").await?;
    window.fill("#sample", "a hen").await?;
    previews(window, "walked, a hen").await?;
    window.fill("#negative_template", &format!("no rain on {mark}")).await?;
    previews(window, &format!("no rain on {mark}")).await?;
    window.press(css(SAVE)).await?;
    window.says("Style added").await?;
    window.press(labelled(&mark)).await?;
    window.fill("#description", "changed").await?;
    window.press(css(SAVE)).await?;
    window.says("Style saved").await?;
    window.press(labelled("Copy to a new style")).await?;
    ensure!(window.value("#prompt_template").await? == "walked, {prompt}", "the copy has other words");
    window.go(&format!("/styles?q={mark}")).await?;
    window.press(labelled(&mark)).await?;
    window.confirm("//main").await?;
    window.says("Style deleted").await
}

pub(crate) async fn a_style_shows_what_it_looks_like(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/styles/new").await?;
    window.fill("#name", &mark).await?;
    window.fill("#prompt_template", "pictured, {prompt}").await?;
    window.press(css(SAVE)).await?;
    window.press(labelled(&mark)).await?;
    window.press(labelled("Render a picture")).await?;
    window.until_reloaded("a.shot-canvas img[src^='/thumbs/']").await?;
    window.fill("#prompt_template", "pictured otherwise, {prompt}").await?;
    window.press(css(SAVE)).await?;
    window.says("out of date").await
}

/// On a server of our own: the pictures of all styles are many.
pub(crate) async fn missing_pictures_of_styles_are_rendered(window: &Window, sim: &ComfySim) -> anyhow::Result<()> {
    ready(window, sim).await?;
    let mark = window.mark();
    window.go("/styles").await?;
    window.fill("#pictures #seed", "-1").await?;
    window.fill("#pictures #prompt", &format!("a scene {mark}")).await?;
    window.press(css("form[action='/styles/scene'] button[type=submit]")).await?;
    ensure!(window.has("#seed-fault").await?, "the fault does not stand beside its field");
    ensure!(window.value("#pictures #prompt").await? == format!("a scene {mark}"), "the scene is lost");
    window.fill("#pictures #seed", "7").await?;
    window.press(css("form[action='/styles/scene'] button[type=submit]")).await?;
    window.says("Pictures of another scene").await?;

    sim.inject(Fault::Hold.always());
    window.press(labelled("Render missing pictures")).await?;
    window.says("being made now").await?;
    sim.clear_faults();
    window.until_reloaded(".row-shot img[src^='/thumbs/']").await?;
    let ran = sim.stats().executed;
    ensure!(ran.iter().any(|run| run.graph.to_string().contains(&mark)), "no picture shows the scene");
    // By the API: the page has its button only while something is unfinished, and by now nothing may be.
    let all = json!({ "filter": {} });
    client().post(format!("{}/api/v1/jobs/cancel", window.hub())).json(&all).send().await?.error_for_status()?;
    Ok(())
}

pub(crate) async fn what_was_deleted_is_taken_back(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/styles/new").await?;
    window.fill("#name", &mark).await?;
    window.fill("#prompt_template", "taken back, {prompt}").await?;
    window.press(css(SAVE)).await?;
    window.press(labelled(&mark)).await?;
    window.confirm("//main").await?;
    window.says("Style deleted").await?;
    window.press(labelled("Undo")).await?;
    window.says("Taken back").await?;
    window.press(labelled(&mark)).await?;
    ensure!(window.value("#prompt_template").await? == "taken back, {prompt}", "its words are lost");
    Ok(())
}

pub(crate) async fn styles_go_through_a_table(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    let table = reqwest::get(format!("{}/styles.csv", window.hub())).await?.text().await?;
    let head = table.lines().next().unwrap_or_default();
    let row = head.split(',').map(|column| match column.trim() {
        "name" => mark.clone(),
        "prompt_template" => "tabled {prompt}".to_owned(),
        "enabled" => "yes".to_owned(),
        "default" | "is_default" => "no".to_owned(),
        _ => String::new(),
    });
    let row = row.collect::<Vec<_>>().join(",");
    window.go("/styles").await?;
    window.tap(labelled("Import CSV")).await?;
    window.choose_file("#file", "styles.csv", format!("{head}\n{row}\n").as_bytes()).await?;
    window.press(labelled("Show what would change")).await?;
    window.says("This would change 1 style").await?;
    window.says(&mark).await?;
    window.press(labelled("Import these")).await?;
    window.says("Styles imported").await?;
    window.says(&mark).await
}

pub(crate) async fn a_question_is_asked_in_a_dialog_and_can_be_left(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/styles/new").await?;
    window.fill("#name", &mark).await?;
    window.fill("#prompt_template", "asked, {prompt}").await?;
    window.press(css(SAVE)).await?;
    window.press(labelled(&mark)).await?;
    if window.has_script() {
        for _ in 0..2 {
            window.tap(css(".confirm summary")).await?;
            window.until("dialog[open]").await?;
            let held = window.ask("return document.activeElement.closest('dialog') !== null", vec![]).await?;
            ensure!(held == json!(true), "the focus is not in the dialog");
            window.tap(labelled("Leave it")).await?;
            window.becomes("return document.querySelector('dialog') === null", vec![]).await?;
            let back = window.ask("return document.activeElement.matches('.confirm summary')", vec![]).await?;
            ensure!(back == json!(true), "the focus is lost");
        }
    }
    window.confirm("//main").await?;
    window.says("Style deleted").await
}

/// Has the page that comes next know whether this one asked before it was left: the driver answers for the person.
const WATCH_LEAVING: &str = "sessionStorage.removeItem('asked');
    window.addEventListener('beforeunload', (event) => sessionStorage.setItem('asked', event.defaultPrevented))";
const ASKED: &str = "return sessionStorage.getItem('asked')";

/// Whether the page that was left asked first.
async fn asked(window: &Window) -> anyhow::Result<Value> {
    window.ask(ASKED, vec![]).await
}

pub(crate) async fn unsaved_words_are_asked_about(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    // Untouched: nobody asks.
    window.go("/styles/new").await?;
    window.ask(WATCH_LEAVING, vec![]).await?;
    window.press(css("main p.crumbs a")).await?;
    ensure!(asked(window).await? == "false", "a form that nobody touched asks");

    window.go("/styles/new").await?;
    window.key_in("#name", &mark).await?;
    window.ask(WATCH_LEAVING, vec![]).await?;
    window.press(css("main p.crumbs a")).await?;
    ensure!(asked(window).await? == "true", "what was typed is lost unasked");

    // Saved: nobody asks, also where the hub finds a fault first.
    window.go("/styles/new").await?;
    window.key_in("#name", &mark).await?;
    window.key_in("#prompt_template", "guarded, {prompt}").await?;
    window.ask(WATCH_LEAVING, vec![]).await?;
    window.press(css(SAVE)).await?;
    window.says("Style added").await?;
    ensure!(asked(window).await? == "false", "saving asks");
    // What was saved is the new beginning.
    window.ask(WATCH_LEAVING, vec![]).await?;
    window.press(css("nav a[href='/jobs']")).await?;
    ensure!(asked(window).await? == "false", "what is saved is asked about");
    Ok(())
}
