//! What keeps the hub in order, and the pages that lead on.

use anyhow::ensure;
use serde_json::json;

use super::window::{Window, css, labelled};

pub(crate) async fn a_setting_is_refused_and_saved(window: &Window) -> anyhow::Result<()> {
    window.go("/settings").await?;
    window.fill("[name='queue.max']", "0").await?;
    window.press(css("main form.settings .bulk button.primary")).await?;
    ensure!(window.has("[id='queue.max-fault']").await?, "the fault does not stand beside its field");
    window.fill("[name='queue.max']", "9999").await?;
    window.press(css("main form.settings .bulk button.primary")).await?;
    window.says("Settings saved").await?;
    window.press(css("button[name=reset][value='queue.max']")).await?;
    window.says("back at what it was").await
}

pub(crate) async fn instructions_are_changed_and_put_back(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/settings").await?;
    window.press(labelled("Instructions for LLMs")).await?;
    for group in ["enhance", "describe"] {
        let form = format!("#{group}-form");
        window.fill(&format!("{form} textarea"), &format!("Be brief. {mark}")).await?;
        if group == "enhance" && window.has_script() {
            // The preview follows by itself.
            let shown = "return document.querySelector('#instructions-preview').innerText";
            let begun = std::time::Instant::now();
            while !window.ask(shown, vec![]).await?.as_str().unwrap_or_default().contains(&mark) {
                ensure!(begun.elapsed() < super::PATIENCE, "the preview does not follow");
                tokio::task::yield_now().await;
            }
        }
        window.press(css(&format!("{form} button.primary"))).await?;
        window.says("Instructions saved").await?;
        // It asks before it takes away what somebody wrote.
        window.tap(css(&format!("{form} details.confirm summary"))).await?;
        window.press(css(&format!("{form} details.confirm button[name=reset]"))).await?;
        window.says("back at what was shipped").await?;
    }
    Ok(())
}

/// What is typed into one form is not lost because another one is saved.
pub(crate) async fn of_several_changed_forms_the_others_are_asked_for(window: &Window) -> anyhow::Result<()> {
    if !window.has_script() {
        return Ok(());
    }
    window.go("/settings/instructions").await?;
    let asks = "const left = new Event('beforeunload', { cancelable: true });
        window.dispatchEvent(left);
        return left.defaultPrevented;";
    let sends = |form: &str, taken: bool| {
        format!(
            "const form = document.querySelector('{form}');
            const stop = (event) => event.preventDefault();
            if ({taken}) form.addEventListener('submit', stop);
            form.dispatchEvent(new SubmitEvent('submit', {{ bubbles: true, cancelable: true }}));
            form.removeEventListener('submit', stop);
            {asks}"
        )
    };
    ensure!(window.ask(asks, vec![]).await? == json!(false), "it asks although nothing was typed");
    window.fill("#enhance-form textarea", "typed").await?;
    ensure!(window.ask(asks, vec![]).await? == json!(true), "what was typed is lost");
    ensure!(window.ask(&sends("#enhance-form", true), vec![]).await? == json!(true), "a script's submit saved it");
    ensure!(window.ask(&sends("#enhance-form", false), vec![]).await? == json!(false), "it asks for what is saved");
    window.fill("#describe-form textarea", "typed too").await?;
    ensure!(window.ask(&sends("#enhance-form", false), vec![]).await? == json!(true), "the other form is lost");
    // Whoever stays can press again.
    let open = "const button = document.querySelector('#enhance-form button.primary'); return !button.disabled";
    let begun = std::time::Instant::now();
    while window.ask(open, vec![]).await? != json!(true) {
        ensure!(begun.elapsed() < super::PATIENCE, "the button stays locked");
        tokio::task::yield_now().await;
    }
    window.ask("document.querySelectorAll('main form').forEach((form) => form.remove())", vec![]).await.map(drop)
}

pub(crate) async fn statistics_are_narrowed(window: &Window) -> anyhow::Result<()> {
    window.go("/statistics").await?;
    window.says("Statistics").await?;
    window.press(css("nav.tabs a:not([aria-current])")).await?;
    ensure!(window.has("nav.tabs a[aria-current]").await?, "it is not said which span this is");
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

pub(crate) async fn the_dashboard_and_connect_lead_on(window: &Window) -> anyhow::Result<()> {
    window.go("/").await?;
    window.says("Dashboard").await?;
    window.press(labelled("New picture")).await?;
    window.says("Run a tool exactly as an agent would").await?;
    window.go("/connect").await?;
    window.says(&format!("{}/mcp", window.hub())).await?;
    let visible = "return document.querySelector('[data-copy]').checkVisibility()";
    let copies = window.ask(visible, vec![]).await? == json!(true);
    ensure!(copies == window.has_script(), "what only script can do is there exactly with script");
    window.press(labelled("Test this connection")).await?;
    window.says(&format!("{}/mcp answers with", window.hub())).await?;
    window.says("generate_image").await
}

pub(crate) async fn faults_are_pages(window: &Window) -> anyhow::Result<()> {
    for path in ["/nothing/here", "/jobs/job_00000000000000000000000000000001", "/styles/x", "/outputs/x.png"] {
        window.go(path).await?;
        window.says("404").await?;
        window.press(labelled("To the dashboard")).await?;
        window.says("Dashboard").await?;
    }
    Ok(())
}
