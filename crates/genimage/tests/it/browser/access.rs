//! The first account, the login, keys and the audit log; and with a login what an open hub lets everybody do.

use anyhow::{Context as _, ensure};
use futures_util::future::BoxFuture;
use serde_json::json;

use super::{
    gallery,
    playground::SEND,
    servers, styles,
    window::{Window, css, labelled},
    workflows,
};

const PASSWORD: &str = "correct horse battery";
const OTHER_PASSWORD: &str = "battery horse correct";

pub(crate) async fn the_first_account_closes_the_hub(window: &Window) -> anyhow::Result<()> {
    window.go("/access").await?;
    window.says("the admin account comes first").await?;
    window.go("/setup").await?;
    window.fill("#password", PASSWORD).await?;
    window.fill("#again", "something else").await?;
    window.press(css("main form button.primary")).await?;
    ensure!(window.has("[role=alert]").await?, "two different passwords are taken");
    window.fill("#password", PASSWORD).await?;
    window.fill("#again", PASSWORD).await?;
    window.press(css("main form button.primary")).await?;
    window.says("Dashboard").await?;
    log_out(window).await
}

async fn log_out(window: &Window) -> anyhow::Result<()> {
    window.go("/access").await?;
    window.press(labelled("Log out")).await?;
    window.go("/servers").await?;
    window.says("Password").await
}

/// Goes to a page that asks for the password first.
async fn log_in(window: &Window, path: &str, password: &str) -> anyhow::Result<()> {
    window.go(path).await?;
    window.fill("#password", password).await?;
    window.press(css("main form button.primary")).await
}

pub(crate) async fn a_secret_can_be_looked_at_while_it_is_typed(window: &Window) -> anyhow::Result<()> {
    can_be_looked_at(window, "/login", "password").await?;
    log_in(window, "/", PASSWORD).await?;
    for (path, field) in [("/servers/new", "secret"), ("/llm-servers/new", "api_key")] {
        can_be_looked_at(window, path, field).await?;
    }
    log_out(window).await
}

/// What is typed into the field of that page can be looked at, exactly where there is script.
async fn can_be_looked_at(window: &Window, path: &str, field: &str) -> anyhow::Result<()> {
    let (reveal, field) = (format!("[data-reveal={field}]"), format!("#{field}"));
    window.go(path).await?;
    let visible = "return document.querySelector(arguments[0]).checkVisibility()";
    let there = window.ask(visible, vec![json!(reveal)]).await? == json!(true);
    ensure!(there == window.has_script(), "{path}: what only script can do is there exactly with script");
    if !there {
        return Ok(());
    }
    window.fill(&field, "wrong horse battery").await?;
    for (kind, pressed) in [("text", "true"), ("password", "false"), ("text", "true")] {
        window.tap(css(&reveal)).await?;
        ensure!(window.attribute(&field, "type").await? == kind, "{path}: it does not become a field of {kind}");
        ensure!(window.attribute(&reveal, "aria-pressed").await? == pressed, "{path}: {kind}");
        ensure!(window.value(&field).await? == "wrong horse battery", "{path}: what was typed is lost");
    }
    // As the form is sent, it is a password again. It is not sent, and nothing of it is left to be asked about.
    let sent = "const field = document.querySelector(arguments[0]);
        const form = field.form;
        form.noValidate = true;
        form.addEventListener('submit', (event) => event.preventDefault());
        form.requestSubmit();
        form.remove();
        return field.type";
    ensure!(window.ask(sent, vec![json!(field)]).await? == "password", "{path}: it leaves as plain text");
    Ok(())
}

pub(crate) async fn a_login_and_a_logout(window: &Window) -> anyhow::Result<()> {
    log_in(window, "/styles", "wrong horse battery").await?;
    ensure!(window.has("[role=alert]").await?, "a wrong password is not told");
    window.fill("#password", PASSWORD).await?;
    window.press(css("main form button.primary")).await?;
    window.says("Words that a request adds").await?;
    log_out(window).await
}

/// The login ends while somebody types; what was typed is sent again after the next one.
pub(crate) async fn what_was_typed_outlives_the_login(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    log_in(window, "/styles/new", PASSWORD).await?;
    window.fill("#name", &mark).await?;
    window.fill("#prompt_template", "typed with care").await?;
    window.forget_login().await?;
    window.press(css("#style-form button.primary")).await?;
    window.says("Nothing was saved").await?;
    // In another tab.
    let form = [("password", PASSWORD), ("next", "/")];
    let _installed_before = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let login = http.post(format!("{}/login", window.hub())).form(&form).send().await?;
    let cookie = login.headers().get("set-cookie").context("a login")?.to_str()?.to_owned();
    window.take_login(&cookie).await?;
    window.press(labelled("Send it again")).await?;
    window.says("You have logged in anew").await?;
    window.press(labelled("Send it again")).await?;
    window.says(&mark).await?;
    ensure!(window.path().await.starts_with("/styles"), "it leads to {}", window.path().await);
    log_out(window).await
}

