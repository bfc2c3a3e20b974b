//! Servers that render, and servers that write.

use anyhow::ensure;

use super::window::{Window, css, labelled};

pub(crate) async fn a_server_is_added_tested_switched_and_removed(window: &Window) -> anyhow::Result<()> {
    window.go("/servers").await?;
    window.press(css("form[action$='/test'] button")).await?;
    window.says("The test passed").await?;

    let mark = window.mark();
    window.go("/servers").await?;
    window.press(labelled("Add a server")).await?;
    window.fill("#name", &mark).await?;
    window.fill("#base_url", "ftp://nowhere").await?;
    window.press(css("#server-form button.primary")).await?;
    ensure!(window.has("#base_url-fault").await?, "the fault does not stand beside its field");
    ensure!(window.value("#name").await? == mark, "the name is lost");
    // Nobody listens there.
    window.fill("#base_url", &format!("http://127.0.0.1:9/{mark}")).await?;
    if window.has_script() {
        window.tap(labelled("Test first")).await?;
    } else {
        window.press(labelled("Test first")).await?;
    }
    window.says("The test failed").await?;
    ensure!(window.value("#name").await? == mark, "the name is lost by the test");
    window.press(css("#server-form button.primary")).await?;
    window.says("Server added").await?;

    window.press(labelled(&mark)).await?;
    window.press(css("main form[action$='/enabled'] button")).await?;
    window.says("Server switched off").await?;
    window.press(labelled(&mark)).await?;
    window.press(css("main form[action$='/enabled'] button")).await?;
    window.says("Server switched on").await?;
    window.press(labelled(&mark)).await?;
    window.press(css("main form[action$='/drain'] button")).await?;
    window.says("gets no more work").await?;
    window.confirm("//main").await?;
    window.says("Server removed").await
}

pub(crate) async fn all_servers_are_tested_and_a_lost_one_is_told(window: &Window) -> anyhow::Result<()> {
    window.go("/servers").await?;
    window.press(labelled("Test all")).await?;
    window.says("demo-2").await?;
    ensure!(window.has("#tests-title").await?, "no test is shown");
    if !window.has_script() {
        return Ok(());
    }
    window.go("/servers").await?;
    let mark = window.mark();
    let sim = hub_sim::ComfySim::start(crate::bed::any_port(), hub_sim::ComfyConfig::default()).await?;
    let api = format!("{}/api/v1/servers", window.hub());
    let body = serde_json::json!({ "name": mark, "base_url": sim.url() });
    let made: serde_json::Value = crate::hub::client().post(&api).json(&body).send().await?.json().await?;
    let id = made["id"].as_str().unwrap_or_default();
    // The page is not loaded again: that it shows the server at all came by its stream, which tells of the loss too.
    window.until(&format!(".server:has(a[href='/servers/{id}']) .badge.tone-good")).await?;
    drop(sim);
    window.until("#toasts .toast.tone-bad").await?;
    let told = window.ask("return document.querySelector('#toasts').innerText", vec![]).await?;
    ensure!(told.as_str().is_some_and(|told| told.contains(&mark)), "the toast tells of another: {told}");
    window.tap(css("#toasts [data-dismiss]")).await?;
    ensure!(!window.has("#toasts .toast").await?, "it stays");
    crate::hub::client().delete(format!("{api}/{id}")).send().await?;
    Ok(())
}

pub(crate) async fn settings_of_a_server_are_changed(window: &Window) -> anyhow::Result<()> {
    window.go("/servers").await?;
    window.press(labelled("demo-2")).await?;
    window.press(labelled("Edit")).await?;
    window.fill("#max_in_flight", "0").await?;
    window.press(css("#server-form button.primary")).await?;
    ensure!(window.has("#max_in_flight-fault").await?, "the fault does not stand beside its field");
    window.fill("#max_in_flight", "2").await?;
    window.fill("#group", "attic").await?;
    window.press(css("#server-form button.primary")).await?;
    window.says("Server saved").await?;
    window.says("attic").await
}

pub(crate) async fn an_llm_server_is_added_given_a_role_and_removed(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    window.go("/llm-servers").await?;
    window.press(labelled("Test")).await?;
    window.says("sim-llama").await?;
    window.press(labelled("Add an LLM server")).await?;
    window.fill("#name", &mark).await?;
    window.fill("#base_url", "not an address").await?;
    window.press(css("main form button.primary")).await?;
    ensure!(window.has("#base_url-fault").await?, "the fault does not stand beside its field");
    window.fill("#base_url", "http://127.0.0.1:9/v1").await?;
    window.fill("#dialect", "openai").await?;
    window.press(css("main form button.primary")).await?;
    window.says("LLM server added").await?;

    let role = "form[action='/llm-servers/roles/prompt_generator']";
    let choose = "const menu = document.querySelector(arguments[0] + ' select');
        menu.value = [...menu.options].find((option) => option.text === arguments[1]).value;";
    for server in [mark.as_str(), "demo"] {
        window.ask(choose, vec![role.into(), server.into()]).await?;
        window.press(css(&format!("{role} button"))).await?;
        window.says("Role given").await?;
    }
    let card = format!("//li[.//h2[normalize-space(.)='{mark}']]");
    window.confirm(&card).await?;
    window.says("LLM server removed").await
}
