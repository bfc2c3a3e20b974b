//! What hands do: leaving what is not saved, copying, pressing twice, and doing without a mouse.

use anyhow::ensure;
use serde_json::{Value, json};
use thirtyfour::Key;

use super::{
    making::PICTURE,
    window::{Window, css},
};

/// Has the page that comes next know whether this one asked before it was left: the driver answers for the person.
const WATCH_LEAVING: &str = "sessionStorage.removeItem('asked');
    window.addEventListener('beforeunload', (event) => sessionStorage.setItem('asked', event.defaultPrevented))";
const ASKED: &str = "return sessionStorage.getItem('asked')";

/// Whether the page that was left asked first.
async fn asked(window: &Window) -> anyhow::Result<Value> {
    window.ask(ASKED, vec![]).await
}

pub(crate) async fn unsaved_words_are_asked_about(window: &Window) -> anyhow::Result<()> {
    if !window.has_script() {
        return Ok(());
    }
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
    window.press(css("main form[data-guard] button.primary")).await?;
    window.says("Style added").await?;
    ensure!(asked(window).await? == "false", "saving asks");
    // What was saved is the new beginning.
    window.ask(WATCH_LEAVING, vec![]).await?;
    window.press(css("nav a[href='/jobs']")).await?;
    ensure!(asked(window).await? == "false", "what is saved is asked about");
    Ok(())
}

pub(crate) async fn words_are_copied(window: &Window) -> anyhow::Result<()> {
    window.go("/connect").await?;
    if !window.has_script() {
        ensure!(!window.has("[data-copy]:not([hidden])").await?, "there is a button that does nothing");
        return Ok(());
    }
    let label = "return document.querySelector('[data-copy=mcp-url]').innerText.trim() === arguments[0]";
    let whole = format!("{}/mcp", window.hub());
    window.allow(&["clipboardReadWrite", "clipboardSanitizedWrite"]).await?;
    window.becomes(label, vec![json!("Copy")]).await?;
    window.tap(css("[data-copy=mcp-url]")).await?;
    window.becomes(label, vec![json!("Copied")]).await?;
    let held = window.ask("return navigator.clipboard.readText()", vec![]).await?;
    ensure!(held == whole, "the clipboard holds {held}");
    window.becomes(label, vec![json!("Copy")]).await?;

    // Where the browser refuses, the words are chosen, for one key to copy them.
    let refuse = "navigator.clipboard.writeText = () => Promise.reject(new Error('closed'))";
    window.ask(refuse, vec![]).await?;
    window.tap(css("[data-copy=mcp-url]")).await?;
    window.becomes(label, vec![json!("Press Ctrl+C")]).await?;
    let chosen = window.ask("return window.getSelection().toString().trim()", vec![]).await?;
    ensure!(chosen == whole, "{chosen} is selected");
    Ok(())
}

pub(crate) async fn keys_send_and_a_button_is_pressed_once(window: &Window) -> anyhow::Result<()> {
    if !window.has_script() {
        return Ok(());
    }
    let mark = window.mark();
    window.go("/playground").await?;
    window.key_in("#prompt", &mark).await?;
    window.keys_that_lead_on(Key::Control + Key::Enter).await?;
    window.says(&mark).await?;
    window.until(PICTURE).await?;

    // The page stays, so that the button can be looked at.
    window.go("/playground").await?;
    window.key_in("#prompt", &mark).await?;
    window.ask("window.addEventListener('submit', (event) => event.preventDefault())", vec![]).await?;
    let send = "main form.playground button.primary";
    ensure!(!window.has(&format!("{send}:disabled")).await?, "it is locked before it is pressed");
    window.tap(css(send)).await?;
    window.until(&format!("{send}:disabled")).await
}

/// What has the focus: what it is called, and whether one sees where it is.
const FOCUS: &str = "const at = document.activeElement;
    const style = getComputedStyle(at);
    // A box that is drawn by its label shows the focus there.
    const shown = [at, ...(at.labels ?? [])].some((one) => {
      const style = getComputedStyle(one);
      return style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0 || style.boxShadow !== 'none';
    });
    const boxes = [at, ...(at.labels ?? [])].map((one) => one.getBoundingClientRect());
    const inside = boxes.some((box) => box.width > 1 && box.height > 1
      && box.bottom > 0 && box.right > 0 && box.top < window.innerHeight && box.left < window.innerWidth);
    return { name: at.id || at.innerText?.trim() || at.name || at.tagName, tag: at.tagName, shown, inside,
      nav: at.closest('nav.nav') !== null, main: at.closest('main form.playground') !== null,
      send: at.matches('main form.playground button.primary') }";

/// One step of the Tab key; what it comes to must be seen.
async fn tab(window: &Window) -> anyhow::Result<Value> {
    window.keys(Key::Tab).await?;
    let focus = window.ask(FOCUS, vec![]).await?;
    ensure!(focus["shown"] == true, "nobody sees that the focus is on {focus}");
    ensure!(focus["inside"] == true, "the focus is out of sight: {focus}");
    Ok(focus)
}

pub(crate) async fn a_picture_is_made_by_keyboard_alone(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/playground").await?;
    let first = tab(window).await?;
    ensure!(first["name"] == "Skip to content", "the first step comes to {first}");
    let mut nav = 0;
    let mut at = first;
    // Longer than any way through the head and the form.
    for _ in 0..200 {
        if at["name"] == "prompt" {
            break;
        }
        at = tab(window).await?;
        nav += u32::from(at["nav"] == true);
    }
    ensure!(at["name"] == "prompt", "no way leads to the prompt: {at}");
    ensure!(nav >= 5, "only {nav} links of the navigation are on the way");
    window.keys(mark.as_str()).await?;
    for _ in 0..200 {
        if at["send"] == true {
            break;
        }
        at = tab(window).await?;
        ensure!(at["main"] == true, "the way leaves the form before its button: {at}");
    }
    window.keys_that_lead_on(Key::Enter).await?;
    window.says(&mark).await?;
    window.until(PICTURE).await?;

    // The skip link leads past the head.
    window.go("/playground").await?;
    tab(window).await?;
    window.keys(Key::Enter).await?;
    window.becomes("return location.hash === '#main'", vec![]).await?;
    let next = tab(window).await?;
    ensure!(next["nav"] == false, "after the skip link comes {next}");
    Ok(())
}