pub(crate) async fn a_key_is_shown_once_changed_and_revoked(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    log_in(window, "/access", PASSWORD).await?;
    let make = "form[action='/access/keys'] button.primary";
    window.fill("#name", &mark).await?;
    window.fill("#images_per_day", "0").await?;
    window.press(css(make)).await?;
    ensure!(window.has("#images_per_day-fault").await?, "the fault does not stand beside its field");
    ensure!(window.value("#name").await? == mark, "the name is lost");
    window.fill("#images_per_day", "5").await?;
    window.press(css(make)).await?;
    window.says("shown this once").await?;
    let key = window.ask("return document.querySelector('#new-key').innerText", vec![]).await?;
    let key = key.as_str().context("a key")?.to_owned();
    let jobs = format!("{}/api/v1/jobs", window.hub());
    let asked = async || anyhow::Ok(crate::hub::client().get(&jobs).bearer_auth(&key).send().await?.status());
    ensure!(asked().await?.is_success(), "the key opens nothing");
    window.go("/access").await?;
    ensure!(!window.text().await?.contains(&key), "it is shown again");

    let row = format!("//tr[.//strong[normalize-space(.)='{mark}']]");
    window.press(thirtyfour::By::XPath(format!("{row}//a[contains(., 'Change')]"))).await?;
    window.fill("#weight", "2").await?;
    window.press(css("form[data-guard] button.primary")).await?;
    window.says("Key changed").await?;
    window.confirm(&row).await?;
    window.says("Key revoked").await?;
    ensure!(asked().await?.as_u16() == 401, "a revoked key opens the hub");

    window.press(labelled("Audit log")).await?;
    window.says(&mark).await?;
    log_out(window).await
}

pub(crate) async fn a_key_is_put_into_the_snippets_and_tested(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    log_in(window, "/access", PASSWORD).await?;
    window.fill("#name", &mark).await?;
    window.press(css("form[action='/access/keys'] button.primary")).await?;
    let key = window.ask("return document.querySelector('#new-key').innerText", vec![]).await?;
    let key = key.as_str().context("a key")?.to_owned();
    window.go("/connect").await?;
    window.says("Authorization: Bearer YOUR_KEY").await?;
    window.fill("#key", &key).await?;
    window.press(labelled("Put the key into the snippets")).await?;
    window.says(&format!("Authorization: Bearer {key}")).await?;
    window.fill("#key", &key).await?;
    window.press(labelled("Test this connection")).await?;
    window.says("answers with").await?;
    window.says("generate_image").await?;
    ensure!(!window.path().await.contains(&key), "the key is in the address");
    ensure!(window.value("#key").await?.is_empty(), "the key comes back in its field");
    window.fill("#key", &key.replace("gih_", "gih_x")).await?;
    window.press(labelled("Test this connection")).await?;
    window.says("refuses with 401: the API key is wrong").await?;
    log_out(window).await
}

/// Does with a login what is done on open hubs: whatever changes something there carries the token of its page. Also a task
/// that fails leaves nobody logged in.
async fn logged_in(window: &Window, task: BoxFuture<'_, anyhow::Result<()>>) -> anyhow::Result<()> {
    log_in(window, "/", PASSWORD).await?;
    let done = task.await;
    window.forget_login().await?;
    done
}

pub(crate) async fn a_style_is_previewed_with_a_login(window: &Window) -> anyhow::Result<()> {
    logged_in(window, Box::pin(styles::a_style_is_added_changed_copied_and_deleted(window))).await
}

pub(crate) async fn a_picture_is_kept_and_deleted_with_a_login(window: &Window) -> anyhow::Result<()> {
    logged_in(window, Box::pin(gallery::the_playground_makes_and_the_gallery_keeps_and_deletes(window))).await
}

pub(crate) async fn a_workflow_is_imported_with_a_login(window: &Window) -> anyhow::Result<()> {
    logged_in(window, Box::pin(workflows::a_workflow_is_imported_corrected_compared_and_brought_back(window))).await
}

pub(crate) async fn a_server_is_tested_first_with_a_login(window: &Window) -> anyhow::Result<()> {
    logged_in(window, Box::pin(servers::a_server_is_added_tested_switched_and_removed(window))).await
}

pub(crate) async fn jobs_are_cancelled_from_their_list_with_a_login(window: &Window) -> anyhow::Result<()> {
    logged_in(window, Box::pin(jobs_are_cancelled_from_their_list(window))).await
}

async fn jobs_are_cancelled_from_their_list(window: &Window) -> anyhow::Result<()> {
    let mark = window.mark();
    // However long the pages take, nothing is done before.
    both_servers_are_drained_or_not(window, "gets no more work").await?;
    for which in ["first", "second"] {
        window.go("/playground").await?;
        window.fill("#prompt", &format!("{which} {mark}")).await?;
        window.press(css(SEND)).await?;
        window.until("#why-title").await?;
    }
    window.go(&format!("/jobs?q={mark}")).await?;
    window.press(css(".job-acts button[formaction$='/cancel']")).await?;
    window.says("Job cancelled").await?;
    // Only the other one can be ticked now.
    window.tap(css(".job-pick label")).await?;
    window.press(labelled("Cancel ticked")).await?;
    window.says("Cancelled.").await?;
    ensure!(!window.has(".job-acts button[formaction$='/cancel']").await?, "one still waits");
    both_servers_are_drained_or_not(window, "gets work again").await
}

async fn both_servers_are_drained_or_not(window: &Window, told: &str) -> anyhow::Result<()> {
    for server in ["demo-1", "demo-2"] {
        window.go("/servers").await?;
        window.press(labelled(server)).await?;
        window.press(css("main form[action$='/drain'] button")).await?;
        window.says(told).await?;
    }
    Ok(())
}

pub(crate) async fn a_password_is_changed(window: &Window) -> anyhow::Result<()> {
    for (old, new) in [(PASSWORD, OTHER_PASSWORD), (OTHER_PASSWORD, PASSWORD)] {
        log_in(window, "/access", old).await?;
        window.fill("#password", new).await?;
        window.fill("#again", new).await?;
        window.press(css("form[action='/access/password'] button[type=submit]")).await?;
        log_in(window, "/access", new).await?;
        window.says("Keys for agents and scripts").await?;
        log_out(window).await?;
    }
    Ok(())
}
