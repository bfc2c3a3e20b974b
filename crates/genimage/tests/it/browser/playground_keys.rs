//! The playground by its keys, without a mouse, and with a hand that presses twice.

use anyhow::ensure;
use serde_json::Value;
use thirtyfour::Key;

use super::{
    playground::{PICTURE, SEND},
    window::{Window, css},
};

pub(crate) async fn keys_send_and_a_button_is_pressed_once(window: &Window) -> anyhow::Result<()> {
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
    ensure!(!window.has(&format!("{SEND}:disabled")).await?, "it is locked before it is pressed");
    window.tap(css(SEND)).await?;
    window.until(&format!("{SEND}:disabled")).await
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
