//! Statistics, maintenance, and the configuration as a file.

use anyhow::ensure;
use serde_json::json;

use super::{
    playground::picture,
    window::{Window, css, labelled},
};

pub(crate) async fn statistics_are_narrowed(window: &Window) -> anyhow::Result<()> {
    // Something to tell of.
    picture(window, &window.mark()).await?;
    window.go("/statistics").await?;
    window.says("Statistics").await?;
    ensure!(window.has(".chart .chart-drawing rect").await?, "no chart has a bar");
    // Not down to today: around midnight the picture may be of yesterday.
    for span in ["90 days", "30 days"] {
        window.press(labelled(span)).await?;
        let chosen =
            window.ask("return document.querySelector('nav.tabs a[aria-current]')?.textContent", vec![]).await?;
        ensure!(chosen.as_str().is_some_and(|chosen| chosen.trim() == span), "{span} is told as {chosen}");
        ensure!(window.has(".chart .chart-drawing rect").await?, "no chart of {span} has a bar");
    }
    Ok(())
}

pub(crate) async fn retention_is_shown_before_it_is_saved(window: &Window) -> anyhow::Result<()> {
    window.go("/maintenance").await?;
    window.fill("[name='retention.pictures']", "100000").await?;
    window.press(labelled("Show what would go")).await?;
    window.says("Nothing would go").await?;
    window.press(css("form[action='/maintenance/retention'] button.primary")).await?;
    window.says("Saved. What is beyond the bounds").await?;
    window.press(labelled("Compare now")).await?;
    window.says("Every record has its file").await?;
    window.press(labelled("Run now: orphans")).await?;
    window.says("The task ran").await
}

pub(crate) async fn a_configuration_goes_out_and_is_looked_at(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/configuration").await?;
    window.fill("#export_passphrase", "abc").await?;
    window.press(labelled("Download")).await?;
    ensure!(window.has("#export_passphrase-fault").await?, "the fault does not stand beside its field");
    let document = json!({ "format": "genimage-config", "version": 1,
        "styles": [{ "name": format!("{mark} <b>"), "prompt_template": "x" }] });
    window.fill("#text", &document.to_string()).await?;
    window.press(css("section[aria-labelledby=import-title] button.primary")).await?;
    window.says("This would merge: 1 change").await?;
    window.says(&format!("{mark} <b>")).await?;
    window.press(labelled("Import it")).await?;
    window.says("Imported.").await
}
