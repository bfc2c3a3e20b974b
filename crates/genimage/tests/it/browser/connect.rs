//! The dashboard and the connect page, and where they lead; pages that are faults.

use anyhow::ensure;
use serde_json::json;

use super::window::{Window, css, labelled};

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

pub(crate) async fn words_are_copied(window: &Window) -> anyhow::Result<()> {
    window.go("/connect").await?;
    if !window.has_script() {
        ensure!(!window.has("[data-copy]:not([hidden])").await?, "there is a button that does nothing");
        return Ok(());
    }
    let label = "return document.querySelector('[data-copy=mcp-url]').innerText.trim() === arguments[0]";
    // What became of a press stands there for two seconds, in which a busy machine may not look: all of it is kept.
    let listen = "const button = document.querySelector('[data-copy=mcp-url]');
        const keep = () => window.said.push(button.innerText.trim());
        window.said = [];
        new MutationObserver(keep).observe(button, { childList: true, characterData: true, subtree: true });";
    let said = "return window.said.includes(arguments[0])";
    let whole = format!("{}/mcp", window.hub());
    window.allow(&["clipboardReadWrite", "clipboardSanitizedWrite"]).await?;
    window.becomes(label, vec![json!("Copy")]).await?;
    window.ask(listen, vec![]).await?;
    window.tap(css("[data-copy=mcp-url]")).await?;
    window.becomes(said, vec![json!("Copied")]).await?;
    let held = window.ask("return navigator.clipboard.readText()", vec![]).await?;
    ensure!(held == whole, "the clipboard holds {held}");
    window.becomes(label, vec![json!("Copy")]).await?;

    // Where the browser refuses, the words are chosen, for one key to copy them.
    let refuse = "navigator.clipboard.writeText = () => Promise.reject(new Error('closed'))";
    window.ask(refuse, vec![]).await?;
    window.tap(css("[data-copy=mcp-url]")).await?;
    window.becomes(said, vec![json!("Press Ctrl+C")]).await?;
    let chosen = window.ask("return window.getSelection().toString().trim()", vec![]).await?;
    ensure!(chosen == whole, "{chosen} is selected");
    Ok(())
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
