//! What pictures are made of: workflows, render types, styles.

use anyhow::ensure;

use super::window::{Window, css, labelled};

const GRAPH: &str = include_str!("../../../../../workflows/smoke.json");
const SAVE: &str = "main form[data-guard] button.primary";

pub(crate) async fn a_workflow_is_imported_corrected_compared_and_brought_back(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/workflows").await?;
    window.choose_file("#file", &format!("{mark}.json"), b"{\"a\": 1}").await?;
    window.press(labelled("Import")).await?;
    window.says("not accepted").await?;
    window.choose_file("#file", &format!("{mark}.json"), GRAPH.as_bytes()).await?;
    window.fill("#name", &mark).await?;
    window.press(css("form[action='/workflows'] button.primary")).await?;
    window.says("Workflow imported").await?;

    // A slot is taken away: a new version, with what differs.
    window.fill("#target-1", "").await?;
    window.press(labelled("Save as a new version")).await?;
    window.says("Slots saved as a new version").await?;
    window.says("version 2").await?;
    ensure!(window.has(".version-list a[aria-current]").await?, "it is not said which version this is");
    window.tap(thirtyfour::By::XPath("//details[.//ul[contains(@class, 'difference-list')]]/summary")).await?;

    // Another graph under the same name: the difference is told.
    window.go("/workflows").await?;
    window.fill("#graph", &GRAPH.replace("\"a red fox\"", "\"a blue fox\"")).await?;
    window.fill("#name", &mark).await?;
    window.press(css("form[action='/workflows'] button.primary")).await?;
    window.says("version 3").await?;
    window.tap(thirtyfour::By::XPath("//details[.//ul[contains(@class, 'difference-list')]]/summary")).await?;
    window.says("a blue fox").await?;
    window.press(labelled("Restore version 1")).await?;
    window.says("That version is the newest again").await?;
    window.tap(css(".confirm summary")).await?;
    window.press(labelled("Yes, delete")).await?;
    window.says("Workflow deleted").await
}

pub(crate) async fn a_slot_is_given_another_node_in_the_drawing(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    // A second text, which could be the prompt as well as the first.
    let graph =
        GRAPH.replacen('{', r#"{"11": {"class_type": "PrimitiveString", "inputs": {"value": "a blue hen"}},"#, 1);
    window.go("/workflows").await?;
    window.fill("#graph", &graph).await?;
    window.fill("#name", &mark).await?;
    window.press(css("form[action='/workflows'] button.primary")).await?;
    window.says("Workflow imported").await?;
    let before = window.value("#target-1").await?;
    ensure!(before == "1.value", "the first slot is at {before}");

    // A fault stands beside its row; what was typed stays.
    window.fill("#target-1", "99.text").await?;
    window.press(labelled("Save as a new version")).await?;
    window.says("no node 99").await?;
    ensure!(window.has("#target-1-fault").await?, "the fault does not stand beside its row");
    ensure!(window.value("#target-1").await? == "99.text", "what was typed is lost");

    // The row's button marks the places; one of them is taken.
    window.press(labelled("Pick the place of Prompt in the drawing")).await?;
    window.says("Pick the place of Prompt").await?;
    ensure!(!window.has(".graph-place[aria-label^='Use 3.width']").await?, "a width could be no prompt");
    window.press(css(".graph-place[aria-label^='Use 11.value']")).await?;
    window.says("the place was picked in the drawing").await?;
    ensure!(window.value("#target-1").await? == "11.value", "the place is not in its row");
    window.press(labelled("Save as a new version")).await?;
    window.says("Slots saved as a new version").await?;
    ensure!(window.value("#target-1").await? == "11.value", "the new version has another place");

    // A node tells what its inputs could be.
    window.press(css("a.graph-node[href*='node=1#']")).await?;
    window.says("instead of 11.value").await?;
    window.press(css(".graph-uses a[href*='at=1.value']")).await?;
    ensure!(window.value("#target-1").await? == "1.value", "the node's link does not lead into the row");
    Ok(())
}

pub(crate) async fn a_workflow_is_dropped_or_pasted(window: &Window) -> anyhow::Result<()> {
    // Without script the browser's own field takes what is dropped on it.
    if !window.has_script() {
        return Ok(());
    }
    for how in ["drop", "paste"] {
        let mark = window.mark();
        window.go("/workflows").await?;
        let taken = window.give_file(how, "#file", &format!("{mark}.json"), GRAPH.as_bytes()).await?;
        ensure!(taken == (how == "drop"), "the browser would open what is dropped");
        let held = window.file_of("#file").await?;
        ensure!(held == Some((format!("{mark}.json"), GRAPH.len() as u64)), "{how}: the field holds {held:?}");
        window.press(css("form[action='/workflows'] button.primary")).await?;
        window.says("Workflow imported").await?;
        window.says(&mark).await?;
    }
    Ok(())
}

pub(crate) async fn a_render_type_is_made_changed_and_deleted(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/render-types").await?;
    window.press(labelled("New render type")).await?;
    window.fill("#name", &mark).await?;
    window.fill("#workflow", "smoke").await?;
    window.fill("#size-1", "big").await?;
    window.press(css(SAVE)).await?;
    ensure!(window.has("#sizes-fault").await?, "the fault does not stand beside its field");
    ensure!(window.value("#size-1").await? == "big", "the size is lost");
    window.fill("#size-1", "256x256").await?;
    window.press(css(SAVE)).await?;
    window.says("Render type added").await?;
    window.press(labelled(&mark)).await?;
    window.fill("#title", &format!("Titled {mark}")).await?;
    window.press(css(SAVE)).await?;
    window.says("Render type saved").await?;
    window.tap(css(".confirm summary")).await?;
    window.press(labelled("Yes, delete")).await?;
    window.says("Render type deleted").await
}

pub(crate) async fn a_style_is_added_changed_copied_and_deleted(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/styles").await?;
    window.press(labelled("New style")).await?;
    window.fill("#name", &mark).await?;
    window.fill("#prompt_template", "walked, {prompt}").await?;
    window.fill("#sample", "a hen").await?;
    if !window.has_script() {
        window.press(labelled("Preview")).await?;
    }
    // With script the preview follows by itself.
    window.says("walked, a hen").await?;
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
    window.tap(css(".confirm summary")).await?;
    window.press(labelled("Yes, delete")).await?;
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

pub(crate) async fn what_was_deleted_is_taken_back(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/styles/new").await?;
    window.fill("#name", &mark).await?;
    window.fill("#prompt_template", "taken back, {prompt}").await?;
    window.press(css(SAVE)).await?;
    window.press(labelled(&mark)).await?;
    window.tap(css(".confirm summary")).await?;
    window.press(labelled("Yes, delete")).await?;
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
