//! Settings, and instructions for LLMs.

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
    for group in ["enhance", "describe", "generator"] {
        let form = format!("#{group}-form");
        window.fill(&format!("{form} textarea"), &format!("Be brief. {mark}")).await?;
        if group == "enhance" && window.has_script() {
            // The preview follows by itself.
            let shown = "return document.querySelector('#instructions-preview').innerText.includes(arguments[0])";
            window.becomes(shown, vec![json!(mark)]).await?;
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
    window.becomes(open, vec![]).await?;
    window.ask("document.querySelectorAll('main form').forEach((form) => form.remove())", vec![]).await.map(drop)
}
